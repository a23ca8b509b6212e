-- Who has a resource in effect, of the principals after the given one: at least so many rows, in whole principals, if
-- there are so many. A page must not cost as much as all pages, so the principals are cut into ranges, each of which has
-- some more rows than are needed in the node that has most of them.
create function effective_access_after(p_system_id integer, p_resource_id uuid, p_after uuid, p_rows bigint)
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
declare
    v_nodes uuid[] := array[p_resource_id];
    v_after uuid := p_after;
    v_until uuid;
    v_take bigint;
    v_given bigint := 0;
    v_more bigint;
begin
    -- Without the closure it is not known beforehand who leads here: all is one range.
    if access_closure_is_fresh(p_system_id) then
        v_nodes := v_nodes || array(
            select distinct k.from_id
            from access_exits x
            cross join lateral (
                select c.from_id
                from access_closure c
                where c.system_id = p_system_id and c.to_id = x.node_id and c.to_is_package = x.is_package
                offset 0
            ) k
            where x.system_id = p_system_id and x.resource_id = p_resource_id
        );
        v_take := 1 + 2 * p_rows / cardinality(v_nodes);
    end if;
    loop
        select s.until_id into v_until
        from unnest(v_nodes) n (node_id)
        cross join lateral (
            select a.principal_id as until_id
            from resource_assignments a
            where a.system_id = p_system_id and a.resource_id = n.node_id and a.principal_id > v_after
            order by a.principal_id
            offset v_take limit 1
        ) s
        where v_take is not null
        order by s.until_id
        limit 1;
        return query
        select e.resource_id, e.principal_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
        from effective_access_of_resources(p_system_id, array[p_resource_id], v_after, v_until) e;
        get diagnostics v_more = row_count;
        v_given := v_given + v_more;
        exit when v_until is null or v_given >= p_rows;
        v_after := v_until;
        v_take := 2 * v_take;
    end loop;
end
$$;
