-- What changes in place writes least: a version that finds room on its row's page, and changes no column that an index
-- knows, needs no new entries in the indexes.

-- Room for the changes of a day on each page. Rows that are there already are not moved.
alter table principals set (fillfactor = 95);
alter table resources set (fillfactor = 95);
alter table resource_assignments set (fillfactor = 95);
alter table resource_relationships set (fillfactor = 95);
alter table identities set (fillfactor = 95);
alter table identity_members set (fillfactor = 95);
alter table contexts set (fillfactor = 95);
alter table context_members set (fillfactor = 95);
alter table principal_activity set (fillfactor = 90);
alter table governance_catalogs set (fillfactor = 95);
alter table assignment_policies set (fillfactor = 95);
alter table assignment_requests set (fillfactor = 95);
alter table certification_decisions set (fillfactor = 95);

-- With an index of removed rows, every removal was a new entry in every index. Retention walks through the tables
-- instead, when something is due.
drop index principals_removed;
drop index resources_removed;
drop index resource_assignments_removed;
drop index resource_relationships_removed;
drop index identities_removed;
drop index identity_members_removed;
drop index contexts_removed;
drop index context_members_removed;
drop index principal_activity_removed;
drop index governance_catalogs_removed;
drop index assignment_policies_removed;
drop index assignment_requests_removed;
drop index certification_decisions_removed;

-- How old the removed rows of a table are, at most, as far as retention knows. Nothing is due before that is.
create table removed_rows_known (
    table_name text collate "C" primary key,
    oldest_removed_at timestamptz not null
);

-- Which transactions changed rows of which entity, for whatever is computed from them. Kept until every view has seen the
-- transaction. It used to be one number in the session's row, for which batches of the same session queued up.
create table changes (
    change_xid xid8 not null default pg_current_xact_id(),
    system_id integer not null,
    entity text collate "C" not null,
    sync_id uuid not null
);
create index changes_by_transaction on changes (change_xid);
insert into changes (change_xid, system_id, entity, sync_id)
    select s.last_change_xid, s.system_id, s.entity, s.sync_id from sync_sessions s
    where s.last_change_xid is not null and s.system_id is not null;
alter table sync_sessions drop column last_change_xid;
