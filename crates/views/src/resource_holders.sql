-- Who has access to a resource: a page after the given key. The keys are cut first, so that names
-- are looked up for one page only.
with page as (
    select e.system_id, e.resource_id, e.principal_id, e.assignment_type, e.role_scope, e.via_group_id
    from effective_access e
    where e.system_id = (select s.system_id from systems s where s.workspace_id = $1 and s.system_id = $2)
      and e.resource_id = $3
      and (e.principal_id, e.assignment_type, e.role_scope, e.via_group_id) > ($4, $5, $6, $7)
    order by e.principal_id, e.assignment_type, e.role_scope, e.via_group_id
    limit $8
)
select a.principal_id, a.principal_name, a.principal_type, a.user_principal_name, a.account_enabled,
       a.assignment_type, a.access_state, a.role_scope, a.is_direct, a.via_group_id, a.via_group_name,
       a.state, a.start_date_time, a.expiration_date_time, a.first_seen_at
from page p
join resource_access a
  on a.system_id = p.system_id
 and a.resource_id = p.resource_id
 and a.principal_id = p.principal_id
 and a.assignment_type = p.assignment_type
 and a.role_scope = p.role_scope
 and coalesce(a.via_group_id, '00000000-0000-0000-0000-000000000000') = p.via_group_id
order by p.principal_id, p.assignment_type, p.role_scope, p.via_group_id
