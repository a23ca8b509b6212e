use std::collections::BTreeSet;

use graph_sim::{AppRoleAssignment, MemberKind, TruthLink};
use uuid::Uuid;

use crate::client::{Client, id, ids, start_default};

/// Every member of every group, as a crawler would read them.
async fn crawl(
    client: &Client,
    version: &str,
    relation: &str,
    groups: &[Uuid],
) -> BTreeSet<TruthLink> {
    let mut found = BTreeSet::new();
    for group_id in groups {
        let path = format!("/{version}/groups/{group_id}/{relation}?$select=id&$top=11");
        for object in client.all(&path).await {
            let member_kind = match object["@odata.type"].as_str().expect("links have a type") {
                "#microsoft.graph.user" => MemberKind::User,
                "#microsoft.graph.group" => MemberKind::Group,
                _ => MemberKind::ServicePrincipal,
            };
            assert!(found.insert(TruthLink {
                group_id: *group_id,
                member_id: id(&object),
                member_kind
            }));
        }
    }
    found
}

#[tokio::test]
async fn beta_lists_exactly_the_members_and_owners_of_the_truth() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let groups: Vec<Uuid> = truth.groups.iter().map(|group| group.id).collect();
    let members = crawl(&client, "beta", "members", &groups).await;
    assert_eq!(members, truth.members.iter().copied().collect());
    let owners = crawl(&client, "beta", "owners", &groups).await;
    assert_eq!(owners, truth.owners.iter().copied().collect());
    simulator.stop().await;
}

#[tokio::test]
async fn v1_hides_service_principals_among_members_and_owners() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let groups: Vec<Uuid> = truth.groups.iter().map(|group| group.id).collect();
    for (relation, all) in [("members", &truth.members), ("owners", &truth.owners)] {
        let visible: BTreeSet<TruthLink> = all
            .iter()
            .copied()
            .filter(|link| link.member_kind != MemberKind::ServicePrincipal)
            .collect();
        assert!(
            visible.len() < all.len(),
            "the tenant has service principals among its {relation}"
        );
        assert_eq!(crawl(&client, "v1.0", relation, &groups).await, visible);
    }
    simulator.stop().await;
}

#[tokio::test]
async fn expanding_shows_service_principals_and_stops_at_twenty_without_a_marker() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let mut cut = 0;
    let mut robots = 0;
    for group in client
        .all("/v1.0/groups?$select=id&$expand=members($select=id)")
        .await
    {
        let group_id = id(&group);
        let shown = group["members"].as_array().expect("members are expanded");
        let all = truth
            .members
            .iter()
            .filter(|link| link.group_id == group_id)
            .count();
        assert_eq!(shown.len(), all.min(20));
        assert!(group.get("members@odata.nextLink").is_none());
        cut += usize::from(all > 20);
        robots += shown
            .iter()
            .filter(|member| member["@odata.type"] == "#microsoft.graph.servicePrincipal")
            .count();
    }
    assert!(cut > 0 && robots > 0);
    simulator.stop().await;
}

#[tokio::test]
async fn transitive_members_end_in_spite_of_cycles() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let group = |name: &str| {
        truth
            .groups
            .iter()
            .find(|group| group.display_name == name)
            .expect("it exists")
            .id
    };
    let (planners, dispatchers) = (
        group("SG-Warehouse-Planners"),
        group("SG-Warehouse-Dispatchers"),
    );
    let found = ids(&client
        .all(&format!(
            "/v1.0/groups/{planners}/transitiveMembers?$select=id&$top=3"
        ))
        .await);
    assert!(found.contains(&planners) && found.contains(&dispatchers));
    let top = group("SG-Platform-Everyone");
    let deep = ids(&client
        .all(&format!("/v1.0/groups/{top}/transitiveMembers"))
        .await);
    assert!(
        deep.contains(&group("SG-Platform-BreakGlass")),
        "the chain is followed to its end"
    );
    simulator.stop().await;
}

#[tokio::test]
async fn owners_of_service_principals_and_applications_come_as_the_truth_says() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    for (collection, owners) in [
        ("servicePrincipals", &truth.service_principal_owners),
        ("applications", &truth.application_owners),
    ] {
        let mut found = BTreeSet::new();
        for object in client.all(&format!("/v1.0/{collection}?$select=id")).await {
            for owner in client
                .all(&format!(
                    "/v1.0/{collection}/{}/owners?$select=id",
                    id(&object)
                ))
                .await
            {
                found.insert((id(&object), id(&owner)));
            }
        }
        let expected: BTreeSet<(Uuid, Uuid)> = owners
            .iter()
            .map(|link| (link.object_id, link.owner_id))
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(found, expected);
    }
    simulator.stop().await;
}

#[tokio::test]
async fn what_hangs_on_applications_is_expanded_up_to_twenty_one_relation_at_a_time() {
    let (simulator, client) = start_default().await;
    simulator.with_tenant(|tenant| {
        let access = &mut tenant.app_access;
        let known = access.assignments.values().next().expect("some").clone();
        for number in 0..21 {
            let id = format!("one-more-{number}");
            access.assign(AppRoleAssignment {
                id,
                ..known.clone()
            });
        }
    });
    let truth = simulator.truth();
    let mut cut = 0;
    let holders = |resource: Uuid| {
        let held = truth.app_role_assignments.iter();
        held.filter(|held| held.resource_id == resource).count()
    };
    let path =
        "/v1.0/servicePrincipals?$select=id&$expand=appRoleAssignedTo($select=id,resourceId)";
    for principal in client.all(path).await {
        let shown = principal["appRoleAssignedTo"].as_array().expect("expanded");
        let all = holders(id(&principal));
        assert_eq!(shown.len(), all.min(20));
        cut += usize::from(all > 20);
        for held in shown {
            let resource = held["resourceId"]
                .as_str()
                .and_then(|text| text.parse().ok());
            assert_eq!(resource, Some(id(&principal)));
            assert!(held.get("principalId").is_none(), "not selected");
        }
    }
    assert!(cut > 0);
    let path =
        "/v1.0/applications?$select=id&$expand=federatedIdentityCredentials($select=id,name)";
    let mut shown = BTreeSet::new();
    for application in client.all(path).await {
        let trusted = &application["federatedIdentityCredentials"];
        shown.extend(ids(trusted.as_array().expect("expanded")));
    }
    let all = truth.federated_credentials.iter();
    assert_eq!(shown, all.map(|one| one.credential.id).collect());
    for path in [
        "/v1.0/servicePrincipals?$expand=owners,appRoleAssignedTo",
        "/v1.0/applications?$expand=owners,federatedIdentityCredentials",
        "/v1.0/applications?$expand=appRoleAssignedTo",
    ] {
        assert_eq!(client.get(path).await.status, 400, "{path}");
    }
    simulator.stop().await;
}
