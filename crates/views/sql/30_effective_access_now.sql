-- What effective_access should hold for the given systems. A principal has its own assignments (via the zero uuid)
-- and those of each group that it is in, however deep. An eligible membership on the way makes the access Eligible;
-- ownership reached so is eligible ownership, which the register writes as Eligible with scope /owner.
create function effective_access_now(p_system_ids integer[])
returns table (
    system_id integer, resource_id uuid, principal_id uuid, assignment_type text, role_scope text, via_group_id uuid
)
language sql stable
as $$
    with nesting as materialized (
        select n.system_id, n.group_id, n.nested_group_id, n.is_eligible
        from group_nesting_in(p_system_ids) n
    ),
    held_by_group as materialized (
        select a.system_id, a.resource_id, a.principal_id as group_id, a.assignment_type, a.role_scope
        from resource_assignments a
        where a.system_id = any (p_system_ids)
          and a.deleted_at is null
          and a.principal_type = 'Group'
    ),
    -- Only groups that hold something: most memberships end here. A step of its own, because the planner would
    -- otherwise join every membership with every such group of the system first.
    holder_nesting as materialized (
        select n.system_id, n.group_id, n.nested_group_id, n.is_eligible
        from nesting n
        where exists (
            select from held_by_group h where h.system_id = n.system_id and h.group_id = n.group_id
        )
    ),
    group_member as materialized (
        select distinct n.system_id, n.group_id, e.member_id, n.is_eligible or e.is_eligible as is_eligible
        from holder_nesting n
        join membership_edges e
          on e.system_id = n.system_id and e.group_id = n.nested_group_id and not e.is_group
    )
    select a.system_id, a.resource_id, a.principal_id, a.assignment_type, a.role_scope,
           '00000000-0000-0000-0000-000000000000'::uuid
    from resource_assignments a
    where a.system_id = any (p_system_ids)
      and a.deleted_at is null
      and a.principal_type is distinct from 'Group'
    union
    select h.system_id, h.resource_id, m.member_id,
           case when m.is_eligible then 'Eligible' else h.assignment_type end,
           case when m.is_eligible and h.assignment_type = 'Owner' then '/owner' else h.role_scope end,
           h.group_id
    from held_by_group h
    join group_member m on m.system_id = h.system_id and m.group_id = h.group_id
$$;
