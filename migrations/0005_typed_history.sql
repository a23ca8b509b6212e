-- The history with the columns of the tables that it is about, partitioned by the month in which a version ended.
--
-- A version costs what a row costs, a table can be read as of a moment with the same filters as now, and retention drops
-- whole months. Nothing is written when a row is new: the version that lives is the row itself.

-- The columns of a table that its history keeps.
create function history_columns(p_table text)
returns table (name text, definition text, is_key boolean, place bigint)
language sql stable as $$
    select a.attname::text,
           format('%I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                  case when c.collname = 'C' then ' collate "C"' else '' end,
                  case when a.attnotnull then ' not null' else '' end),
           a.attnum = any (i.indkey::smallint[]) and (a.attname <> 'system_id' or p_table = 'systems'),
           -- What has a fixed length and is always there comes first: such columns are read without looking at others.
           row_number() over (order by (a.attlen > 0 and a.attnotnull) desc, a.attnum)
    from pg_attribute a
    join pg_index i on i.indrelid = a.attrelid and i.indisprimary
    left join pg_collation c on c.oid = a.attcollation
    where a.attrelid = to_regclass(p_table) and a.attnum > 0 and not a.attisdropped
      and a.attname not in ('content_hash', 'deleted_at')
$$;

-- The tables whose ended versions are kept, and what callers name their entities.
create function governed_tables() returns table (name text, entity text) language sql immutable as $$
    values ('systems', 'systems'), ('principals', 'principals'), ('resources', 'resources'),
           ('resource_assignments', 'resource-assignments'), ('resource_relationships', 'resource-relationships'),
           ('identities', 'identities'), ('identity_members', 'identity-members'),
           ('contexts', 'contexts'), ('context_members', 'context-members'),
           ('governance_catalogs', 'governance/catalogs'), ('assignment_policies', 'governance/policies'),
           ('assignment_requests', 'governance/requests'), ('certification_decisions', 'governance/certifications')
$$;

do $$
declare
    v_table text;
begin
    for v_table in select name from governed_tables() loop
        execute format(
            'create table %I (%s, valid_to timestamptz not null, ended_by uuid not null,
                 operation text collate "C" not null check (operation in (''update'', ''delete'')),
                 check (valid_from < valid_to)) partition by range (valid_to)',
            'history_' || v_table,
            (select string_agg(definition, ', ' order by place) from history_columns(v_table)));
        -- So that nothing is ever refused for want of a month.
        execute format('create table %I partition of %I default',
            'history_' || v_table || '_other', 'history_' || v_table);
    end loop;
end
$$;

-- By key; text at its end tells little apart and would make the indexes large.
create index on history_principals (system_id, id);
create index on history_resources (system_id, id);
create index on history_resource_assignments (system_id, resource_id, principal_id);
create index on history_resource_assignments (system_id, principal_id);
create index on history_resource_relationships (system_id, parent_resource_id, child_resource_id);
create index on history_resource_relationships (system_id, child_resource_id);
create index on history_identities (system_id, id);
create index on history_identity_members (system_id, identity_id, principal_id);
create index on history_contexts (system_id, id);
create index on history_context_members (system_id, context_id, member_id);
create index on history_governance_catalogs (system_id, id);
create index on history_assignment_policies (system_id, id);
create index on history_assignment_requests (system_id, id);
create index on history_certification_decisions (system_id, id);
create index on history_systems (system_id);

-- Makes the partition of a month that is not there yet. Versions of the month that ended while it was missing move there.
create procedure make_history_partition(p_table text, p_month date) language plpgsql as $$
declare
    v_table text := 'history_' || p_table;
    v_other text := v_table || '_other';
    v_partition text := v_table || to_char(p_month, '_YYYY_MM');
    v_begins timestamptz := date_trunc('month', p_month::timestamp) at time zone 'UTC';
    v_ends timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
    v_moves boolean;
