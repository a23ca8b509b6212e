-- Who has what in effect, for questions about a whole system: from the live assignments and the closure as it is kept.
-- Where none is kept, each principal is walked. One principal or one resource: ask the functions.
create view effective_access as
select o.system_id, o.resource_id, o.principal_id, o.assignment_type, o.role_scope,
       'Direct' as via_kind, '00000000-0000-0000-0000-000000000000'::uuid as via_id
from own_access o
union all
select distinct
       o.system_id, x.resource_id, o.principal_id,
       case when o.is_eligible or c.is_eligible then 'Eligible' else x.assignment_type end,
       case when (o.is_eligible or c.is_eligible) and x.assignment_type = 'Owner' then '/owner' else x.role_scope end,
       x.via_kind, x.node_id
from own_access o
join access_closure c
  on c.system_id = o.system_id and c.from_id = o.resource_id and c.from_is_package = o.gives_contents
join access_exits x
  on x.system_id = c.system_id and x.node_id = c.to_id and x.is_package = c.to_is_package
where (o.makes_member or o.gives_contents)
  and (c.is_direct or not x.needs_direct)
union all
select w.system_id, e.resource_id, w.principal_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
from (
    select distinct o.system_id, o.principal_id
    from systems s
    join own_access o on o.system_id = s.system_id
    where not exists (select from access_closure_systems k where k.system_id = s.system_id and k.is_kept)
) w
cross join lateral effective_access_of_principals(w.system_id, array[w.principal_id]) e
where e.via_kind <> 'Direct';
