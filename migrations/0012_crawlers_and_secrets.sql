-- What is crawled, and how.
create table crawlers (
    crawler_id uuid primary key default gen_random_uuid(),
    workspace_id integer not null references workspaces,
    system_id integer null,
    kind text not null,
    name text not null,
    version integer not null,
    settings jsonb not null,
    enabled boolean not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    updated_at timestamptz not null default now(),
    updated_by text not null,
    deleted_at timestamptz
);
