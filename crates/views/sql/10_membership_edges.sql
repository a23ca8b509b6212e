-- Who is directly in what: live assignments that make their holder a member. Owning a group, or being eligible to own
-- it, makes nobody a member.
create view membership_edges as
select a.system_id,
       a.resource_id as group_id,
       a.principal_id as member_id,
       a.principal_type is not distinct from 'Group' as is_group,
       a.assignment_type = 'Eligible' as is_eligible
from resource_assignments a
where a.deleted_at is null
  and a.assignment_type in ('Direct', 'Eligible')
  and a.role_scope <> '/owner'
  and a.extended_attributes ->> 'accessId' is distinct from 'owner';
