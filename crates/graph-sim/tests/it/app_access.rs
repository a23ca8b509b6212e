use std::collections::BTreeSet;

use graph_sim::{AppRoleAssignment, SimOptions, Tenant, TenantSpec};
use uuid::Uuid;

use crate::client::{Client, id, start, start_default, unlimited};

#[tokio::test]
async fn the_lists_of_access_to_applications_show_exactly_the_truth() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let mut assigned = BTreeSet::new();
    for one in &truth.service_principals {
        let path = format!(
            "/v1.0/servicePrincipals/{}/appRoleAssignedTo?$top=3&$count=true",
            one.id
        );
        let mut next = Some(path);
        while let Some(path) = next {
            let page = client.get_eventual(&path).await.json();
            for held in page["value"].as_array().expect("a page") {
                let text = |name: &str| held[name].as_str().expect("a text").to_lowercase();
                assert!(held["principalDisplayName"].is_string(), "{held}");
                assigned.insert((one.id.to_string(), text("appRoleId"), text("principalId")));
            }
            let link = page["@odata.nextLink"].as_str();
            next = link.map(|link| link.replace(&client.base, ""));
        }
    }
    let held = truth.app_role_assignments.iter();
    let expected: BTreeSet<(String, String, String)> = held
        .map(|held| (held.resource_id, held.app_role_id, held.principal_id))
        .map(|(resource, role, holder)| {
            (resource.to_string(), role.to_string(), holder.to_string())
        })
        .collect();
    assert_eq!(assigned, expected);

    let grants = client.all("/v1.0/oauth2PermissionGrants?$top=7").await;
    let grants: BTreeSet<String> = grants
        .iter()
        .map(|grant| grant["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(
        grants,
        truth
            .permission_grants
            .iter()
            .map(|grant| grant.id.clone())
            .collect()
    );

    let mut credentials = BTreeSet::new();
    for one in &truth.applications {
        let path = format!("/v1.0/applications/{}/federatedIdentityCredentials", one.id);
        credentials.extend(client.all(&path).await.iter().map(id));
    }
    let expected: BTreeSet<Uuid> = truth
        .federated_credentials
        .iter()
        .map(|one| one.credential.id)
        .collect();
    assert_eq!(credentials, expected);

    let mut sponsors = BTreeSet::new();
    for agent in truth
        .sponsors
        .iter()
        .map(|one| one.object_id)
        .collect::<BTreeSet<Uuid>>()
    {
        let path = format!(
            "/v1.0/servicePrincipals/{agent}/microsoft.graph.agentIdentity/sponsors?$select=id"
        );
        sponsors.extend(
            client
                .all(&path)
                .await
                .iter()
                .map(|sponsor| (agent, id(sponsor))),
        );
    }
    let expected = truth
        .sponsors
        .iter()
        .map(|one| (one.object_id, one.owner_id))
        .collect();
    assert_eq!(sponsors, expected);
    simulator.stop().await;
}

#[tokio::test]
async fn without_the_index_no_assignment_past_the_first_999_is_shown() {
    let spec = TenantSpec::default();
    let (simulator, client) = start(&spec, unlimited()).await;
    let resource = simulator.with_tenant(|tenant| crowd(tenant, 1_500));
    let path = format!("/v1.0/servicePrincipals/{resource}/appRoleAssignedTo?$top=999");
    let shown = client.all(&path).await;
    assert_eq!(shown.len(), 999);
    let path = format!("{path}&$count=true");
    let first = client.get_eventual(&path).await.json();
    let all = simulator.truth().app_role_assignments;
    let all = all
        .iter()
        .filter(|held| held.resource_id == resource)
        .count();
    assert_eq!(first["@odata.count"], all);
    assert!(first["@odata.nextLink"].is_string());
    simulator.stop().await;
}

/// Many hold the first role that is held at all; whoever holds it already holds it many times.
fn crowd(tenant: &mut Tenant, count: usize) -> Uuid {
    let known = tenant.app_access.assignments.values().next().cloned();
    let known = known.expect("an assignment");
    for number in 0..count {
        tenant.app_access.assign(AppRoleAssignment {
            id: format!("crowd-{number}"),
            ..known.clone()
        });
    }
    known.resource_id
}

#[tokio::test]
async fn delegated_grants_need_a_permission_of_their_own() {
    let roles = |role: &str| SimOptions {
        roles: vec![role.to_owned()],
        ..unlimited()
    };
    let spec = TenantSpec::default();
    for (role, status) in [
        ("Application.Read.All", 403),
        ("Directory.Read.All", 200),
        ("DelegatedPermissionGrant.Read.All", 200),
    ] {
        let (simulator, _) = start(&spec, roles(role)).await;
        let client = Client::login(&simulator).await;
        let answer = client.get("/v1.0/oauth2PermissionGrants").await;
        assert_eq!(answer.status, status, "{role}");
        simulator.stop().await;
    }
}

#[test]
fn a_tenant_has_what_makes_access_to_applications_hard() {
    let truth = Tenant::generate(&TenantSpec::new(3, 200, 60, 80)).truth();
    let roles = truth
        .service_principals
        .iter()
        .flat_map(|one| &one.app_roles);
    let ids: Vec<Uuid> = roles.clone().map(|role| role.id).collect();
    assert!(
        ids.iter().collect::<BTreeSet<_>>().len() < ids.len(),
        "a role id of two applications"
    );
    assert!(
        roles.clone().any(|role| role.value.is_none()),
        "a role without value"
    );
    assert!(
        roles.clone().any(|role| !role.is_enabled),
        "a disabled role"
    );
    assert!(
        truth
            .app_role_assignments
            .iter()
            .any(|held| held.app_role_id.is_nil())
    );
    let grants = &truth.permission_grants;
    assert!(grants.iter().any(|grant| grant.scope.starts_with(' ')));
    assert!(grants.iter().any(|grant| grant.principal_id.is_none()));
    let users = grants
        .iter()
        .filter_map(|grant| Some((grant.principal_id?, grant.resource_id)));
    let users: Vec<_> = users.collect();
    assert!(
        users.iter().collect::<BTreeSet<_>>().len() < users.len(),
        "two clients of one user"
    );
}

#[test]
fn a_round_of_changes_touches_access_to_applications() {
    let mut tenant = Tenant::generate(&TenantSpec::default());
    let before = tenant.truth();
    let summary = tenant.change(3, 0.1);
    let after = tenant.truth();
    for (what, count) in [
        ("updated applications", summary.updated_applications.len()),
        (
            "added assignments",
            summary.added_app_role_assignments.len(),
        ),
        (
            "removed assignments",
            summary.removed_app_role_assignments.len(),
        ),
        ("updated grants", summary.updated_permission_grants.len()),
        ("removed grants", summary.removed_permission_grants.len()),
    ] {
        assert!(count > 0, "{what}");
    }
    assert_ne!(
        before.service_principal_owners,
        after.service_principal_owners
    );
    assert_ne!(before.application_owners, after.application_owners);
    assert_ne!(before.federated_credentials, after.federated_credentials);
    assert_ne!(before.sponsors, after.sponsors);
}
