-- Principals that hold access and should be looked at: disabled, without activity for so many days, or never active.
-- Where the register has no activity of the system at all (it is not read), only the disabled ones: nothing is known of
-- the others. A principal that is younger than the days asked for and was never active is not inactive yet.
create function stale_principals(p_system_id integer, p_days integer default 90, p_at timestamptz default now())
returns table (
    principal_id uuid, display_name text, principal_type text, is_disabled boolean, is_inactive boolean,
    was_never_active boolean, last_activity_at timestamptz, assignments bigint
)
language sql stable
as $$
    with known as materialized (
        select exists (select from principal_sign_ins s where s.system_id = p_system_id) as has_activity
    )
    select p.id, p.display_name, p.principal_type, f.is_disabled, f.is_inactive, f.was_never_active,
           s.last_activity_at, h.assignments
    from principals p
    cross join known k
    left join principal_sign_ins s on s.system_id = p_system_id and s.principal_id = p.id
    cross join lateral (
        select p.account_enabled is not distinct from false as is_disabled,
               k.has_activity
                   and coalesce(s.last_activity_at, p.created_date_time, '-infinity')
                       < p_at - make_interval(days => p_days) as is_inactive,
               k.has_activity and s.last_activity_at is null as was_never_active
    ) f
    cross join lateral (
        select count(*) as assignments
        from own_access o
        where o.system_id = p_system_id and o.principal_id = p.id
    ) h
    where p.system_id = p_system_id
      and p.deleted_at is null
      and (f.is_disabled or f.is_inactive or f.was_never_active)
      and h.assignments > 0
$$;
