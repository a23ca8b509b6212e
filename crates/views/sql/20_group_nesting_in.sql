-- The groups inside each group of the given systems, itself included. The recursion runs over the finite set of
-- (group, nested group, eligible) and UNION drops what it met already, so a cycle ends by itself.
create function group_nesting_in(p_system_ids integer[])
returns table (system_id integer, group_id uuid, nested_group_id uuid, is_eligible boolean)
language sql stable
as $$
    with recursive nested_edge as materialized (
        select distinct e.system_id, e.group_id, e.member_id, e.is_eligible
        from membership_edges e
        where e.system_id = any (p_system_ids)
          and e.is_group
    ),
    known_group as (
        select a.system_id, a.principal_id as group_id
        from resource_assignments a
        where a.system_id = any (p_system_ids)
          and a.principal_type = 'Group'
          and a.deleted_at is null
        union
        select r.system_id, r.id
        from resources r
        where r.system_id = any (p_system_ids)
          and r.resource_type like '%Group'
          and r.deleted_at is null
    ),
    nesting (system_id, group_id, nested_group_id, is_eligible) as (
        select g.system_id, g.group_id, g.group_id, false
        from known_group g
        union
        select n.system_id, n.group_id, e.member_id, n.is_eligible or e.is_eligible
        from nesting n
        join nested_edge e on e.system_id = n.system_id and e.group_id = n.nested_group_id
    )
    select n.system_id, n.group_id, n.nested_group_id, n.is_eligible
    from nesting n
$$;
