-- Of no system is a closure of the past kept, so that each principal is walked.
create view access_closure_systems as
select k.system_id, k.is_kept
from public.access_closure_systems k
where false;
