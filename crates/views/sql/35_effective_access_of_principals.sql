-- What the given principals have in effect: always what the live tables say. Where the closure is up to date it leads from
-- what they hold to all that this leads to; else the walk goes from node to node. With p_without_package_id as if that
-- package had been taken away with everything that it gives: also assignments of its contents, which remain only where
-- something else gives them.
--
-- Nested loops only: an estimate that is wrong must not lead through a table of millions of rows. "offset 0" makes each
-- lateral question one of its own, whose node goes into every branch of the view; a join would compute the whole view.
create function effective_access_of_principals(
    p_system_id integer,
    p_principal_ids uuid[],
    p_without_package_id uuid default null
)
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
    if p_without_package_id is null and access_closure_is_fresh(p_system_id) then
        return query
        select o.resource_id, o.principal_id, o.assignment_type, o.role_scope,
               'Direct', '00000000-0000-0000-0000-000000000000'::uuid
        from own_access o
        where o.system_id = p_system_id
          and o.principal_id = any (p_principal_ids);
        return query
        with reached as materialized (
            select distinct o.principal_id, c.to_id as node_id, c.to_is_package as is_package,
                   o.is_eligible or c.is_eligible as is_eligible, c.is_direct
            from own_access o
            cross join lateral (
                select k.to_id, k.to_is_package, k.is_eligible, k.is_direct
                from access_closure k
                where k.system_id = p_system_id and k.from_id = o.resource_id and k.from_is_package = o.gives_contents
                offset 0
            ) c
            where o.system_id = p_system_id
              and o.principal_id = any (p_principal_ids)
              and (o.makes_member or o.gives_contents)
        ),
        -- Each node once, however many are in it.
        exits as materialized (
            select x.node_id, x.is_package, x.resource_id, x.assignment_type, x.role_scope, x.needs_direct, x.via_kind
            from (select distinct r.node_id, r.is_package from reached r) r
            cross join lateral (
                select n.node_id, n.is_package, n.resource_id, n.assignment_type, n.role_scope, n.needs_direct,
                       n.via_kind
                from access_exits n
                where n.system_id = p_system_id and n.node_id = r.node_id and n.is_package = r.is_package
                offset 0
            ) x
        )
        select distinct
               x.resource_id, r.principal_id,
               case when r.is_eligible then 'Eligible' else x.assignment_type end,
               case when r.is_eligible and x.assignment_type = 'Owner' then '/owner' else x.role_scope end,
               x.via_kind, x.node_id
        from reached r
        join exits x on x.node_id = r.node_id and x.is_package = r.is_package
        where r.is_direct or not x.needs_direct;
        return;
    end if;
    return query
    with recursive own as materialized (
        select o.principal_id, o.resource_id, o.assignment_type, o.role_scope,
               o.makes_member, o.gives_contents, o.is_eligible
        from own_access o
        where o.system_id = p_system_id
          and o.principal_id = any (p_principal_ids)
          and (
              p_without_package_id is null
              or not (o.resource_id = p_without_package_id and o.assignment_type = 'Governed')
                 and not exists (
                     select from resource_grants c
                     where c.system_id = p_system_id
                       and c.parent_resource_id = p_without_package_id
                       and c.is_content
                       and c.child_resource_id = o.resource_id
                       and c.is_ownership = (o.assignment_type = 'Owner' or o.role_scope = '/owner')
                       and c.is_eligible = o.is_eligible
                       and o.assignment_type in ('Direct', 'Owner', 'Eligible')
                 )
          )
    ),
    reached (principal_id, node_id, is_package, is_eligible, is_direct) as (
        select o.principal_id, o.resource_id, o.gives_contents, o.is_eligible, true
        from own o
        where o.makes_member or o.gives_contents
        union
        select r.principal_id, e.to_id, e.to_is_package, r.is_eligible or e.is_eligible, e.is_direct
        from reached r
        cross join lateral (
            select n.to_id, n.to_is_package, n.is_eligible, n.is_direct, n.needs_direct
            from access_edges n
            where n.system_id = p_system_id and n.from_id = r.node_id and n.from_is_package = r.is_package
            offset 0
        ) e
        where (r.is_direct or not e.needs_direct)
          and (p_without_package_id is null or not (e.to_is_package and e.to_id = p_without_package_id))
    )
    select o.resource_id, o.principal_id, o.assignment_type, o.role_scope,
           'Direct', '00000000-0000-0000-0000-000000000000'::uuid
    from own o
    union all
    select distinct
           x.resource_id, r.principal_id,
           case when r.is_eligible then 'Eligible' else x.assignment_type end,
           case when r.is_eligible and x.assignment_type = 'Owner' then '/owner' else x.role_scope end,
           x.via_kind, x.node_id
    from reached r
    cross join lateral (
        select n.node_id, n.resource_id, n.assignment_type, n.role_scope, n.needs_direct, n.via_kind
        from access_exits n
        where n.system_id = p_system_id and n.node_id = r.node_id and n.is_package = r.is_package
        offset 0
    ) x
    where (r.is_direct or not x.needs_direct)
      and (p_without_package_id is null or not (x.resource_id = p_without_package_id and x.assignment_type = 'Governed'));
end
$$;
