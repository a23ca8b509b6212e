-- A tenant of $1 principals, $2 groups and about $3 assignments of people. Of the groups two fifths are nested, up to
-- eight deep, some in circles; some hold roles, roles of applications or packages.
with size as (select $1::bigint as people, $2::bigint as groups, $3::bigint as assignments),
person as (
    insert into principals (system_id, id, principal_type, display_name, account_enabled, content_hash, first_seen_at,
                            valid_from, sync_id)
    select 1, md5('p' || n)::uuid, 'User', 'Person ' || n, n % 50 <> 0, '\x00'::bytea, now(), now(), gen_random_uuid()
    from size s, generate_series(1, s.people) n
),
thing as (
    insert into resources (system_id, id, resource_type, display_name, content_hash, first_seen_at, valid_from, sync_id)
    select 1, md5('g' || n)::uuid, 'EntraGroup', 'Group ' || n, '\x00'::bytea, now(), now(), gen_random_uuid()
    from size s, generate_series(1, s.groups) n
    union all
    select 1, md5('r' || n)::uuid,
           case when n <= 120 then 'EntraDirectoryRole' when n <= 1500 then 'EntraAppRole' else 'BusinessRole' end,
           'Resource ' || n, '\x00'::bytea, now(), now(), gen_random_uuid()
    from generate_series(1, 2000) n
),
content as (
    insert into resource_relationships (system_id, parent_resource_id, child_resource_id, relationship_type, role_name,
                                        content_hash, first_seen_at, valid_from, sync_id)
    select 1, md5('r' || p)::uuid, md5('g' || 1 + (p * 7919 + k * 104729) % s.groups)::uuid, 'Contains', 'Member',
           '\x00'::bytea, now(), now(), gen_random_uuid()
    from size s, generate_series(1501, 2000) p, generate_series(1, 4) k
),
held as (
    -- Nesting: chains of nine, a second parent for every third group, and the top in the bottom of every hundredth.
    select md5('g' || n - 1)::uuid as resource_id, md5('g' || n)::uuid as principal_id,
           case when n % 200 = 1 then 'Eligible' else 'Direct' end as assignment_type, 'Group' as principal_type
    from size s, generate_series(1, s.groups * 2 / 5) n
    where n % 9 > 0
    union all
    select md5('g' || n * 37 % (s.groups * 2 / 5) / 9 * 9 + n % 9 - 1)::uuid, md5('g' || n)::uuid, 'Direct', 'Group'
    from size s, generate_series(1, s.groups * 2 / 5) n
    where n % 9 > 0 and n % 3 = 0
    union all
    select md5('g' || n + 8)::uuid, md5('g' || n)::uuid, 'Direct', 'Group'
    from size s, generate_series(9, s.groups * 2 / 5 - 9, 900) n
    union all
    -- What groups hold.
    select md5('r' || 1 + n % 1500)::uuid, md5('g' || n * 13 % s.groups)::uuid, 'Direct', 'Group'
    from size s, generate_series(1, s.groups / 5) n
    union all
    -- What people hold: packages, roles, ownership and above all memberships; few groups have many members.
    select md5('r' || 1501 + n % 500)::uuid, md5('p' || n)::uuid, 'Governed', 'User'
    from size s, generate_series(1, s.people / 5) n
    union all
    select md5('r' || 1 + n % 120)::uuid, md5('p' || n * 97)::uuid, 'Direct', 'User'
    from size s, generate_series(1, s.people / 100) n
    union all
    select md5('g' || 1 + n % s.groups)::uuid, md5('p' || 1 + n * 17 % s.people)::uuid, 'Owner', 'User'
    from size s, generate_series(1, s.groups) n
    union all
    select md5('g' || 1 + floor(s.groups * power(random(), 2))::bigint)::uuid,
           md5('p' || 1 + n % s.people)::uuid, 'Direct', 'User'
    from size s, generate_series(1, s.assignments) n
)
insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope, principal_type,
                                  content_hash, first_seen_at, valid_from, sync_id)
select 1, h.resource_id, h.principal_id, h.assignment_type, '/', h.principal_type, '\x00'::bytea, now(), now(),
       gen_random_uuid()
from held h
on conflict do nothing
