-- The register: entity tables, their history, the loads that wrote them, and the keys that may.
--
-- Every entity table has the same frame: (system_id, key columns) is the primary key, so that a row can never collide
-- with another system's; row_id names a row in narrow side tables; content_hash is that of the source's fields, so
-- that an unchanged record is recognised without reading the row; valid_from and sync_id say when this version began
-- and which load wrote it; deleted_at marks a removed row until retention purges it. There are no foreign keys between
-- entities: data arrives in any order.

create table workspaces (
    workspace_id integer generated always as identity primary key,
    name text not null unique,
    created_at timestamptz not null default now()
);
insert into workspaces (name) values ('default');

-- A connected source. system_key is systemType + tenantId, or systemType + displayName where there is no tenant.
create table systems (
    system_id integer generated always as identity primary key,
    workspace_id integer not null references workspaces,
    system_key text collate "C" not null,
    system_type text not null,
    tenant_id text,
    display_name text not null,
    description text,
    enabled boolean,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    unique (workspace_id, system_key)
);

-- Who can hold access.
create table principals (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    principal_type text collate "C" not null,
    display_name text not null,
    user_principal_name text,
    email text,
    given_name text,
    surname text,
    job_title text,
    department text,
    company_name text,
    employee_id text,
    employee_type text,
    office_location text,
    country text,
    manager_id uuid,
    account_enabled boolean,
    app_id uuid,
    created_date_time timestamptz,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- What access is access to.
create table resources (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    resource_type text collate "C" not null,
    display_name text not null,
    description text,
    mail text,
    visibility text,
    enabled boolean,
    is_assignable_to_role boolean,
    catalog_id uuid,
    app_id uuid,
    template_id uuid,
    created_date_time timestamptz,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- Who holds what. A group that holds something is a principal of type Group with the group's own id.
create table resource_assignments (
    row_id bigint generated always as identity,
    system_id integer not null,
    resource_id uuid not null,
    principal_id uuid not null,
    assignment_type text collate "C" not null,
    role_scope text collate "C" not null,
    principal_type text collate "C",
    resource_type text collate "C",
    state text,
    start_date_time timestamptz,
    expiration_date_time timestamptz,
    policy_id uuid,
    source_id text,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, resource_id, principal_id, assignment_type, role_scope)
);
create index resource_assignments_by_principal on resource_assignments (system_id, principal_id);

-- Which resource contains or gives which.
create table resource_relationships (
    row_id bigint generated always as identity,
    system_id integer not null,
    parent_resource_id uuid not null,
    child_resource_id uuid not null,
    relationship_type text collate "C" not null,
    role_name text collate "C" not null,
    source_id text,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, parent_resource_id, child_resource_id, relationship_type, role_name)
);
create index resource_relationships_by_child on resource_relationships (system_id, child_resource_id);

-- The people behind principals.
create table identities (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    display_name text not null,
    email text,
    given_name text,
    surname text,
    employee_id text,
    job_title text,
    department text,
    company_name text,
    primary_principal_id uuid,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- Which principals belong to which person.
create table identity_members (
    row_id bigint generated always as identity,
    system_id integer not null,
    identity_id uuid not null,
    principal_id uuid not null,
    is_primary boolean,
    account_type text,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, identity_id, principal_id)
);

-- Departments, administrative units, trees.
create table contexts (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    context_type text collate "C" not null,
    variant text collate "C" not null,
    target_type text collate "C" not null,
    display_name text not null,
    description text,
    parent_context_id uuid,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- Who is in which context.
create table context_members (
    row_id bigint generated always as identity,
    system_id integer not null,
    context_id uuid not null,
    member_id uuid not null,
    member_type text not null,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, context_id, member_id)
);

-- Last sign-ins: no history, so that they never flood it.
create table principal_activity (
    row_id bigint generated always as identity,
    system_id integer not null,
    principal_id uuid not null,
    resource_id uuid not null,
    activity_type text collate "C" not null,
    last_activity_date_time timestamptz,
    activity_count bigint,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, principal_id, resource_id, activity_type)
);

