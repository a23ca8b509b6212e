-- The assignments that people and other principals have of their own, and which packages explain them: is_governed is
-- false where no package that the principal has gives this, in this role and scope.
create view governed_access as
select o.system_id,
       o.resource_id,
       o.principal_id,
       o.assignment_type,
       o.role_scope,
       g.package_ids is not null as is_governed,
       g.package_ids
from own_access o
left join (
    select e.system_id, e.resource_id, e.principal_id, e.assignment_type, e.role_scope,
           array_agg(e.via_id order by e.via_id) as package_ids
    from effective_access e
    where e.via_kind = 'Package'
    group by e.system_id, e.resource_id, e.principal_id, e.assignment_type, e.role_scope
) g
  on g.system_id = o.system_id and g.resource_id = o.resource_id and g.principal_id = o.principal_id
     and g.assignment_type = o.assignment_type and g.role_scope = o.role_scope
where o.assignment_type in ('Direct', 'Owner', 'Eligible');