begin
    if to_regclass(v_partition) is not null then
        return;
    end if;
    -- Attached, not created as a partition: that would lock out whoever reads or writes the table.
    execute format('create table %I (like %I including all)', v_partition, v_table);
    -- Attaching locks it anyway. From here on nothing that belongs into the month can be added elsewhere.
    execute format('lock table %I in access exclusive mode', v_other);
    execute format('select exists (select from %I where valid_to >= %L and valid_to < %L)', v_other, v_begins, v_ends)
        into v_moves;
    if v_moves then
        execute format('with moved as (delete from %I where valid_to >= %L and valid_to < %L returning *)
            insert into %I select * from moved', v_other, v_begins, v_ends, v_partition);
    end if;
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', v_table, v_partition, v_begins, v_ends);
end
$$;

-- Makes those of all tables, from the month of p_from on.
create procedure make_history_partitions(p_from timestamptz, p_months integer) language plpgsql as $$
declare
    v_table text;
    v_first date := date_trunc('month', p_from at time zone 'UTC');
begin
    for v_table in select name from governed_tables() loop
        for month in 0 .. p_months - 1 loop
            call make_history_partition(v_table, (v_first + make_interval(months => month))::date);
        end loop;
    end loop;
end
$$;
call make_history_partitions(now(), 2);

-- Since when the history is whole. Retention moves it on when it drops a month.
create table history_kept (
    is_only boolean primary key default true check (is_only),
    since timestamptz
);
insert into history_kept default values;

-- Makes what is derived from the columns: X_as_of, X_diff and the view history. To be called again after a column was added
-- to a table and to its history.
create procedure define_history_readers() language plpgsql as $$
declare
    v_table text;
    v_columns text;
    v_image text;
    v_key text;
    v_match text;
    v_same text;
    v_parts text[] := '{}';
    v_row_id text;
    v_entity text;
begin
    drop view if exists history;
    for v_table, v_entity in select name, entity from governed_tables() loop
        select string_agg(format('t.%I', h.name), ', ' order by h.place),
               string_agg(format('%L, t.%I', lower(left(w.wire, 1)) || substr(w.wire, 2), h.name), ', ' order by h.place)
                   filter (where not h.is_key and h.name not in
                       ('row_id', 'system_id', 'workspace_id', 'system_key', 'extended_attributes', 'first_seen_at', 'valid_from', 'sync_id')),
               string_agg(format('t.%I::text', h.name), ', ' order by h.place) filter (where h.is_key),
               string_agg(format('o.%1$I = n.%1$I', h.name), ' and ') filter (where h.is_key),
               string_agg(format('t.%1$I = o.%1$I', h.name), ' and ') filter (where h.is_key)
        into v_columns, v_image, v_key, v_match, v_same
        from history_columns(v_table) h
        cross join lateral (select replace(initcap(replace(h.name, '_', ' ')), ' ', '') as wire) w
        where exists (
            select from pg_attribute a
            where a.attrelid = to_regclass('history_' || v_table) and a.attname = h.name and not a.attisdropped
        );
        v_key := format('concat_ws(''|'', %s)', v_key);
        v_image := format(
            'jsonb_strip_nulls(jsonb_build_object(%s)) || jsonb_build_object(''extendedAttributes'', t.extended_attributes)',
            v_image);
        v_row_id := case v_table when 'systems' then 't.system_id::bigint' else 't.row_id' end;
        v_parts := v_parts || format(
            'select t.system_id, %L::text collate "C" as entity, %s as row_key, %s as row_id, t.valid_from, t.valid_to,
                 t.operation, t.sync_id as began_by, t.ended_by, %s as image from %I t',
            v_entity, v_key, v_row_id, v_image, 'history_' || v_table);

        execute format('drop function if exists %I(timestamptz, timestamptz)', v_table || '_diff');
        execute format('drop function if exists %I(timestamptz)', v_table || '_as_of');
        -- The rows that were live at a moment, each as it was then.
        execute format(
            'create function %I(p_at timestamptz) returns table (%s, deleted_at timestamptz) language sql stable as $f$
                 select %s, null::timestamptz from public.%I t where t.deleted_at is null and t.valid_from <= p_at
                 union all
                 select %s, null::timestamptz from public.%I t where t.valid_from <= p_at and t.valid_to > p_at
             $f$',
            v_table || '_as_of',
            (select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by h.place)
             from history_columns(v_table) h
             join pg_attribute a on a.attrelid = to_regclass('history_' || v_table) and a.attname = h.name),
            v_columns, v_table, v_columns, 'history_' || v_table);
        -- What differs between two moments: a row of its own for each key that was added, removed or changed. What was changed
        -- and changed back is no difference.
        execute format(
            'create function %I(p_from timestamptz, p_to timestamptz)
             returns table (system_id integer, row_key text, change text, before jsonb, after jsonb, changed_at timestamptz,
                            changed_by uuid) language sql stable as $f$
                 with o as materialized (
                     select t.*, %4$s as row_key, %5$s as image from public.%3$I t
                     where t.valid_from <= p_from and t.valid_to > p_from and t.valid_to <= p_to
                 ), n as materialized (
                     select %6$s, %4$s as row_key, %5$s as image from public.%2$I t
                     where t.deleted_at is null and t.valid_from > p_from and t.valid_from <= p_to
                     union all
                     select %6$s, %4$s, %5$s from public.%3$I t
                     where t.valid_from > p_from and t.valid_from <= p_to and t.valid_to > p_to
                 )
                 select coalesce(n.system_id, o.system_id), coalesce(n.row_key, o.row_key),
                        case when o.row_key is null then ''added'' when n.row_key is null then ''removed'' else ''changed'' end,
                        o.image, n.image, coalesce(n.valid_from, e.valid_to), coalesce(n.sync_id, e.ended_by)
                 from o full join n on o.system_id = n.system_id and %7$s
                 -- A row may have been changed before it was removed: its last version tells when and by whom.
                 left join lateral (
                     select t.valid_to, t.ended_by from public.%3$I t
                     where n.row_key is null and t.system_id = o.system_id and %8$s and t.valid_to <= p_to
                     order by t.valid_to desc limit 1
                 ) e on true
                 where o.image is distinct from n.image
             $f$',
            v_table || '_diff', v_table, 'history_' || v_table, v_key, v_image, v_columns, v_match, v_same);
    end loop;
    execute 'create view history as ' || array_to_string(v_parts, ' union all ');
