-- Ten days on which one percent of the assignments changed, half of them to be removed.
update principals set valid_from = now() - interval '11 days';
update resources set valid_from = now() - interval '11 days';
update resource_relationships set valid_from = now() - interval '11 days';
update resource_assignments set valid_from = now() - interval '11 days';
do $$
declare
    v_columns text := (select string_agg(quote_ident(name), ', ') from history_columns('resource_assignments'));
    v_at timestamptz;
begin
    for v_day in 1 .. 10 loop
        v_at := now() - make_interval(days => 11 - v_day);
        execute format(
            'with changed as (
                 select t.system_id, t.resource_id, t.principal_id, t.assignment_type, t.role_scope
                 from resource_assignments t
                 where t.deleted_at is null and hashtext(t.resource_id::text || t.principal_id) & 127 = %2$s
             ), ended as (
                 insert into history_resource_assignments (%1$s, valid_to, ended_by, operation)
                 select %1$s, %3$L, gen_random_uuid(), ''update''
                 from resource_assignments join changed
                     using (system_id, resource_id, principal_id, assignment_type, role_scope)
             )
             update resource_assignments t
             set valid_from = %3$L,
                 deleted_at = case when hashtext(t.principal_id::text) & 1 = 0 then %3$L::timestamptz end
             from changed c
             where t.system_id = c.system_id and t.resource_id = c.resource_id and t.principal_id = c.principal_id
               and t.assignment_type = c.assignment_type and t.role_scope = c.role_scope',
            v_columns, v_day, v_at);
    end loop;
end
$$;
