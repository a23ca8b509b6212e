-- What groups hold: as own_access. only_for_direct_members: Entra gives an application's roles to a group's own members,
-- not to those of the groups inside it.
create view group_access as
select a.system_id,
       a.resource_id,
       a.principal_id as group_id,
       a.assignment_type,
       a.role_scope,
       a.assignment_type in ('Direct', 'Eligible')
           and a.role_scope <> '/owner'
           and a.extended_attributes ->> 'accessId' is distinct from 'owner' as makes_member,
       a.assignment_type = 'Governed'
           and a.role_scope <> '/owner'
           and a.extended_attributes ->> 'accessId' is distinct from 'owner' as gives_contents,
       a.assignment_type = 'Eligible' as is_eligible,
       coalesce(a.resource_type in ('EntraAppRole', 'EntraApplication'), false)
           or exists (
               select from resources r
               where r.system_id = a.system_id
                 and r.id = a.resource_id
                 and r.deleted_at is null
                 and r.resource_type in ('EntraAppRole', 'EntraApplication')
           ) as only_for_direct_members
from resource_assignments a
where a.deleted_at is null
  and a.assignment_type <> 'Scheduled'
  and a.principal_type = 'Group';
