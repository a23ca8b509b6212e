-- Is access_closure, as this statement sees it, what the live tables of the system say, as this statement sees them?
create function access_closure_is_fresh(p_system_id integer)
returns boolean
language sql stable
as $$
    select exists (
        select from access_closure_systems k
        join view_refreshes v on v.view_name = 'access_closure'
        where k.system_id = p_system_id
          and k.is_kept
          and v.seen is not null
          and v.cluster_id = (select c.system_identifier from pg_control_system() c)
          and not exists (
              select from changes c
              where c.change_xid >= pg_snapshot_xmin(v.seen)
                and not pg_visible_in_snapshot(c.change_xid, v.seen)
                and c.system_id = p_system_id
                and c.entity in ('resource-assignments', 'resource-relationships', 'resources')
          )
    )
$$;
