-- What loads have met is kept as ranges of row numbers, one row per batch and not one per record: a re-load of unchanged
-- rows then writes next to nothing. A commit asks here which rows its own load met, and which ones any other load of the
-- system met since the reading of the source began. It stays a logged table: were it emptied by a crash, everything would
-- look absent at commit. Rows that a load writes need no entry: they are younger than the load.
--
-- What the loads that are open now have met is not carried over, so they end here without removing anything.
update sync_sessions set state = 'aborted', closed_at = now() where state = 'open' and sync_mode = 'full';

drop table sync_seen;
create table rows_met (
    sync_id uuid not null,
    system_id integer not null,
    entity text collate "C" not null,
    met_at timestamptz not null,
    row_ids int8multirange not null,
    -- Does the commit count a row that is here more than once as a repeated record?
    is_counted boolean not null
);
create index rows_met_by_load on rows_met (sync_id);
create index rows_met_by_time on rows_met (system_id, entity, met_at);

-- A connection takes row numbers by the thousand, so that the rows of a batch have neighbouring numbers even if several are
-- copied at once: what a later load meets of them is then a few ranges. Numbers that a connection does not use are lost,
-- which does no harm.
alter table principals alter column row_id set cache 1000;
alter table resources alter column row_id set cache 1000;
alter table resource_assignments alter column row_id set cache 1000;
alter table resource_relationships alter column row_id set cache 1000;
alter table identities alter column row_id set cache 1000;
alter table identity_members alter column row_id set cache 1000;
alter table contexts alter column row_id set cache 1000;
alter table context_members alter column row_id set cache 1000;
alter table principal_activity alter column row_id set cache 1000;
alter table governance_catalogs alter column row_id set cache 1000;
alter table assignment_policies alter column row_id set cache 1000;
alter table assignment_requests alter column row_id set cache 1000;
alter table certification_decisions alter column row_id set cache 1000;
