(
    -- What one principal has in effect, from the live tables, with names and the assignment behind each way.
    select {system} as system_id, e.resource_id, r.display_name as resource_name, r.resource_type, e.assignment_type,
           case when e.assignment_type = 'Eligible' then 'Eligible' else 'Active' end as access_state,
           e.role_scope, e.via_kind = 'Direct' as is_direct, e.via_kind, e.via_id as via_key,
           nullif(e.via_id, '00000000-0000-0000-0000-000000000000') as via_id, v.display_name as via_name,
           a.state, a.start_date_time, a.expiration_date_time, a.first_seen_at
    from effective_access_of_principals({system}, array[{principal}]) e
    left join resources r on r.system_id = {system} and r.id = e.resource_id and r.deleted_at is null
    left join resources v on v.system_id = {system} and v.id = e.via_id and v.deleted_at is null
    left join lateral access_behind(
        {system}, e.resource_id, e.principal_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
    ) a on true
)
