-- Who has which package now: it was given to them, to a group that they are in, or by another package.
create view package_holders as
select distinct e.system_id, e.resource_id as package_id, e.principal_id
from effective_access e
where e.assignment_type = 'Governed'
   or e.via_kind = 'Package'
      and e.assignment_type = 'Direct'
      and exists (
          select from resource_grants c
          where c.system_id = e.system_id and c.parent_resource_id = e.resource_id and c.is_content
      );
