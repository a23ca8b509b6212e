-- What would go, and what would remain, if a package were removed: every access that it has a part in, of those
-- who have it now.
-- Assignments of its contents go with it, as Entra takes them away; they remain where something else gives the same.
create function access_without_package(p_system_id integer, p_package_id uuid)
returns table (
    principal_id uuid, resource_id uuid, assignment_type text, role_scope text, remains boolean
)
language sql stable
as $$
    with holder as materialized (
        select array_agg(distinct h.principal_id) as ids
        from effective_access_of_resources(p_system_id, array[p_package_id]) h
        where h.assignment_type = 'Governed' and h.role_scope <> '/owner'
           or h.assignment_type = 'Direct' and h.via_kind = 'Package'
    ),
    before as materialized (
        select e.principal_id, e.resource_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
        from holder h
        cross join lateral effective_access_of_principals(p_system_id, h.ids) e
    ),
    after as materialized (
        select e.principal_id, e.resource_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
        from holder h
        cross join lateral effective_access_of_principals(p_system_id, h.ids, p_package_id) e
    )
    select distinct b.principal_id, b.resource_id, b.assignment_type, b.role_scope,
           exists (
               select from after a
               where a.principal_id = b.principal_id and a.resource_id = b.resource_id
                 and a.assignment_type = b.assignment_type and a.role_scope = b.role_scope
           )
    from before b
    where not exists (
        select from after a
        where a.principal_id = b.principal_id and a.resource_id = b.resource_id
          and a.assignment_type = b.assignment_type and a.role_scope = b.role_scope
          and a.via_kind = b.via_kind and a.via_id = b.via_id
    )
$$;
