-- The schema that grows: which attributes the sources send, and the columns that some of them were given.
--
-- What has no core column stands in extended_attributes, always. A promoted attribute has a column beside it, which holds
-- the same value cast to one type and null where there is none or where it does not fit.

-- Every extended attribute that a system has sent. Longer names are kept with their rows, but not here.
create table attributes (
    system_id integer not null,
    entity text collate "C" not null,
    attribute text collate "C" not null check (octet_length(attribute) between 1 and 200),
    json_types text[] not null,
    first_seen_at timestamptz not null default now(),
    -- To the day.
    last_seen_at timestamptz not null default now(),
    -- Counted in the background: live rows that carry it, and those among them whose value does not fit the column that
    -- it was promoted to.
    rows_total bigint,
    mismatches bigint,
    counted_at timestamptz,
    primary key (system_id, entity, attribute)
);

-- An attribute came with a JSON type that it never had before.
create table attribute_drifts (
    drift_id bigint generated always as identity primary key,
    system_id integer not null,
    entity text collate "C" not null,
    attribute text collate "C" not null,
    known_types text[] not null,
    new_type text collate "C" not null,
    sync_id uuid not null,
    seen_at timestamptz not null default now()
);
create index attribute_drifts_by_entity on attribute_drifts (system_id, entity, drift_id);

-- The catalogue of an entity is not complete, and why.
create table attributes_left_out (
    system_id integer not null,
    entity text collate "C" not null,
    reason text collate "C" not null check (reason in ('too_many', 'name_too_long')),
    -- The beginning of one of the names.
    example text not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    primary key (system_id, entity, reason)
);

-- Columns for attributes. waiting: the column is not filled yet by new writes. backfilling: it is, older rows follow.
-- indexing: all rows have it. ready: it can be read. demoting: it is not read any more, but still written. emptying: it is
-- not written any more and its values go. demoted: the column is empty and free for another attribute.
--
-- Or indexes for core fields, whose columns are there and full already. waiting: somebody asked for it. indexing: the index
-- is being made. ready: lists are read by it. demoting: the index goes. demoted: it is gone. Whoever reads this table for
-- columns of attributes must leave out those with a field: their columns are the source's.
create table promoted_attributes (
    promotion_id uuid primary key,
    entity text collate "C" not null,
    table_name text collate "C" not null,
    attribute text collate "C" check (octet_length(attribute) between 1 and 200),
    -- The core field's name on the wire.
    field text collate "C",
    value_type text collate "C" check (value_type in ('text', 'number', 'boolean', 'timestamp')),
    -- Never from input. Of an attribute: attr_<type>_<number>, used again, because PostgreSQL counts dropped columns for ever.
    column_name text collate "C" not null,
    state text collate "C" not null default 'waiting'
        check (state in ('waiting', 'backfilling', 'indexing', 'ready', 'demoting', 'emptying', 'demoted')),
    -- Workspaces that asked for it, and those of them that did not take it back.
    workspace_ids integer[] not null,
    wanted_by integer[] not null,
    requested_at timestamptz not null default now(),
    requested_by text not null,
    state_since timestamptz not null default now(),
    ready_at timestamptz,
    -- How far a walk through the table has come, in pages; and in which file, since a rewritten table is another one.
    next_block bigint not null default 0,
    total_blocks bigint not null default 0,
    file_number bigint not null default 0,
    rows_written bigint not null default 0,
    attempts integer not null default 0,
    error text,
    constraint promoted_attributes_kind check (
        attribute is not null and field is null and value_type is not null
            and column_name ~ '^attr_(text|number|boolean|timestamp)_[1-9][0-9]{0,3}$'
        -- Never filled and never emptied.
        or attribute is null and field is not null and value_type is null and column_name ~ '^[a-z][a-z_]*$'
            and state in ('waiting', 'indexing', 'ready', 'demoting', 'demoted'))
);
create unique index promoted_attributes_live on promoted_attributes (entity, attribute)
    where state in ('waiting', 'backfilling', 'indexing', 'ready');
create unique index promoted_attributes_live_fields on promoted_attributes (entity, field)
    where state in ('waiting', 'indexing', 'ready');
create unique index promoted_attributes_columns on promoted_attributes (table_name, column_name)
    where state <> 'demoted' and field is null;

