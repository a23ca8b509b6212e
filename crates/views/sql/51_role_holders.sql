-- Who holds which directory role, now or by activation, itself or through a group. The score of a row says how much
-- it weighs: 4,000 for Global Administrator, which includes every other role; 400, 40 or 4 for tier 0, 1 or 2; half when
-- only eligible; half again when the role does not apply to the whole directory. Owning a role is not holding it.
-- Always from the live tables, role by role.
create view role_holders as
select h.system_id,
       h.role_id,
       h.role_name,
       h.tier,
       h.principal_id,
       h.principal_name,
       h.principal_type,
       h.user_principal_name,
       h.account_enabled,
       h.assignment_type,
       h.access_state,
       h.role_scope,
       h.is_direct,
       h.via_kind,
       h.via_id,
       h.via_name,
       h.state,
       h.start_date_time,
       h.expiration_date_time,
       h.first_seen_at,
       case when h.is_global_administrator then 4000 when h.tier = 0 then 400 when h.tier = 1 then 40 else 4 end
           / case h.access_state when 'Eligible' then 2 else 1 end
           / case h.role_scope when '/' then 1 else 2 end as score
from (
    select r.system_id, r.id as role_id, r.display_name as role_name,
           coalesce(
               t.tier,
               case when r.extended_attributes ->> 'isPrivileged' = 'true' then 1 else 2 end
           ) as tier,
           t.template_id is not distinct from '62e90394-69f5-4237-9190-012177145e10' as is_global_administrator,
           e.principal_id, p.display_name as principal_name, p.principal_type, p.user_principal_name,
           p.account_enabled, e.assignment_type,
           case when e.assignment_type = 'Eligible' then 'Eligible' else 'Active' end as access_state,
           e.role_scope, e.via_kind = 'Direct' as is_direct, e.via_kind,
           nullif(e.via_id, '00000000-0000-0000-0000-000000000000') as via_id,
           v.display_name as via_name,
           a.state, a.start_date_time, a.expiration_date_time, a.first_seen_at
    from resources r
    -- A built-in role's own id is its template's, unless the source keeps the two apart.
    left join directory_role_tiers t on t.template_id = coalesce(r.template_id, r.id)
    cross join lateral effective_access_of_resources(r.system_id, array[r.id]) e
    left join principals p on p.system_id = r.system_id and p.id = e.principal_id and p.deleted_at is null
    left join resources v on v.system_id = r.system_id and v.id = e.via_id and v.deleted_at is null
    left join lateral access_behind(
        r.system_id, e.resource_id, e.principal_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
    ) a on true
    where r.resource_type = 'EntraDirectoryRole'
      and r.deleted_at is null
      and e.assignment_type <> 'Owner'
      and e.role_scope <> '/owner'
) h;
