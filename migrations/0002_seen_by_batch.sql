-- What an open full load has met is kept as one row per batch, not one per record: a re-load of unchanged rows then
-- writes next to nothing. It stays a logged table: were it emptied by a crash, everything would look absent at commit.
-- The rows that a load inserts itself need no entry: they are younger than the load.
--
-- What the loads that are open now have met is not carried over, so they end here without removing anything.
update sync_sessions set state = 'aborted', closed_at = now() where state = 'open' and sync_mode = 'full';

drop table sync_seen;
create table sync_seen (
    sync_id uuid not null,
    row_ids bigint[] not null,
    -- Rows known to exist for another reason than a record that was taken: a refused record, another load.
    is_refused boolean not null default false
);
create index sync_seen_by_sync on sync_seen (sync_id);
