-- Who holds which directory role, now or by activation, itself or through a group. The score of a row says how much
-- it weighs: 4,000 for Global Administrator, which includes every other role; 400, 40 or 4 for tier 0, 1 or 2; half when only eligible; half again when the role does not apply to the
-- whole directory. Owning a role is not holding it.
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
       h.via_group_id,
       h.via_group_name,
       h.state,
       h.start_date_time,
       h.expiration_date_time,
       h.first_seen_at,
       case when h.is_global_administrator then 4000 when h.tier = 0 then 400 when h.tier = 1 then 40 else 4 end
           / case h.access_state when 'Eligible' then 2 else 1 end
           / case h.role_scope when '/' then 1 else 2 end as score
from (
    select a.system_id, a.resource_id as role_id, a.resource_name as role_name,
           coalesce(
               t.tier,
               case when r.extended_attributes ->> 'isPrivileged' = 'true' then 1 else 2 end
           ) as tier,
           t.template_id is not distinct from '62e90394-69f5-4237-9190-012177145e10' as is_global_administrator,
           a.principal_id, a.principal_name, a.principal_type, a.user_principal_name, a.account_enabled,
           a.assignment_type, a.access_state, a.role_scope, a.is_direct, a.via_group_id, a.via_group_name,
           a.state, a.start_date_time, a.expiration_date_time, a.first_seen_at
    from resources r
    join resource_access a on a.system_id = r.system_id and a.resource_id = r.id
    -- A built-in role's own id is its template's, unless the source keeps the two apart.
    left join directory_role_tiers t on t.template_id = coalesce(r.template_id, r.id)
    where r.resource_type = 'EntraDirectoryRole'
      and r.deleted_at is null
      and a.assignment_type <> 'Owner'
) h;
