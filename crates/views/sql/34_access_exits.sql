-- What being in a node gives: the assignments of the group, the contents of the package, what the resource grants.
create view access_exits as
select g.system_id, g.group_id as node_id, false as is_package, g.resource_id, g.assignment_type, g.role_scope,
       g.only_for_direct_members as needs_direct, 'Group' as via_kind
from group_access g
union all
select c.system_id, c.parent_resource_id, true, c.child_resource_id, c.assignment_type, c.role_scope, false, 'Package'
from resource_grants c
union all
select c.system_id, c.parent_resource_id, false, c.child_resource_id, c.assignment_type, c.role_scope, false, 'Resource'
from resource_grants c
where not c.is_content;
