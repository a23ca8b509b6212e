-- What each package contains, in which role, and whether the register knows the object.
create view package_contents as
select c.system_id,
       c.parent_resource_id as package_id,
       p.display_name as package_name,
       c.child_resource_id as resource_id,
       r.display_name as resource_name,
       r.resource_type,
       c.role_name,
       c.assignment_type,
       c.role_scope,
       r.id is null as is_missing
from resource_grants c
left join resources p
  on p.system_id = c.system_id and p.id = c.parent_resource_id and p.deleted_at is null
left join resources r
  on r.system_id = c.system_id and r.id = c.child_resource_id and r.deleted_at is null
where c.is_content;
