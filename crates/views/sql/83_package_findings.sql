-- Packages that need a look: what they contain is not in the register, they contain nothing, nobody has them, nobody can
-- ask for them.
create view package_findings as
select c.system_id, c.package_id, 'content_missing' as finding, c.resource_id
from package_contents c
where c.is_missing
union all
select p.system_id, p.id, 'no_contents', null
from resources p
where p.deleted_at is null
  and p.resource_type = 'BusinessRole'
  and not exists (
      select from resource_grants c
      where c.system_id = p.system_id and c.parent_resource_id = p.id and c.is_content
  )
union all
select p.system_id, p.id, 'no_holders', null
from resources p
where p.deleted_at is null
  and p.resource_type = 'BusinessRole'
  and not exists (
      select from resource_assignments a
      where a.system_id = p.system_id and a.resource_id = p.id and a.assignment_type = 'Governed'
        and a.deleted_at is null
  )
union all
select p.system_id, p.id, 'no_policy', null
from resources p
where p.deleted_at is null
  and p.resource_type = 'BusinessRole'
  and not exists (
      select from assignment_policies y
      where y.system_id = p.system_id and y.resource_id = p.id and y.deleted_at is null
  );
