-- Live rows of a workspace, by table.
with mine as (select s.system_id from systems s where s.workspace_id = $1)
select (select count(*) from systems s where s.workspace_id = $1 and s.deleted_at is null) as systems,
       (select count(*) from principals t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as principals,
       (select count(*) from resources t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as resources,
       (select count(*) from resource_assignments t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as resource_assignments,
       (select count(*) from resource_relationships t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as resource_relationships,
       (select count(*) from identities t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as identities,
       (select count(*) from identity_members t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as identity_members,
       (select count(*) from contexts t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as contexts,
       (select count(*) from context_members t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as context_members,
       (select count(*) from principal_activity t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as principal_activity,
       (select count(*) from governance_catalogs t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as governance_catalogs,
       (select count(*) from assignment_policies t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as assignment_policies,
       (select count(*) from assignment_requests t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as assignment_requests,
       (select count(*) from certification_decisions t where t.system_id in (select m.system_id from mine m) and t.deleted_at is null)
           as certification_decisions,
       (select count(*) from effective_access t where t.system_id in (select m.system_id from mine m)) as effective_access
