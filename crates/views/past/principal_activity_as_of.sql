-- Activity is kept as it is now. An answer that took the activity of today for that of then would be wrong, and one
-- without any would be too.
create function principal_activity_as_of()
returns table (system_id integer, principal_id uuid, last_activity_date_time timestamptz, deleted_at timestamptz)
language plpgsql stable
as $$
begin
    raise exception using
        errcode = 'feature_not_supported',
        message = 'of the activity of principals only the present is known';
end
$$;
