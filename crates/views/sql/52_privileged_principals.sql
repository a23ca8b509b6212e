-- Principals by the directory roles they hold. Of several ways to the same role only the weightiest counts.
create view privileged_principals as
select h.system_id,
       h.principal_id,
       h.principal_name,
       h.principal_type,
       h.user_principal_name,
       h.account_enabled,
       sum(h.score)::bigint as score,
       min(h.tier) as highest_tier,
       count(*) filter (where h.access_state = 'Active') as active_roles,
       count(*) filter (where h.access_state = 'Eligible') as eligible_roles,
       jsonb_agg(
           jsonb_build_object(
               'roleId', h.role_id,
               'name', h.role_name,
               'tier', h.tier,
               'accessState', h.access_state,
               'roleScope', h.role_scope,
               'viaKind', h.via_kind,
               'viaId', h.via_id,
               'via', h.via_name,
               'score', h.score
           )
           order by h.score desc, h.role_name, h.role_id
       ) as roles
from (
    select distinct on (a.system_id, a.principal_id, a.role_id)
           a.system_id, a.principal_id, a.principal_name, a.principal_type, a.user_principal_name, a.account_enabled,
           a.role_id, a.role_name, a.tier, a.access_state, a.role_scope, a.via_kind, a.via_id, a.via_name, a.score
    from role_holders a
    order by a.system_id, a.principal_id, a.role_id,
             a.score desc, a.access_state, a.is_direct desc, a.role_scope, a.via_id
) h
group by h.system_id, h.principal_id, h.principal_name, h.principal_type, h.user_principal_name, h.account_enabled;
