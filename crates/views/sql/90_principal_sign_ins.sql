-- When each principal was last active, by whatever it signed in to. No row: the register knows of no activity.
create view principal_sign_ins as
select a.system_id, a.principal_id, max(a.last_activity_date_time) as last_activity_at
from principal_activity a
where a.deleted_at is null
  and a.last_activity_date_time is not null
group by a.system_id, a.principal_id;