-- Entitlement-management catalogs.
create table governance_catalogs (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    display_name text not null,
    description text,
    catalog_type text,
    state text,
    is_externally_visible boolean,
    created_date_time timestamptz,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- Who may request an access package and who approves.
create table assignment_policies (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    display_name text not null,
    description text,
    resource_id uuid,
    allowed_target_scope text,
    created_date_time timestamptz,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- Requests for access packages.
create table assignment_requests (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    resource_id uuid,
    requestor_id uuid,
    policy_id uuid,
    request_type text,
    state text,
    justification text,
    created_date_time timestamptz,
    completed_date_time timestamptz,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- Decisions of access reviews.
create table certification_decisions (
    row_id bigint generated always as identity,
    system_id integer not null,
    id uuid not null,
    external_id text,
    resource_id uuid,
    principal_id uuid,
    decision text,
    recommendation text,
    justification text,
    reviewed_by_id uuid,
    reviewed_by_name text,
    reviewed_date_time timestamptz,
    review_id text,
    review_instance_id text,
    extended_attributes jsonb not null default '{}',
    content_hash bytea not null,
    first_seen_at timestamptz not null,
    valid_from timestamptz not null,
    sync_id uuid not null,
    deleted_at timestamptz,
    primary key (system_id, id)
);

-- Every version of a row that ended: by a change or by removal. The version that lives now is the row itself, so a
-- first load writes nothing here. A row was so at instant t when its live version has valid_from <= t and no
-- deleted_at, or a version here has valid_from <= t < valid_to.
create table history (
    history_id bigint generated always as identity,
    system_id integer not null,
    entity text collate "C" not null,
    row_key text collate "C" not null,
    row_id bigint not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    operation text collate "C" not null check (operation in ('update', 'delete')),
    began_by uuid not null,
    ended_by uuid not null,
    image jsonb not null,
    primary key (system_id, entity, row_key, history_id),
    check (valid_from < valid_to)
);
create index history_by_time on history using brin (valid_to);

create table api_keys (
    key_id text collate "C" primary key,
    workspace_id integer not null references workspaces,
    name text not null,
    secret_hash bytea not null,
    permissions text[] not null,
    system_ids integer[],
    created_at timestamptz not null default now(),
    created_by text not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);

-- A load: one call, or a session of batches. scope_key is the canonical text of scope.
create table sync_sessions (
    sync_id uuid primary key,
    workspace_id integer not null references workspaces,
    system_id integer,
    entity text collate "C" not null,
    form text collate "C" not null check (form in ('call', 'session', 'chunked')),
    sync_mode text collate "C" not null check (sync_mode in ('full', 'delta')),
    scope jsonb not null default '{}',
    scope_key text collate "C" not null default '',
    source_filter text,
    run_id uuid,
    key_id text collate "C" not null references api_keys,
    id_generation text collate "C" not null default 'native',
    id_prefix text,
    state text collate "C" not null check (state in ('open', 'committed', 'aborted', 'expired')),
    opened_at timestamptz not null default now(),
    -- When the reading of the source began: what another load wrote after that is newer than what this one knows.
    read_since timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '24 hours',
    closed_at timestamptz,
    -- Records that were refused and whose row could not be told: nothing may be removed then.
    unidentified bigint not null default 0,
    totals jsonb not null default '{}',
    -- Were the removals of a committed full load applied (or approved)? The delete guard compares source filters with
    -- the last load of which this is so.
    is_settled boolean not null default false,
    last_change_xid xid8
);
create unique index one_open_full_load_per_scope on sync_sessions (system_id, entity, scope_key)
    where state = 'open' and sync_mode = 'full';
create index sync_sessions_by_scope on sync_sessions (system_id, entity, scope_key, closed_at desc)
    where state = 'committed' and sync_mode = 'full';
create index sync_sessions_open on sync_sessions (expires_at) where state = 'open';
create index sync_sessions_by_change on sync_sessions (entity, last_change_xid) where last_change_xid is not null;

create table sync_batches (
    sync_id uuid not null references sync_sessions on delete cascade,
    seq bigint not null,
    body_hash bytea not null,
    answer jsonb not null,
    received_at timestamptz not null default now(),
    primary key (sync_id, seq)
);

-- The rows that an open full load has met. It must survive a crash: were it emptied (an unlogged table), everything
-- would look absent at commit.
create table sync_seen (
    sync_id uuid not null,
    row_id bigint not null,
    primary key (sync_id, row_id)
);

-- Quarantine: records that were refused, with a readable excerpt.
create table rejected_records (
    rejected_id bigint generated always as identity primary key,
    sync_id uuid not null,
    system_id integer,
    entity text collate "C" not null,
    seq bigint not null,
    record_index bigint not null,
    pointer text not null,
    code text collate "C" not null,
    detail text not null,
    excerpt text not null,
    received_at timestamptz not null default now()
);
create index rejected_records_by_sync on rejected_records (sync_id, rejected_id);

-- Removals that the guard stopped, and the rows that they are about.
create table held_change_sets (
    change_set_id uuid primary key,
    sync_id uuid not null references sync_sessions,
    workspace_id integer not null references workspaces,
    system_id integer not null,
    entity text collate "C" not null,
    scope jsonb not null,
    scope_key text collate "C" not null,
    would_delete bigint not null,
    of_rows bigint not null,
    reason text collate "C" not null check (reason in ('over_limit', 'empty_source', 'scope_changed', 'source_filter_changed')),
    state text collate "C" not null default 'held' check (state in ('held', 'approved', 'rejected', 'expired')),
    created_at timestamptz not null default now(),
    decided_at timestamptz,
    decided_by text,
    decision_reason text
);
create index held_change_sets_waiting on held_change_sets (system_id, entity, scope_key) where state = 'held';
create table held_rows (
    change_set_id uuid not null references held_change_sets on delete cascade,
    row_id bigint not null,
    valid_from timestamptz not null,
    primary key (change_set_id, row_id)
);

-- Answers to single calls that carried an Idempotency-Key.
create table idempotent_answers (
    key_id text collate "C" not null references api_keys,
    idempotency_key text collate "C" not null,
    body_hash bytea not null,
    status smallint not null,
    answer jsonb not null,
    created_at timestamptz not null default now(),
    primary key (key_id, idempotency_key)
);

create table run_reports (
    run_id uuid primary key,
    workspace_id integer not null references workspaces,
    system_id integer,
    key_id text collate "C" not null references api_keys,
    outcome text collate "C" not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    report jsonb not null,
    received_at timestamptz not null default now()
);
create index run_reports_by_time on run_reports (workspace_id, started_at desc);

create table audit_log (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    workspace_id integer not null references workspaces,
    actor text not null,
    action text collate "C" not null,
    target text not null,
    detail jsonb not null default '{}'
);

-- Who holds what in effect, groups resolved. Kept by the view refresh, which writes only differences; via_group_id is
-- the group that holds the assignment, the zero uuid where the principal holds it itself.
create table effective_access (
    system_id integer not null,
    resource_id uuid not null,
    principal_id uuid not null,
    assignment_type text collate "C" not null,
    role_scope text collate "C" not null,
    via_group_id uuid not null,
    primary key (system_id, resource_id, principal_id, assignment_type, role_scope, via_group_id)
);
create index effective_access_by_principal on effective_access (system_id, principal_id);

-- When each refreshed view last caught up. seen is the snapshot that the refresh was computed from or an earlier one: a
-- load whose last_change_xid is not visible in it makes the view stale.
create table view_refreshes (
    view_name text collate "C" primary key,
    started_at timestamptz not null,
    finished_at timestamptz,
    duration_ms bigint,
    rows_total bigint,
    rows_changed bigint,
    seen pg_snapshot,
    error text
);
