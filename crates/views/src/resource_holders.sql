-- Who has access to a resource: a page after the given key. The keys are cut first, so that names are looked up for one
-- page only. Whose a system is, is a matter of now, whatever the instant. Of the principal that the key is of, rows may be before and behind it: those come on top of the page.
with page as (
    select s.system_id, e.resource_id, e.principal_id, e.assignment_type, e.role_scope, e.via_kind, e.via_id
    from public.systems s
    cross join lateral (
        select b.*
        from effective_access_between(s.system_id, array[$4::uuid], array[$3::uuid]) b
        union all
        select a.*
        from effective_access_after(s.system_id, $3, $4, $9) a
    ) e
    where s.workspace_id = $1 and s.system_id = $2
      and (e.principal_id, e.assignment_type collate "C", e.role_scope collate "C", e.via_id, e.via_kind collate "C")
          > ($4, $5, $6, $7, $8)
    order by e.principal_id, e.assignment_type collate "C", e.role_scope collate "C", e.via_id, e.via_kind collate "C"
    limit $9
)
select p.principal_id, n.display_name as principal_name, n.principal_type, n.user_principal_name, n.account_enabled,
       p.assignment_type,
       case when p.assignment_type = 'Eligible' then 'Eligible' else 'Active' end as access_state,
       p.role_scope, p.via_kind = 'Direct' as is_direct, p.via_kind,
       nullif(p.via_id, '00000000-0000-0000-0000-000000000000') as via_id, v.display_name as via_name,
       a.state, a.start_date_time, a.expiration_date_time, a.first_seen_at
from page p
left join principals n on n.system_id = p.system_id and n.id = p.principal_id and n.deleted_at is null
left join resources v on v.system_id = p.system_id and v.id = p.via_id and v.deleted_at is null
left join lateral access_behind(
    p.system_id, p.resource_id, p.principal_id, p.assignment_type, p.role_scope, p.via_kind, p.via_id
) a on true
order by p.principal_id, p.assignment_type collate "C", p.role_scope collate "C", p.via_id, p.via_kind collate "C"
