-- The closure is kept of the present only.
create view access_closure as
select k.system_id, k.from_id, k.to_id, k.from_is_package, k.to_is_package, k.is_eligible, k.is_direct
from public.access_closure k
where false;
