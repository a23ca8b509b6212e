-- The assignment behind a row of effective access: the principal's own, or the group's that it comes through. Nothing
-- for what a package or another resource gives.
create function access_behind(
    p_system_id integer,
    p_resource_id uuid,
    p_principal_id uuid,
    p_assignment_type text,
    p_role_scope text,
    p_via_kind text,
    p_via_id uuid
)
returns table (
    state text, start_date_time timestamptz, expiration_date_time timestamptz, first_seen_at timestamptz
)
language sql stable
as $$
    -- Of the same type, or of another that eligible membership turned into Eligible.
    select h.state, h.start_date_time, h.expiration_date_time, h.first_seen_at
    from resource_assignments h
    where h.system_id = p_system_id
      and h.resource_id = p_resource_id
      and h.principal_id = case p_via_kind when 'Direct' then p_principal_id when 'Group' then p_via_id end
      and h.deleted_at is null
      and (
          h.assignment_type = p_assignment_type and h.role_scope = p_role_scope
          or p_assignment_type = 'Eligible'
             and p_via_kind = 'Group'
             and case when h.assignment_type = 'Owner' then '/owner' else h.role_scope end = p_role_scope
      )
    order by h.assignment_type <> p_assignment_type, h.assignment_type, h.role_scope
    limit 1
$$;
