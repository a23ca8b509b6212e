-- The definition of past.X for each table X that has a history: its rows at the instant that the setting cadastre.as_of
-- names. Columns have the types and collations of the table. No setting, no answer: reading it then is an error.
--
-- The instant is compared outside of the union, so that PostgreSQL takes both parts apart like partitions of one table: in
-- a join, keys go to the indexes of both. And not by X_as_of, which is dropped and created again when columns come; a view
-- on it would be in the way.
select g.name,
       format(
           'create view %1$I as
            select %2$s, t.deleted_at
            from (
                select %2$s, ''infinity''::timestamptz as valid_to, t.deleted_at from public.%1$I t
                union all
                select %2$s, t.valid_to, null::timestamptz from public.%3$I t
            ) t
            where t.deleted_at is null
              and t.valid_from <= current_setting(''cadastre.as_of'')::timestamptz
              and t.valid_to > current_setting(''cadastre.as_of'')::timestamptz',
           g.name, c.columns, 'history_' || g.name
       ) as definition
from public.governed_tables() g
cross join lateral (
    select string_agg(format('t.%I', h.name), ', ' order by h.place) as columns
    from public.history_columns(g.name) h
    where exists (
        select from pg_attribute a
        where a.attrelid = to_regclass('public.history_' || g.name) and a.attname = h.name and not a.attisdropped
    )
) c
order by g.name
