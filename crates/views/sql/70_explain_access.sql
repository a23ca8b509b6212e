-- Every simple path by which a principal reaches a resource, shortest first, from the live tables.
--
-- First the other way round: what the principal reaches at all (`reach`, few rows whatever the resource's size), then
-- backwards from the resource inside that set. A search step keeps only the most promising partial paths (walked so
-- far plus what is left at least), so a dense tangle of groups cannot explode, and the shortest path is never lost.
create function explain_access(
    p_system_id integer,
    p_principal_id uuid,
    p_resource_id uuid,
    p_max_depth integer default 12,
    p_limit integer default 50
)
returns table (
    path_number bigint, length integer, assignment_type text, access_state text, role_scope text, steps jsonb
)
language sql stable
as $$
    with recursive reach (node, is_member, distance) as (
        select p_principal_id, true, 0
        union
        select hop.node, hop.is_member, reach.distance + 1
        from reach
        cross join lateral (
            select a.resource_id as node,
                   a.assignment_type in ('Direct', 'Eligible') as is_member
            from resource_assignments a
            where a.system_id = p_system_id
              and a.principal_id = reach.node
              and a.deleted_at is null
              and (reach.distance = 0 or reach.is_member and a.principal_type = 'Group')
              and a.assignment_type in ('Direct', 'Eligible', 'Governed', 'Indirect')
              and a.role_scope <> '/owner'
              and a.extended_attributes ->> 'accessId' is distinct from 'owner'
            union all
            select r.child_resource_id, true
            from resource_relationships r
            where r.system_id = p_system_id
              and r.parent_resource_id = reach.node
              and r.deleted_at is null
              and r.relationship_type in ('Contains', 'GrantsAccessTo')
              and r.role_name not ilike 'owner%'
              and reach.distance > 0
        ) hop
        where reach.distance < p_max_depth
    ),
    node as materialized (
        select r.node as id, min(r.distance) as distance, bool_or(r.is_member) as is_member
        from reach r
        group by r.node
    ),
    -- What is held, or given, between the nodes. is_membership: who stands before the edge is a member of what comes
    -- after it; is_conveyed: has it, so that it also has what that contains.
    found_edge as (
        select a.principal_id as from_id, a.resource_id as to_id, a.assignment_type as relation, a.role_scope,
               false as is_relationship,
               a.assignment_type in ('Direct', 'Eligible') and h.holds as is_membership,
               a.assignment_type in ('Direct', 'Eligible', 'Governed', 'Indirect') and h.holds as is_conveyed,
               a.start_date_time as since,
               a.first_seen_at,
               a.expiration_date_time as expires,
               a.sync_id,
               a.principal_type as from_kind
        from node n
        join resource_assignments a
          on a.system_id = p_system_id and a.principal_id = n.id and a.deleted_at is null
        cross join lateral (
            select a.role_scope <> '/owner' and a.extended_attributes ->> 'accessId' is distinct from 'owner' as holds
        ) h
        where (n.id = p_principal_id or n.is_member and a.principal_type = 'Group')
          and (a.resource_id = p_resource_id or a.resource_id in (select m.id from node m))
        union all
        select r.parent_resource_id, r.child_resource_id, r.relationship_type, r.role_name,
               true,
               r.role_name not ilike 'owner%',
               r.role_name not ilike 'owner%',
               null, r.first_seen_at, null, r.sync_id, null
        from node n
        join resource_relationships r
          on r.system_id = p_system_id and r.parent_resource_id = n.id and r.deleted_at is null
        where r.relationship_type in ('Contains', 'GrantsAccessTo')
          and n.distance > 0
          and (r.child_resource_id = p_resource_id or r.child_resource_id in (select m.id from node m))
    ),
    edge as materialized (
        select row_number() over (order by f.is_relationship, f.from_id, f.to_id, f.relation, f.role_scope)::integer
                   as edge_id,
               f.from_id, f.to_id, f.relation, f.role_scope, f.is_relationship, f.is_membership, f.is_conveyed,
               f.since, f.first_seen_at, f.expires, f.sync_id, f.from_kind,
               n.distance
        from found_edge f
        join node n on n.id = f.from_id
    ),
    walk (node, needs_membership, length, left_over, visited, edges, is_done) as (
        select e.from_id, not e.is_relationship, 1, e.distance, array[e.to_id, e.from_id], array[e.edge_id],
               e.from_id = p_principal_id and not e.is_relationship
        from edge e
        where e.to_id = p_resource_id
          and (e.from_id <> e.to_id or e.from_id = p_principal_id and not e.is_relationship)
          and p_max_depth > 0
        union all
        select e.from_id, not e.is_relationship, w.length + 1, e.distance, w.visited || e.from_id,
               w.edges || e.edge_id, e.from_id = p_principal_id and not e.is_relationship
        from (
            select v.node, v.needs_membership, v.length, v.visited, v.edges,
                   row_number() over (order by v.left_over, v.edges) as place
            from walk v
            where not v.is_done
              and v.length + v.left_over <= p_max_depth
        ) w
        join edge e on e.to_id = w.node
        where w.place <= greatest(4 * p_limit, 200)
          and case when w.needs_membership then e.is_membership else e.is_conveyed end
          and (e.from_id = p_principal_id and not e.is_relationship or e.from_id <> all (w.visited))
          and w.length < p_max_depth
    ),
    path as (
        select row_number() over (order by w.length, w.edges) as path_number, w.length, w.edges
        from walk w
        where w.is_done
        order by w.length, w.edges
        limit p_limit
    )
    select p.path_number,
           p.length,
           case when s.is_eligible then 'Eligible' else s.relation end,
           case when s.is_eligible then 'Eligible' else 'Active' end,
           case when s.is_eligible and s.relation = 'Owner' then '/owner' else s.role_scope end,
           s.steps
    from path p
    cross join lateral (
        -- Positions count from the resource; the access is of the type of the last assignment on the way.
        select bool_or(not e.is_relationship and e.relation = 'Eligible') as is_eligible,
               (array_agg(e.relation order by o.position) filter (where not e.is_relationship))[1] as relation,
               (array_agg(e.role_scope order by o.position) filter (where not e.is_relationship))[1] as role_scope,
               jsonb_agg(
                   jsonb_build_object(
                       'fromId', e.from_id,
                       'fromName', coalesce(fp.display_name, fr.display_name),
                       'fromKind', coalesce(fp.principal_type, fr.resource_type, e.from_kind),
                       'relation', e.relation,
                       'roleScope', e.role_scope,
                       'toId', e.to_id,
                       'toName', t.display_name,
                       'toType', t.resource_type,
                       'since', e.since,
                       'firstSeenAt', e.first_seen_at,
                       'expires', e.expires,
                       'syncId', e.sync_id
                   )
                   order by o.position desc
               ) as steps
        from unnest(p.edges) with ordinality o (edge_id, position)
        join edge e on e.edge_id = o.edge_id
        left join principals fp
          on fp.system_id = p_system_id and fp.id = e.from_id and fp.deleted_at is null
             and e.from_id = p_principal_id and not e.is_relationship
        left join resources fr
          on fr.system_id = p_system_id and fr.id = e.from_id and fr.deleted_at is null
        left join resources t
          on t.system_id = p_system_id and t.id = e.to_id and t.deleted_at is null
    ) s
    order by p.path_number
$$;
