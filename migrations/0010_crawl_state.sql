-- What a crawl needs the server to remember, so that it goes on where it, or another worker, was stopped, and so that
-- the next one reads only what changed.

-- A rotated key goes on with what the key before it began: the first key of the row of rotations; null for that one
-- itself.
alter table api_keys add column lineage text collate "C";

-- The sessions of a run, found by a crawl that is resumed.
create index sync_sessions_by_run on sync_sessions (run_id, sync_id) where run_id is not null;

-- Runs that were claimed and have not been reported as ended. Whoever claims a run again gets the next epoch; what an
-- earlier one still sends is refused.
create table runs_under_way (
    run_id uuid primary key,
    workspace_id integer not null references workspaces,
    system_id integer not null,
    lineage text collate "C" not null,
    epoch integer not null,
    began_at timestamptz not null default now(),
    touched_at timestamptz not null default now()
);

-- How far the streams of such a run are, in the crawler's words.
create table run_checkpoints (
    run_id uuid not null,
    system_id integer not null,
    stream text collate "C" not null,
    key text collate "C" not null,
    value jsonb not null,
    primary key (run_id, stream, key)
);

-- The claim of a run that the report came from: an earlier one does not replace it.
alter table run_reports add column epoch integer;

-- Where the next delta reading of an endpoint begins. A token is good for one configuration of the crawler only; sync_id
-- is the load whose commit brought it.
create table delta_tokens (
    system_id integer not null,
    endpoint text collate "C" not null,
    config_hash text collate "C" not null,
    token text not null,
    saved_at timestamptz not null default now(),
    sync_id uuid,
    full_read_at timestamptz,
    primary key (system_id, endpoint)
);

-- Rows that open delta sessions were told to remove. The commit removes or holds them, all at once.
create table session_removals (
    sync_id uuid not null,
    seq bigint not null,
    row_key text[] not null,
    staged_at timestamptz not null
);
create index session_removals_by_session on session_removals (sync_id);

-- The batch that met the rows: a record that comes after the removal of its row takes it back.
alter table rows_met add column seq bigint;
