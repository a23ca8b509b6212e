-- What became of the views after a run: the refresh that brought in what it loaded. Null while that is not done.
alter table run_reports add column views jsonb;
create index run_reports_waiting on run_reports (run_id) where views is null;
