-- What resources give to whoever has them. Contains: to whom the package (parent) was given has the child, in the role
-- that role_name says. GrantsAccessTo: whoever has the parent at all has the child.
create view resource_grants as
select r.system_id,
       r.parent_resource_id,
       r.child_resource_id,
       r.relationship_type = 'Contains' as is_content,
       r.role_name,
       r.role_name ilike 'owner%' or r.role_name ilike 'eligible owner%' as is_ownership,
       r.role_name ilike 'eligible %' as is_eligible,
       case
           when r.role_name ilike 'eligible %' then 'Eligible'
           when r.role_name ilike 'owner%' then 'Owner'
           else 'Direct'
       end as assignment_type,
       case when r.role_name ilike 'eligible owner%' then '/owner' else '/' end as role_scope,
       r.first_seen_at,
       r.sync_id
from resource_relationships r
where r.deleted_at is null
  and r.relationship_type in ('Contains', 'GrantsAccessTo');
