-- Who has which access, with names: effective_access and the live assignment behind each row. A name is null where the
-- register does not (or no longer) know the object; orphan_references lists those.
create view resource_access as
select e.system_id,
       e.resource_id,
       r.display_name as resource_name,
       r.resource_type,
       e.principal_id,
       p.display_name as principal_name,
       p.principal_type,
       p.user_principal_name,
       p.account_enabled,
       e.assignment_type,
       case when e.assignment_type = 'Eligible' then 'Eligible' else 'Active' end as access_state,
       e.role_scope,
       e.via_group_id = '00000000-0000-0000-0000-000000000000' as is_direct,
       nullif(e.via_group_id, '00000000-0000-0000-0000-000000000000') as via_group_id,
       g.display_name as via_group_name,
       a.state,
       a.start_date_time,
       a.expiration_date_time,
       a.first_seen_at
from effective_access e
left join resources r on r.system_id = e.system_id and r.id = e.resource_id and r.deleted_at is null
left join principals p on p.system_id = e.system_id and p.id = e.principal_id and p.deleted_at is null
left join resources g on g.system_id = e.system_id and g.id = e.via_group_id and g.deleted_at is null
left join lateral (
    -- The holder's assignment: of the same type, or of another that eligible membership turned into Eligible.
    select h.state, h.start_date_time, h.expiration_date_time, h.first_seen_at
    from resource_assignments h
    where h.system_id = e.system_id
      and h.resource_id = e.resource_id
      and h.principal_id = case
              when e.via_group_id = '00000000-0000-0000-0000-000000000000' then e.principal_id
              else e.via_group_id
          end
      and h.deleted_at is null
      and (
          h.assignment_type = e.assignment_type and h.role_scope = e.role_scope
          or e.assignment_type = 'Eligible'
             and e.via_group_id <> '00000000-0000-0000-0000-000000000000'
             and case when h.assignment_type = 'Owner' then '/owner' else h.role_scope end = e.role_scope
      )
    order by h.assignment_type <> e.assignment_type, h.assignment_type, h.role_scope
    limit 1
) a on true;
