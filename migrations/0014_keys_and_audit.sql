-- Keys that work from some addresses only and so often a minute, rotations that can be followed, and an audit log that only
-- grows and says where a call came from.

alter table api_keys
    -- Addresses and networks, as they are shown; null for everywhere.
    add column allowed_addresses text[],
    -- Null for no limit.
    add column requests_per_minute integer check (requests_per_minute > 0),
    -- The key that this one replaced.
    add column rotated_from text collate "C" references api_keys;
update api_keys k set rotated_from = before.key_id from api_keys before
where k.lineage is not null and before.key_id = substring(k.created_by from '^key:([0-9A-Za-z]{12}) ');
create index api_keys_by_predecessor on api_keys (rotated_from) where rotated_from is not null;

alter table audit_log add column address inet, add column request_id text;
create index audit_log_by_time on audit_log (workspace_id, at, audit_id);
create index audit_log_by_age on audit_log (at);
create index audit_log_by_target on audit_log (workspace_id, target, at, audit_id);

-- How often keys were used and refused, a row for each day, address and outcome. When the day is over, the rows become one
-- entry of the audit log for each key and outcome: guesses do not flood it. No key_id where none could be told, no
-- address beyond those that a server counts apart.
create table key_use (
    day date not null,
    key_id text collate "C" not null,
    outcome text collate "C" not null,
    address text collate "C" not null,
    calls bigint not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    primary key (day, key_id, outcome, address)
);

-- The audit log only grows. Retention, which is off unless somebody asks for it, says in its transaction who it is.
create function refuse_audit_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('cadastre.audit_retention', true) = 'on' then
        return old;
    end if;
    raise exception 'the audit log only grows' using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_log_only_grows before update or delete on audit_log
    for each row execute function refuse_audit_change();
create trigger audit_log_is_not_emptied before truncate on audit_log
    for each statement execute function refuse_audit_change();
