-- Crawlers are configured here and run elsewhere: the settings, every version of them, and the secrets that they sign in
-- with, which only the worker that crawls ever gets to see.

-- secrets says of each secret field which version of it holds, or where the worker finds it: never the secret. The version
-- is that of the crawler which set the secret, so it only grows: an older ciphertext that is put back does not fit.
create table crawlers (
    crawler_id uuid primary key default gen_random_uuid(),
    workspace_id integer not null references workspaces,
    system_id integer,
    kind text collate "C" not null,
    name text not null,
    version integer not null,
    settings jsonb not null,
    secrets jsonb not null default '{}',
    -- Why the secrets cannot be used, when they cannot.
    secret_error text,
    enabled boolean not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    updated_at timestamptz not null default now(),
    updated_by text not null,
    deleted_at timestamptz
);
create index crawlers_by_workspace on crawlers (workspace_id, crawler_id) where deleted_at is null;

-- What the settings were. secrets_changed names the secret fields that a version set or cleared.
create table crawler_versions (
    crawler_id uuid not null references crawlers,
    version integer not null,
    name text not null default '',
    enabled boolean not null default true,
    settings jsonb not null,
    secrets_changed text[] not null default '{}',
    changed_at timestamptz not null default now(),
    changed_by text not null,
    primary key (crawler_id, version)
);

-- A secret, encrypted with a key of its own that is encrypted with the key key_id, which is not in the database. Both
-- are bound to workspace, crawler, field and version.
create table secrets (
    workspace_id integer not null references workspaces,
    crawler_id uuid not null references crawlers,
    field text collate "C" not null,
    version integer not null,
    key_id text collate "C" not null,
    wrapped_key bytea not null,
    ciphertext bytea not null,
    primary key (crawler_id, field)
);
create index secrets_by_key on secrets (key_id, crawler_id, field);

-- The keys that were ever used here, each with something that only the right one opens: a wrong key is found out at the
-- start.
create table secret_keys (
    key_id text collate "C" primary key,
    check_value bytea not null,
    first_used_at timestamptz not null default now()
);
