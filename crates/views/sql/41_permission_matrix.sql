-- A page of the matrix of resources and principals: a row for each cell that is not empty. A cell can be several things
-- at once; via says by which ways, each with its type and scope.
create function permission_matrix(p_system_id integer, p_resource_ids uuid[], p_principal_ids uuid[])
returns table (
    resource_id uuid, principal_id uuid, is_direct boolean, is_indirect boolean, is_owner boolean,
    is_eligible boolean, is_governed boolean, via jsonb
)
language sql stable
as $$
    select e.resource_id,
           e.principal_id,
           bool_or(e.via_kind = 'Direct' and e.assignment_type in ('Direct', 'OAuth2Grant')),
           bool_or(e.via_kind <> 'Direct' and e.assignment_type not in ('Owner', 'Eligible')
                   or e.assignment_type = 'Indirect'),
           bool_or(e.assignment_type = 'Owner' or e.role_scope = '/owner'),
           bool_or(e.assignment_type = 'Eligible'),
           bool_or(e.via_kind = 'Package' or e.assignment_type = 'Governed'),
           jsonb_agg(
               jsonb_build_object(
                   'kind', e.via_kind,
                   'id', nullif(e.via_id, '00000000-0000-0000-0000-000000000000'),
                   'name', v.display_name,
                   'assignmentType', e.assignment_type,
                   'roleScope', e.role_scope
               )
               order by e.via_kind, v.display_name, e.via_id, e.assignment_type, e.role_scope
           )
    from effective_access_between(p_system_id, p_principal_ids, p_resource_ids) e
    left join resources v on v.system_id = p_system_id and v.id = e.via_id and v.deleted_at is null
    group by e.resource_id, e.principal_id
$$;
