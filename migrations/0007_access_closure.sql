-- Effective access is no longer kept row by row: it is computed from the live assignments when it is asked for. What is
-- kept is how groups and packages lead to each other, which is small and changes rarely (docs/adr/0009).

-- The views on the table are installed again after the migrations, on its successor.
drop view if exists privileged_principals, role_holders, resource_access;
drop table effective_access;
delete from view_refreshes where view_name = 'effective_access';

-- Which group or package leads to which, itself included: who has the first is, by any number of steps, in the second.
-- A node is a group (whoever is in it has what it holds) or a package (whoever it was given to has what it contains).
-- Only nodes that lead to something are here. Kept by the view refresh, which writes only differences.
create table access_closure (
    system_id integer not null,
    from_id uuid not null,
    to_id uuid not null,
    from_is_package boolean not null,
    to_is_package boolean not null,
    -- Does an eligible membership lie on the way?
    is_eligible boolean not null,
    -- Is who comes this way a member of its own right in the end (no group is its last step)?
    is_direct boolean not null,
    primary key (system_id, from_id, to_id, from_is_package, to_is_package, is_eligible)
);
create index access_closure_by_target on access_closure (system_id, to_id);

-- From what each system's part of access_closure was computed. Too large a closure is not kept: is_kept is then false,
-- there are no rows, and what needs it walks from group to group instead.
create table access_closure_systems (
    system_id integer primary key,
    edges_hash bytea not null,
    edges bigint not null,
    pairs bigint not null,
    is_kept boolean not null
);

-- What groups hold: the edges of the closure, without a walk through everything that people hold. Rows of people cost
-- this index nothing. deleted_at is no part of it, so that a removal stays an update in place.
create index resource_assignments_of_groups on resource_assignments (system_id, resource_id, principal_id)
    where principal_type = 'Group';

-- cluster_id: transaction numbers mean something only in the cluster that gave them. After a dump was restored
-- elsewhere, seen says nothing. systems_*: how far a running refresh is.
alter table view_refreshes
    add column cluster_id bigint,
    add column systems_total integer,
    add column systems_done integer;