end
$$;

-- What the history held so far comes along, month by month, so that retention can drop it month by month too.
alter table history rename to history_of_images;
do $$
declare
    v_month timestamptz;
begin
    for v_month in
        select distinct date_trunc('month', i.valid_to at time zone 'UTC') at time zone 'UTC' from history_of_images i
        where i.valid_to > now() - interval '10 years' and i.valid_to < now()
    loop
        call make_history_partitions(v_month, 1);
    end loop;
end
$$;
-- The last part of a key may itself hold the sign between the parts.
create function split_part_from(p_text text, p_part integer) returns text language sql immutable as $$
    select array_to_string((string_to_array(p_text, '|'))[p_part:], '|')
$$;
do $$
declare
    v_table text;
    v_entity text;
    v_keys text[];
begin
    for v_table, v_entity in select name, entity from governed_tables() loop
        select array_agg(h.name order by h.place) filter (where h.is_key) into v_keys from history_columns(v_table) h;
        execute format(
            'insert into %I (%s, valid_to, ended_by, operation)
             select %s, i.valid_to, i.ended_by, i.operation
             from (select h.*, min(h.valid_from) over (partition by h.entity, h.row_id) as first_seen_at from history_of_images h) i
             left join %I t on t.system_id = i.system_id and i.entity = ''systems''
             where i.entity = %L',
            'history_' || v_table,
            (select string_agg(format('%I', h.name), ', ' order by h.place) from history_columns(v_table) h),
            (select string_agg(
                case
                    when h.name = 'row_id' then 'i.row_id'
                    when h.name = 'system_id' then 'i.system_id'
                    when h.name = 'valid_from' then 'i.valid_from'
                    when h.name = 'sync_id' then 'i.began_by'
                    -- Nothing was ever dropped, so a row was first seen when its first version began.
                    when h.name = 'first_seen_at' then 'i.first_seen_at'
                    when h.name = 'extended_attributes' then 'coalesce(i.image -> ''extendedAttributes'', ''{}'')'
                    when h.is_key and array_position(v_keys, h.name) = array_length(v_keys, 1) then
                        format('split_part_from(i.row_key, %s)::%s', array_position(v_keys, h.name), format_type(a.atttypid, a.atttypmod))
                    when h.is_key then
                        format('split_part(i.row_key, ''|'', %s)::%s', array_position(v_keys, h.name), format_type(a.atttypid, a.atttypmod))
                    when v_table = 'systems' and h.name in ('workspace_id', 'system_key', 'system_type', 'tenant_id') then 't.' || h.name
                    else format('(i.image ->> %L)::%s', lower(left(w.wire, 1)) || substr(w.wire, 2), format_type(a.atttypid, a.atttypmod))
                end, ', ' order by h.place)
             from history_columns(v_table) h
             join pg_attribute a on a.attrelid = to_regclass(v_table) and a.attname = h.name
             cross join lateral (select replace(initcap(replace(h.name, '_', ' ')), ' ', '') as wire) w),
            'systems', v_entity);
    end loop;
end
$$;
drop table history_of_images;
drop function split_part_from(text, integer);

call define_history_readers();
