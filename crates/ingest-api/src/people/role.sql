-- The roles that an account has now: those of the groups that its principal is a live member of, by any number of steps, and
-- that of the local admin. Rows are looked at as they are, never what a view refresh kept of them.
with recursive principal as (
    select p.system_id, p.id
    from accounts a
    join systems s on s.workspace_id = a.workspace_id and s.deleted_at is null
        and (case when a.directory_id is null then s.system_id = a.system_id
                  else lower(s.tenant_id) = a.directory_id end)
    join principals p on p.system_id = s.system_id and p.id = a.principal_id and p.deleted_at is null
    where a.account_id = $1
      and p.account_enabled is distinct from false
      -- Who was found by a value is found by it still.
      and (a.link_column is null or a.link_value = case a.link_column
          when 'id' then p.id::text
          when 'external_id' then p.external_id
          when 'user_principal_name' then p.user_principal_name
          when 'email' then p.email
          when 'employee_id' then p.employee_id
      end)
), membership as (
    select p.system_id, p.id as group_id, false as is_group
    from principal p
    union
    select m.system_id, r.resource_id, true
    from membership m
    join resource_assignments r on r.system_id = m.system_id and r.principal_id = m.group_id
        and (r.principal_type is not distinct from 'Group') = m.is_group
    where r.deleted_at is null
      and r.assignment_type = 'Direct'
      and r.role_scope <> '/owner'
      and r.extended_attributes ->> 'accessId' is distinct from 'owner'
      and (r.start_date_time is null or r.start_date_time <= now())
      and (r.expiration_date_time is null or r.expiration_date_time > now())
)
select distinct m.role
from membership g
join role_mappings m on m.system_id = g.system_id and m.resource_id = g.group_id
join accounts a on a.account_id = $1 and a.workspace_id = m.workspace_id
join resources r on r.system_id = m.system_id and r.id = m.resource_id and r.deleted_at is null
where g.is_group
union
select 'admin' from accounts where account_id = $1 and is_local_admin
