-- The groups inside each group, itself included; is_eligible where an eligible membership lies on the way. A system_id
-- in the question keeps the work to that system.
create view group_nesting as
select s.system_id, n.group_id, n.nested_group_id, n.is_eligible
from systems s
cross join lateral group_nesting_in(array[s.system_id]) n;
