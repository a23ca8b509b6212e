-- What principals hold themselves: live assignments of everything that is no group. makes_member and gives_contents say
-- what follows from it; never both. Scheduled rows only date a Direct or Owner one, which counts.
create view own_access as
select a.system_id,
       a.resource_id,
       a.principal_id,
       a.assignment_type,
       a.role_scope,
       a.assignment_type in ('Direct', 'Eligible')
           and a.role_scope <> '/owner'
           and a.extended_attributes ->> 'accessId' is distinct from 'owner' as makes_member,
       a.assignment_type = 'Governed'
           and a.role_scope <> '/owner'
           and a.extended_attributes ->> 'accessId' is distinct from 'owner' as gives_contents,
       a.assignment_type = 'Eligible' as is_eligible
from resource_assignments a
where a.deleted_at is null
  and a.assignment_type <> 'Scheduled'
  and a.principal_type is distinct from 'Group';
