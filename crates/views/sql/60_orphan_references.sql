-- References that point nowhere: the object is not in the register, or was removed from it. kind says which end of
-- what is missing, referring_id is the other end.
create view orphan_references as
select a.system_id, 'assignment_principal' as kind, a.principal_id as missing_id, a.resource_id as referring_id,
       a.assignment_type as relation
from resource_assignments a
where a.deleted_at is null
  and a.principal_type is distinct from 'Group'
  and not exists (
      select from principals p
      where p.system_id = a.system_id and p.id = a.principal_id and p.deleted_at is null
  )
union all
select a.system_id, 'assignment_group', a.principal_id, a.resource_id, a.assignment_type
from resource_assignments a
where a.deleted_at is null
  and a.principal_type = 'Group'
  and not exists (
      select from resources r
      where r.system_id = a.system_id and r.id = a.principal_id and r.deleted_at is null
  )
union all
select a.system_id, 'assignment_resource', a.resource_id, a.principal_id, a.assignment_type
from resource_assignments a
where a.deleted_at is null
  and not exists (
      select from resources r
      where r.system_id = a.system_id and r.id = a.resource_id and r.deleted_at is null
  )
union all
select c.system_id, 'relationship_parent', c.parent_resource_id, c.child_resource_id, c.relationship_type
from resource_relationships c
where c.deleted_at is null
  and not exists (
      select from resources r
      where r.system_id = c.system_id and r.id = c.parent_resource_id and r.deleted_at is null
  )
union all
select c.system_id, 'relationship_child', c.child_resource_id, c.parent_resource_id, c.relationship_type
from resource_relationships c
where c.deleted_at is null
  and not exists (
      select from resources r
      where r.system_id = c.system_id and r.id = c.child_resource_id and r.deleted_at is null
  );
