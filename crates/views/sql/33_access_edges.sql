-- One step from node to node. A node is something that one is in or has (is_package false) or a package that was given
-- (is_package true). is_direct: the step makes a member of its own right. needs_direct: only who is such a member of
-- the first can take the step.
create view access_edges as
select g.system_id, g.group_id as from_id, false as from_is_package, g.resource_id as to_id, false as to_is_package,
       g.is_eligible, false as is_direct, g.only_for_direct_members as needs_direct
from group_access g
where g.makes_member
union all
select g.system_id, g.group_id, false, g.resource_id, true, false, false, g.only_for_direct_members
from group_access g
where g.gives_contents
union all
select c.system_id, c.parent_resource_id, true, c.child_resource_id, false, c.is_eligible, true, false
from resource_grants c
where c.is_content and not c.is_ownership
union all
select c.system_id, c.parent_resource_id, true, c.child_resource_id, true, c.is_eligible, true, false
from resource_grants c
where c.is_content and not c.is_ownership
union all
select c.system_id, c.parent_resource_id, true, c.child_resource_id, false, c.is_eligible, true, false
from resource_grants c
where not c.is_content and not c.is_ownership
union all
select c.system_id, c.parent_resource_id, false, c.child_resource_id, false, c.is_eligible, true, false
from resource_grants c
where not c.is_content and not c.is_ownership;