-- What the columns hold. A value that does not fit is null, never an error: these run inside every write. They are declared
-- immutable because nothing that they use depends on settings.

create function attribute_text(p_attributes jsonb, p_name text) returns text
language sql immutable parallel safe as $$
    select p_attributes ->> p_name
$$;

create function attribute_number(p_attributes jsonb, p_name text) returns numeric
language sql immutable parallel safe as $$
    select case jsonb_typeof(p_attributes -> p_name)
        when 'number' then
            case when length(p_attributes ->> p_name) <= 400 then (p_attributes -> p_name)::numeric end
        when 'string' then
            case when p_attributes ->> p_name ~ '^[+-]?[0-9]{1,30}([.][0-9]{1,30})?([eE][+-]?[0-9]{1,2})?$'
                then (p_attributes ->> p_name)::numeric end
        end
$$;

create function attribute_boolean(p_attributes jsonb, p_name text) returns boolean
language sql immutable parallel safe as $$
    select case jsonb_typeof(p_attributes -> p_name)
        when 'boolean' then (p_attributes -> p_name)::boolean
        when 'string' then
            case when p_attributes ->> p_name ~ '^[Tt][Rr][Uu][Ee]$' then true
                when p_attributes ->> p_name ~ '^[Ff][Aa][Ll][Ss][Ee]$' then false end
        end
$$;

-- ISO 8601, as sources write it: a date, or date and time; without a zone it is UTC.
create function attribute_timestamp(p_attributes jsonb, p_name text) returns timestamptz
language plpgsql immutable parallel safe as $$
declare
    v_text text;
    v_parts text[];
    v_day date;
    v_offset interval;
begin
    if jsonb_typeof(p_attributes -> p_name) is distinct from 'string' then
        return null;
    end if;
    v_text := p_attributes ->> p_name;
    if length(v_text) not between 10 and 40 then
        return null;
    end if;
    v_parts := regexp_match(v_text,
        '^([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
        '(?:[Tt ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9](?:[.][0-9]{1,9})?))?'
        '(?:[Zz]|([+-])(0[0-9]|1[0-5]):?([0-5][0-9])?)?)?$');
    if v_parts is null or v_parts[1] = '0000' then
        return null;
    end if;
    v_day := make_date(v_parts[1]::integer, v_parts[2]::integer, 1) + (v_parts[3]::integer - 1);
    if extract(month from v_day) <> v_parts[2]::integer then
        return null;
    end if;
    v_offset := make_interval(hours => coalesce(v_parts[8], '0')::integer, mins => coalesce(v_parts[9], '0')::integer);
    return make_timestamptz(
            v_parts[1]::integer, v_parts[2]::integer, v_parts[3]::integer,
            coalesce(v_parts[4], '0')::integer, coalesce(v_parts[5], '0')::integer,
            coalesce(v_parts[6], '0')::double precision, 'UTC')
        - case v_parts[7] when '-' then - v_offset else v_offset end;
end
$$;

-- Makes every write to a table fill the columns of its promoted attributes, by a trigger that exists only while there are
-- any. To be called while nobody else is writing to the table: then no version of a row escapes it.
create procedure define_promoted_columns(p_table text) language plpgsql as $$
declare
    v_function text := 'fill_promoted_' || p_table;
    v_body text;
begin
    select string_agg(
        case p.state
            -- An update would carry the old value on.
            when 'emptying' then format('new.%I := null;', p.column_name)
            else format('new.%I := public.attribute_%s(new.extended_attributes, %L);', p.column_name, p.value_type, p.attribute)
        end, E'\n' order by p.column_name)
    into v_body
    from promoted_attributes p
    where p.table_name = p_table and p.field is null and p.state in ('backfilling', 'indexing', 'ready', 'demoting', 'emptying');
    if v_body is null then
        execute format('drop trigger if exists fill_promoted on %I', p_table);
        execute format('drop function if exists %I()', v_function);
        return;
    end if;
    execute format('create or replace function %I() returns trigger language plpgsql as %L',
        v_function, E'begin\n' || v_body || E'\nreturn new;\nend');
    if not exists (select from pg_trigger where tgrelid = to_regclass(p_table) and tgname = 'fill_promoted') then
        execute format('create trigger fill_promoted before insert or update on %I for each row execute function %I()',
            p_table, v_function);
    end if;
end
$$;
