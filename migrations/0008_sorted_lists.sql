-- Lists of principals and resources by name: whatever page is asked for, in either direction, and those whose names begin
-- with something. The expression is the one that query/names.rs sorts texts by; a test compares them. The key is in it, so
-- that pages among equal names need no sorting. Removed rows are in it too: with deleted_at in an index, a removal could not
-- be an update in place. Assignments are many times more, and have no name.
create index principals_by_name on principals
    (system_id, (left(lower(display_name collate "default"), 200) collate "C"), id);
create index resources_by_name on resources
    (system_id, (left(lower(display_name collate "default"), 200) collate "C"), id);
