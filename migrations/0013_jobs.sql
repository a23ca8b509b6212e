-- Work that workers claim over HTTP, what they said about it, and the schedules that ask for it.

-- A schedule asks for jobs of a crawler. next_at is the slot that comes next, null while there is none; who fires a slot
-- holds the row. What is known of the latest slot: whether it brought a job, and which.
create table schedules (
    schedule_id uuid primary key,
    workspace_id integer not null references workspaces,
    crawler_id uuid not null references crawlers,
    cron text not null,
    time_zone text not null,
    mode text collate "C" not null,
    overlap text collate "C" not null check (overlap in ('skip', 'queue')),
    catch_up boolean not null,
    enabled boolean not null,
    next_at timestamptz,
    last_slot timestamptz,
    last_outcome text collate "C",
    last_job_id uuid,
    created_at timestamptz not null default now(),
    created_by text not null,
    updated_at timestamptz not null default now(),
    updated_by text not null
);
create index schedules_by_crawler on schedules (crawler_id);
create index schedules_due on schedules (next_at) where next_at is not null;

-- A job. epoch counts its leases: what a worker says under an earlier one is refused. attempt counts the leases that were
-- used up since the job was queued by a person or a schedule; a lease that was handed back does not count. run_id is the
-- run that the worker crawls under; lineage is the key that the run belongs to. The clock is the database's.
create table jobs (
    job_id uuid primary key,
    workspace_id integer not null references workspaces,
    crawler_id uuid not null references crawlers,
    kind text collate "C" not null,
    mode text collate "C" not null,
    state text collate "C" not null default 'queued' check (state in ('queued', 'leased', 'running', 'succeeded',
        'partially_succeeded', 'failed', 'cancelled', 'held', 'dead')),
    priority smallint not null default 0,
    not_before timestamptz not null default now(),
    attempt integer not null default 0,
    max_attempts integer not null,
    epoch integer not null default 0,
    run_id uuid not null,
    lineage text collate "C",
    claim_id uuid,
    worker text,
    lease_until timestamptz,
    heartbeat_at timestamptz,
    cancel_requested_at timestamptz,
    -- The epoch whose worker ended it: the same word said again is no other one.
    finished_epoch integer,
    progress jsonb not null default '{}',
    message text,
    schedule_id uuid,
    slot timestamptz,
    created_at timestamptz not null default now(),
    created_by text not null,
    started_at timestamptz,
    finished_at timestamptz,
    check ((state in ('leased', 'running')) = (lease_until is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);

-- At most one worker has a job of a crawler, however many servers give jobs out.
create unique index jobs_one_at_a_time on jobs (crawler_id) where state in ('leased', 'running');
-- At most one job of a slot, however many servers watch the clock.
create unique index jobs_one_per_slot on jobs (schedule_id, slot);
create index jobs_waiting on jobs (workspace_id, priority desc, not_before, job_id) where state = 'queued';
create index jobs_by_crawler on jobs (crawler_id, job_id);
create index jobs_by_run on jobs (run_id);
create index jobs_by_workspace on jobs (workspace_id, job_id);
create index jobs_ended on jobs (finished_at) where finished_at is not null;

-- What is told about a job: by its worker (with the number that it gave the line, so that a line that is sent twice is
-- kept once), and by the server.
create table job_log (
    log_id bigint generated always as identity primary key,
    job_id uuid not null references jobs on delete cascade,
    at timestamptz not null default clock_timestamp(),
    epoch integer not null,
    seq bigint,
    level text collate "C" not null,
    message text not null,
    unique (job_id, epoch, seq)
);
create index job_log_by_job on job_log (job_id, log_id);

-- Workers that asked for jobs. A name stands for one start of one process.
create table workers (
    workspace_id integer not null references workspaces,
    name text collate "C" not null,
    version text not null,
    key_id text collate "C" not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    primary key (workspace_id, name)
);
