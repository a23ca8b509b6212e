-- In the place of the table, so that nobody reads the present instead.
create view principal_activity as
select a.system_id, a.principal_id, a.last_activity_date_time, a.deleted_at
from principal_activity_as_of() a;
