-- Who has the given resources in effect: always what the live tables say. Where the closure is up to date it leads from
-- what gives the resource to those who are in that; else the walk goes back edge by edge. With p_after and p_until only of
-- principals after the one, up to the other (included): said so that the index finds them whatever plan is kept.
create function effective_access_of_resources(
    p_system_id integer,
    p_resource_ids uuid[],
    p_after uuid default null,
    p_until uuid default null
)
returns table (
    resource_id uuid, principal_id uuid, assignment_type text, role_scope text, via_kind text, via_id uuid
)
language plpgsql stable
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    select o.resource_id, o.principal_id, o.assignment_type, o.role_scope,
           'Direct', '00000000-0000-0000-0000-000000000000'::uuid
    from own_access o
    where o.system_id = p_system_id
      and o.resource_id = any (p_resource_ids)
      and o.principal_id >= coalesce(p_after, '00000000-0000-0000-0000-000000000000')
      and o.principal_id is distinct from p_after
      and o.principal_id <= coalesce(p_until, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    if access_closure_is_fresh(p_system_id) then
        return query
        with exits as materialized (
            select x.node_id, x.is_package, x.resource_id, x.assignment_type, x.role_scope, x.needs_direct, x.via_kind
            from access_exits x
            where x.system_id = p_system_id
              and x.resource_id = any (p_resource_ids)
        )
        select distinct
               x.resource_id, o.principal_id,
               case when o.is_eligible or c.is_eligible then 'Eligible' else x.assignment_type end,
               case
                   when (o.is_eligible or c.is_eligible) and x.assignment_type = 'Owner' then '/owner'
                   else x.role_scope
               end,
               x.via_kind, x.node_id
        from exits x
        cross join lateral (
            select k.from_id, k.from_is_package, k.is_eligible
            from access_closure k
            where k.system_id = p_system_id and k.to_id = x.node_id and k.to_is_package = x.is_package
              and (k.is_direct or not x.needs_direct)
            offset 0
        ) c
        cross join lateral (
            select h.principal_id, h.is_eligible
            from own_access h
            where h.system_id = p_system_id and h.resource_id = c.from_id
              and case when c.from_is_package then h.gives_contents else h.makes_member end
              and h.principal_id >= coalesce(p_after, '00000000-0000-0000-0000-000000000000')
              and h.principal_id is distinct from p_after
              and h.principal_id <= coalesce(p_until, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            offset 0
        ) o;
    else
        return query
        with recursive exits as materialized (
            select x.node_id, x.is_package, x.resource_id, x.assignment_type, x.role_scope, x.needs_direct, x.via_kind
            from access_exits x
            where x.system_id = p_system_id
              and x.resource_id = any (p_resource_ids)
        ),
        -- From which nodes one comes to each node that gives something. ends_direct is about the last step of the way,
        -- which is the first one found; must_be_direct is about the step into node_id, which is found next.
        origin (exit_id, exit_is_package, node_id, is_package, is_eligible, is_end, ends_direct, must_be_direct) as (
            select distinct x.node_id, x.is_package, x.node_id, x.is_package, false, true, true, false
            from exits x
            union
            select g.exit_id, g.exit_is_package, e.from_id, e.from_is_package, g.is_eligible or e.is_eligible, false,
                   case when g.is_end then e.is_direct else g.ends_direct end, e.needs_direct
            from origin g
            cross join lateral (
                select n.from_id, n.from_is_package, n.is_eligible, n.is_direct, n.needs_direct
                from access_edges n
                where n.system_id = p_system_id and n.to_id = g.node_id and n.to_is_package = g.is_package
                offset 0
            ) e
            where e.is_direct or not g.must_be_direct
        )
        select distinct
               x.resource_id, o.principal_id,
               case when o.is_eligible or g.is_eligible then 'Eligible' else x.assignment_type end,
               case
                   when (o.is_eligible or g.is_eligible) and x.assignment_type = 'Owner' then '/owner'
                   else x.role_scope
               end,
               x.via_kind, x.node_id
        from exits x
        join origin g on g.exit_id = x.node_id and g.exit_is_package = x.is_package
        cross join lateral (
            select h.principal_id, h.is_eligible
            from own_access h
            where h.system_id = p_system_id and h.resource_id = g.node_id
              and case when g.is_package then h.gives_contents else h.makes_member end
              and h.principal_id >= coalesce(p_after, '00000000-0000-0000-0000-000000000000')
              and h.principal_id is distinct from p_after
              and h.principal_id <= coalesce(p_until, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            offset 0
        ) o
        where g.ends_direct or not x.needs_direct;
    end if;
end
$$;
