-- Every simple path by which a principal reaches a resource, shortest first, from the live tables.
--
-- First the other way round: what the principal reaches at all (`reach`, few rows whatever the resource's size), then
-- backwards from the resource inside that set. A search step keeps only the most promising partial paths (walked so
-- far plus what is left at least), so a dense tangle of groups cannot explode, and the shortest path is never lost.
-- is_cut says on every row that there may be more paths: that partial paths were given up, or were too long.
create function explain_access(
    p_system_id integer,
    p_principal_id uuid,
    p_resource_id uuid,
    p_max_depth integer default 12,
    p_limit integer default 50
)
returns table (
    path_number bigint, length integer, assignment_type text, access_state text, role_scope text, steps jsonb,
    is_cut boolean
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
              and a.assignment_type in ('Direct', 'Eligible', 'Governed')
              and a.role_scope <> '/owner'
              and a.extended_attributes ->> 'accessId' is distinct from 'owner'
            union all
            select c.child_resource_id, true
            from resource_grants c
            where c.system_id = p_system_id
              and c.parent_resource_id = reach.node
              and not c.is_ownership
              and reach.distance > 0
        ) hop
        where reach.distance < p_max_depth
    ),
    node as materialized (
        select r.node as id, min(r.distance) as distance, bool_or(r.is_member) as is_member
        from reach r
        group by r.node
    ),
    -- What is held, or given, between the nodes. gives_membership: who takes the edge is in what it leads to;
    -- gives_contents: has it as a package, so that it also has what that contains. needs_contents: only who has the
    -- package can take the edge; needs_direct: only who is a member of the group in its own right.
    found_edge as (
        select a.principal_id as from_id, a.resource_id as to_id, a.assignment_type as relation, a.role_scope,
               a.assignment_type as outcome_type, a.role_scope as outcome_scope,
               a.assignment_type = 'Eligible' as is_eligible,
               false as is_relationship,
               a.assignment_type in ('Direct', 'Eligible') and h.holds as gives_membership,
               a.assignment_type = 'Governed' and h.holds as gives_contents,
               true as needs_membership,
               false as needs_contents,
               n.id <> p_principal_id and exists (
                   select from group_access g
                   where g.system_id = p_system_id and g.resource_id = a.resource_id and g.group_id = a.principal_id
                     and g.assignment_type = a.assignment_type and g.role_scope = a.role_scope
                     and g.only_for_direct_members
               ) as needs_direct,
               a.start_date_time as since,
               a.first_seen_at,
               a.expiration_date_time as expires,
               a.sync_id,
               a.principal_type as from_kind
        from node n
        -- "offset 0": node by node by index, whatever number of nodes is expected.
        cross join lateral (
            select t.principal_id, t.resource_id, t.assignment_type, t.role_scope, t.principal_type,
                   t.extended_attributes, t.start_date_time, t.expiration_date_time, t.first_seen_at, t.sync_id
            from resource_assignments t
            where t.system_id = p_system_id and t.principal_id = n.id and t.deleted_at is null
              and t.assignment_type <> 'Scheduled'
            offset 0
        ) a
        cross join lateral (
            select a.role_scope <> '/owner' and a.extended_attributes ->> 'accessId' is distinct from 'owner' as holds
        ) h
        where (n.id = p_principal_id or n.is_member and a.principal_type = 'Group')
          and (a.resource_id = p_resource_id or a.resource_id in (select m.id from node m))
        union all
        select c.parent_resource_id, c.child_resource_id,
               case when c.is_content then 'Contains' else 'GrantsAccessTo' end,
               c.role_name, c.assignment_type, c.role_scope, c.is_eligible,
               true,
               not c.is_ownership,
               c.is_content and not c.is_ownership,
               false,
               c.is_content,
               false,
               null, c.first_seen_at, null, c.sync_id, null
        from node n
        cross join lateral (
            select g.parent_resource_id, g.child_resource_id, g.is_content, g.role_name, g.assignment_type, g.role_scope,
                   g.is_eligible, g.is_ownership, g.first_seen_at, g.sync_id
            from resource_grants g
            where g.system_id = p_system_id and g.parent_resource_id = n.id
            offset 0
        ) c
        where n.distance > 0
          and (c.child_resource_id = p_resource_id or c.child_resource_id in (select m.id from node m))
    ),
    edge as materialized (
        select row_number() over (order by f.is_relationship, f.from_id, f.to_id, f.relation, f.role_scope)::integer
                   as edge_id,
               f.from_id, f.to_id, f.relation, f.role_scope, f.outcome_type, f.outcome_scope, f.is_eligible,
               f.is_relationship, f.gives_membership, f.gives_contents, f.needs_membership, f.needs_contents,
               f.needs_direct, f.since, f.first_seen_at, f.expires, f.sync_id, f.from_kind,
               n.distance
        from found_edge f
        join node n on n.id = f.from_id
    ),
    walk (
        node, needs_membership, needs_contents, needs_direct, length, left_over, visited, edges, is_done
    ) as (
        select e.from_id, e.needs_membership, e.needs_contents, e.needs_direct, 1, e.distance,
               array[e.to_id, e.from_id], array[e.edge_id], e.from_id = p_principal_id and not e.is_relationship
        from edge e
        where e.to_id = p_resource_id
          and (e.from_id <> e.to_id or e.from_id = p_principal_id and not e.is_relationship)
          and p_max_depth > 0
        union all
        select e.from_id, e.needs_membership, e.needs_contents, e.needs_direct, w.length + 1, e.distance,
               w.visited || e.from_id, w.edges || e.edge_id, e.from_id = p_principal_id and not e.is_relationship
        from (
            select v.node, v.needs_membership, v.needs_contents, v.needs_direct, v.length, v.visited, v.edges,
                   row_number() over (order by v.left_over, v.edges) as place
            from walk v
            where not v.is_done
              and v.length + v.left_over <= p_max_depth
        ) w
        join edge e on e.to_id = w.node
        where w.place <= greatest(4 * p_limit, 200)
          and (e.gives_membership and not w.needs_contents or e.gives_contents and not w.needs_membership)
          and (not w.needs_direct or e.is_relationship or e.from_id = p_principal_id)
          and (e.from_id = p_principal_id and not e.is_relationship or e.from_id <> all (w.visited))
          and w.length < p_max_depth
    ),
    cut as (
        select exists (select from node n where n.distance = p_max_depth)
            or exists (select from walk w where not w.is_done and w.length + w.left_over > p_max_depth)
            or exists (
                select from walk w
                where not w.is_done and w.length + w.left_over <= p_max_depth
                group by w.length
                having count(*) > greatest(4 * p_limit, 200)
            ) as is_cut
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
           case when s.is_eligible then 'Eligible' else s.outcome_type end,
           case when s.is_eligible then 'Eligible' else 'Active' end,
           case when s.is_eligible and s.outcome_type = 'Owner' then '/owner' else s.outcome_scope end,
           s.steps,
           c.is_cut
    from path p
    cross join cut c
    cross join lateral (
        -- Positions count from the resource; the access is what the last edge on the way gives.
        select bool_or(e.is_eligible) as is_eligible,
               (array_agg(e.outcome_type order by o.position))[1] as outcome_type,
               (array_agg(e.outcome_scope order by o.position))[1] as outcome_scope,
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
