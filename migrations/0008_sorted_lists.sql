-- Lists of principals and resources by name: whatever page is asked for, in either direction, and those whose names begin
-- with something. The expression is the one that query/names.rs sorts texts by; a test compares them. The key is in it, so
-- that pages among equal names need no sorting. Removed rows are in it too: with deleted_at in an index, a removal could not
-- be an update in place. Assignments are many times more, and have no name.
create index principals_by_name on principals
    (system_id, (left(lower(display_name collate "default"), 200) collate "C"), id);
create index resources_by_name on resources
    (system_id, (left(lower(display_name collate "default"), 200) collate "C"), id);

-- The same for promoted attributes: those that were ready get an index by which they can be sorted. Until it is there, the
-- JSON answers.
do $$
declare
    v_index text;
begin
    for v_index in select table_name || '_' || column_name from promoted_attributes where state in ('indexing', 'ready') loop
        execute format('drop index if exists %I', v_index);
    end loop;
    update promoted_attributes set state = 'indexing', state_since = now() where state = 'ready';
end
$$;
