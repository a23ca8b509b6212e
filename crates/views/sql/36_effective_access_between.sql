-- What the given principals have of the given resources in effect: the rectangle of a matrix. Always what the live tables
-- say. Few nodes give these resources and few lead to those, so the way goes back from the resources and meets what the
-- principals hold, which is read once.
create function effective_access_between(p_system_id integer, p_principal_ids uuid[], p_resource_ids uuid[])
returns table (
    resource_id uuid, principal_id uuid, assignment_type text, role_scope text, via_kind text, via_id uuid
)
language plpgsql stable
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
begin
    if not access_closure_is_fresh(p_system_id) then
        return query
        select e.resource_id, e.principal_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
        from effective_access_of_principals(p_system_id, p_principal_ids) e
        where e.resource_id = any (p_resource_ids);
        return;
    end if;
    return query
    with own as materialized (
        select o.principal_id, o.resource_id, o.assignment_type, o.role_scope,
               o.makes_member, o.gives_contents, o.is_eligible
        from own_access o
        where o.system_id = p_system_id
          and o.principal_id = any (p_principal_ids)
    ),
    leads as materialized (
        select c.from_id, c.from_is_package, c.is_eligible,
               x.resource_id, x.assignment_type, x.role_scope, x.via_kind, x.node_id
        from (
            select n.node_id, n.is_package, n.resource_id, n.assignment_type, n.role_scope, n.needs_direct, n.via_kind
            from access_exits n
            where n.system_id = p_system_id and n.resource_id = any (p_resource_ids)
            offset 0
        ) x
        cross join lateral (
            select k.from_id, k.from_is_package, k.is_eligible
            from access_closure k
            where k.system_id = p_system_id and k.to_id = x.node_id and k.to_is_package = x.is_package
              and (k.is_direct or not x.needs_direct)
            offset 0
        ) c
    )
    select o.resource_id, o.principal_id, o.assignment_type, o.role_scope,
           'Direct', '00000000-0000-0000-0000-000000000000'::uuid
    from own o
    where o.resource_id = any (p_resource_ids)
    union all
    select distinct
           l.resource_id, o.principal_id,
           case when o.is_eligible or l.is_eligible then 'Eligible' else l.assignment_type end,
           case when (o.is_eligible or l.is_eligible) and l.assignment_type = 'Owner' then '/owner' else l.role_scope end,
           l.via_kind, l.node_id
    from own o
    join leads l on l.from_id = o.resource_id
    where case when l.from_is_package then o.gives_contents else o.makes_member end;
end
$$;
