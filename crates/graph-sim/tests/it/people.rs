//! What stands around the users: administrative units, the recycle bin, custom attributes, conditional access, domains.

use std::collections::BTreeSet;

use graph_sim::{SimOptions, TenantSpec, permissions};
use serde_json::json;

use crate::client::{Client, id, ids, start, start_default, unlimited};

fn all_but(permission: &str) -> SimOptions {
    let all = permissions::ALL.iter().map(ToString::to_string);
    SimOptions {
        roles: all
            .filter(|name| name != permission && name != "Directory.Read.All")
            .collect(),
        ..unlimited()
    }
}

#[tokio::test]
async fn administrative_units_show_users_groups_and_devices() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let units = client
        .all("/v1.0/directory/administrativeUnits?$top=2")
        .await;
    let known: BTreeSet<_> = truth
        .administrative_units
        .iter()
        .map(|unit| unit.id)
        .collect();
    assert_eq!(ids(&units), known);
    let mut kinds = BTreeSet::new();
    for unit in &truth.administrative_units {
        let path = format!(
            "/v1.0/directory/administrativeUnits/{}/members?$select=id&$top=3",
            unit.id
        );
        let members = client.all(&path).await;
        let expected: BTreeSet<_> = truth
            .unit_members
            .iter()
            .filter(|member| member.unit_id == unit.id)
            .map(|member| member.member_id)
            .chain(unit.devices.iter().copied())
            .collect();
        assert_eq!(ids(&members), expected);
        kinds.extend(members.iter().map(|one| one["@odata.type"].to_string()));
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    simulator.stop().await;
}

#[tokio::test]
async fn members_of_a_hidden_unit_need_a_permission() {
    let (simulator, client) = start(&TenantSpec::default(), all_but("Member.Read.Hidden")).await;
    let truth = simulator.truth();
    let hidden = truth
        .administrative_units
        .iter()
        .find(|unit| {
            let mut members = truth.unit_members.iter();
            unit.hides_members() && members.any(|member| member.unit_id == unit.id)
        })
        .expect("a hidden unit with members");
    let path = format!("/v1.0/directory/administrativeUnits/{}/members", hidden.id);
    assert_eq!(client.all(&path).await, [json!(null); 0]);
    simulator.set_roles(permissions::ALL.iter().map(ToString::to_string).collect());
    let allowed = Client::login(&simulator).await;
    assert!(!allowed.all(&path).await.is_empty());
    simulator.stop().await;
}

#[tokio::test]
async fn custom_security_attributes_come_set_by_set_and_only_with_their_permission() {
    let path = "/v1.0/users?$select=id,customSecurityAttributes&$top=999";
    let (simulator, client) = start(
        &TenantSpec::default(),
        all_but("CustomSecAttributeAssignment.Read.All"),
    )
    .await;
    assert_eq!(client.get(path).await.status, 403);
    simulator.set_roles(permissions::ALL.iter().map(ToString::to_string).collect());
    let users = Client::login(&simulator).await.all(path).await;
    let truth = simulator.truth();
    for user in &truth.users {
        let shown = users.iter().find(|shown| id(shown) == user.id);
        let shown = &shown.expect("every user")["customSecurityAttributes"];
        assert_eq!(shown.is_null(), user.security_attributes.is_empty());
        for (set, values) in &user.security_attributes {
            for (name, value) in values {
                assert_eq!(&shown[set][name], value);
            }
        }
    }
    simulator.stop().await;
}

#[tokio::test]
async fn where_activity_pages_are_short_a_long_one_is_refused_without_a_code() {
    let (simulator, client) = start(
        &TenantSpec::default(),
        SimOptions {
            short_activity_pages: true,
            ..unlimited()
        },
    )
    .await;
    let page = |top: u32| format!("/v1.0/users?$select=id,signInActivity&$top={top}");
    let refused = client.get(&page(500)).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["value"].is_string(), "{}", refused.text);
    assert_eq!(client.get(&page(120)).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn a_deleted_user_is_in_the_recycle_bin_with_its_id_before_its_name() {
    let (simulator, client) = start_default().await;
    let user = simulator.truth().users[0].clone();
    simulator.with_tenant(|tenant| tenant.remove_objects([user.id]));
    let path = "/v1.0/directory/deletedItems/microsoft.graph.user?$select=id,userPrincipalName,deletedDateTime";
    let deleted = client.all(path).await;
    let found = deleted.iter().find(|one| id(one) == user.id);
    let found = found.expect("it is there");
    let name = format!("{}{}", user.id.simple(), user.user_principal_name);
    assert_eq!(found["userPrincipalName"], name);
    assert!(found["deletedDateTime"].is_string());
    simulator.stop().await;
}

#[tokio::test]
async fn policies_locations_domains_and_definitions_are_listed() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    for (path, count) in [
        (
            "identity/conditionalAccess/policies",
            truth.conditional_access_policies.len(),
        ),
        (
            "identity/conditionalAccess/namedLocations",
            truth.named_locations.len(),
        ),
        ("domains", truth.domains.len()),
        ("directory/customSecurityAttributeDefinitions", 4),
        ("schemaExtensions", 1),
    ] {
        assert_eq!(client.all(&format!("/v1.0/{path}")).await.len(), count);
    }
    let path = "/v1.0/directoryObjects/getAvailableExtensionProperties";
    let extensions = client.post(path, &json!({})).await;
    assert_eq!(extensions.value().len(), 2);
    simulator.stop().await;
}
