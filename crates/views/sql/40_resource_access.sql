-- Who has which access, with names: effective_access and the live assignment behind each row. A name is null where the
-- register does not (or no longer) know the object; orphan_references lists those.
create view resource_access as
select e.system_id,
       e.resource_id,
       r.display_name as resource_name,
       r.resource_type,
       e.principal_id,
       p.display_name as principal_name,
       p.principal_type,
       p.user_principal_name,
       p.account_enabled,
       e.assignment_type,
       case when e.assignment_type = 'Eligible' then 'Eligible' else 'Active' end as access_state,
       e.role_scope,
       e.via_kind = 'Direct' as is_direct,
       e.via_kind,
       nullif(e.via_id, '00000000-0000-0000-0000-000000000000') as via_id,
       v.display_name as via_name,
       a.state,
       a.start_date_time,
       a.expiration_date_time,
       a.first_seen_at
from effective_access e
left join resources r on r.system_id = e.system_id and r.id = e.resource_id and r.deleted_at is null
left join principals p on p.system_id = e.system_id and p.id = e.principal_id and p.deleted_at is null
left join resources v on v.system_id = e.system_id and v.id = e.via_id and v.deleted_at is null
left join lateral access_behind(
    e.system_id, e.resource_id, e.principal_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
) a on true;
