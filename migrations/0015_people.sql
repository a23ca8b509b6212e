-- People: accounts, their sessions and personal tokens, what gives them roles, and the steps of a sign-in.

-- Who signed in. An account is what its provider says it is, by issuer and subject; a mail address names nobody.
-- What leads to the person's principal: directory_id and principal_id where the provider is a directory that is crawled,
-- system_id, principal_id and a column that must still hold a value where it is not.
create table accounts (
    account_id uuid primary key default gen_random_uuid(),
    workspace_id integer not null references workspaces,
    issuer text collate "C" not null,
    subject text collate "C" not null,
    display_name text not null,
    directory_id text collate "C",
    system_id integer,
    principal_id uuid,
    link_column text collate "C",
    link_value text,
    -- Only for accounts without a provider: the first admin of an embedded start.
    is_local_admin boolean not null default false check (not is_local_admin or issuer = 'local'),
    created_at timestamptz not null default now(),
    last_sign_in_at timestamptz not null default now(),
    unique (issuer, subject)
);

-- Sessions of browsers. Only the hash of what the cookie holds is here. A session that is gone stays gone: what notes its
-- use updates and never inserts.
create table people_sessions (
    id_hash bytea primary key check (octet_length(id_hash) = 32),
    account_id uuid not null references accounts on delete cascade,
    signed_in_by text collate "C" not null check (signed_in_by in ('provider', 'bootstrap')),
    created_at timestamptz not null default now(),
    last_used_at timestamptz not null default now()
);
create index people_sessions_of_account on people_sessions (account_id);
create index people_sessions_by_age on people_sessions (created_at);

-- A sign-in that is under way, by the hash of its state; used once. browser_hash is that of the cookie of the browser that
-- began.
create table sign_ins (
    state_hash bytea primary key check (octet_length(state_hash) = 32),
    browser_hash bytea not null check (octet_length(browser_hash) = 32),
    nonce text not null,
    pkce_verifier text not null,
    return_to text not null,
    created_at timestamptz not null default now()
);
create index sign_ins_by_age on sign_ins (created_at);

-- Members of which group have which role.
create table role_mappings (
    mapping_id uuid primary key default gen_random_uuid(),
    workspace_id integer not null references workspaces,
    system_id integer not null references systems,
    resource_id uuid not null,
    role text collate "C" not null check (role in ('viewer', 'contributor', 'admin')),
    created_at timestamptz not null default now(),
    created_by text not null,
    unique (workspace_id, system_id, resource_id)
);

-- Links for the first admin of an embedded start. One claims; used_at says that it was.
create table bootstrap_links (
    token_hash bytea primary key check (octet_length(token_hash) = 32),
    workspace_id integer not null references workspaces,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz
);

-- Personal tokens are keys of an account: they may do what the person may at the moment of each call, so they hold no
-- permission of their own.
alter table api_keys add column account_id uuid references accounts,
    add constraint personal_tokens_hold_nothing check (account_id is null or (permissions = '{}' and system_ids is null));
create index api_keys_of_account on api_keys (account_id) where account_id is not null;
