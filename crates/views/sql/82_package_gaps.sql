-- What a package contains and somebody who has it was not given: no assignment of its own says so.
create view package_gaps as
select h.system_id, h.package_id, h.principal_id, c.child_resource_id as resource_id, c.role_name,
       c.assignment_type, c.role_scope
from package_holders h
join resource_grants c
  on c.system_id = h.system_id and c.parent_resource_id = h.package_id and c.is_content
where not exists (
    select from own_access o
    where o.system_id = h.system_id
      and o.resource_id = c.child_resource_id
      and o.principal_id = h.principal_id
      and o.assignment_type = c.assignment_type
      and (o.role_scope = '/owner') = (c.role_scope = '/owner')
);
