-- What retention and the people who decide held removals need.

-- Removed rows by the time of their removal. Hardly any row is removed, so these indexes are small, and a load that
-- removes nothing never touches them.
create index principals_removed on principals (system_id, deleted_at) where deleted_at is not null;
create index resources_removed on resources (system_id, deleted_at) where deleted_at is not null;
create index resource_assignments_removed on resource_assignments (system_id, deleted_at) where deleted_at is not null;
create index resource_relationships_removed on resource_relationships (system_id, deleted_at) where deleted_at is not null;
create index identities_removed on identities (system_id, deleted_at) where deleted_at is not null;
create index identity_members_removed on identity_members (system_id, deleted_at) where deleted_at is not null;
create index contexts_removed on contexts (system_id, deleted_at) where deleted_at is not null;
create index context_members_removed on context_members (system_id, deleted_at) where deleted_at is not null;
create index principal_activity_removed on principal_activity (system_id, deleted_at) where deleted_at is not null;
create index governance_catalogs_removed on governance_catalogs (system_id, deleted_at) where deleted_at is not null;
create index assignment_policies_removed on assignment_policies (system_id, deleted_at) where deleted_at is not null;
create index assignment_requests_removed on assignment_requests (system_id, deleted_at) where deleted_at is not null;
create index certification_decisions_removed on certification_decisions (system_id, deleted_at) where deleted_at is not null;

create index idempotent_answers_by_time on idempotent_answers (created_at);

-- A session outlives its batches: how many there were, written before their rows go, and when the last row went.
alter table sync_sessions add column batches bigint, add column batches_purged_at timestamptz;
create index sync_sessions_with_batches on sync_sessions (closed_at)
    where state <> 'open' and form <> 'call' and batches_purged_at is null;

-- The key of a held row, in the order of the entity's key columns: a person sees what a set is about page by page, also
-- what is gone since, without a search through the whole table for a row's number.
alter table held_rows add column row_key text[];
-- A change set outlives the list of its rows.
alter table held_change_sets add column rows_purged_at timestamptz;
create index held_change_sets_with_rows on held_change_sets (decided_at) where state <> 'held' and rows_purged_at is null;

-- Sets that wait since before there were keys cannot be shown. Nothing is removed by this: the next full load of the
-- scope finds the same rows missing and holds them again.
update held_change_sets set state = 'expired', decided_at = now() where state = 'held';
