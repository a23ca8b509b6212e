//! Entitlement management, access reviews and activations, as Graph shows them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use graph_sim::{AssignmentType, Simulator, TenantSpec};
use serde_json::Value;
use uuid::Uuid;

use crate::client::{Client, id, ids, start, unlimited};

const ENTITLEMENTS: &str = "/v1.0/identityGovernance/entitlementManagement";
const REVIEWS: &str = "/v1.0/identityGovernance/accessReviews/definitions";
const PIM: &str = "/v1.0/identityGovernance/privilegedAccess/group";

async fn governed() -> (Simulator, Client) {
    let spec = TenantSpec::new(7, 200, 60, 40).with_access_packages(9);
    start(&spec, unlimited()).await
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn lower_id(value: &Value) -> Uuid {
    text(value).parse().expect("an id")
}

#[tokio::test]
async fn every_list_of_entitlement_management_is_the_truth_across_pages() {
    let (simulator, client) = governed().await;
    let truth = simulator.truth().governance;
    for (list, expected) in [
        (
            "catalogs?$top=2",
            truth.catalogs.keys().copied().collect::<BTreeSet<Uuid>>(),
        ),
        (
            "accessPackages?$top=4",
            truth.packages.keys().copied().collect(),
        ),
        (
            "assignmentPolicies",
            truth.policies.keys().copied().collect(),
        ),
        (
            "assignments?$top=50",
            truth.assignments.keys().copied().collect(),
        ),
        (
            "assignmentRequests?$top=50",
            truth.requests.keys().copied().collect(),
        ),
    ] {
        assert!(!expected.is_empty(), "{list} is empty");
        let found = client.all(&format!("{ENTITLEMENTS}/{list}")).await;
        assert_eq!(found.len(), expected.len(), "{list} names an object twice");
        assert_eq!(ids(&found), expected, "{list}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn an_object_names_what_it_belongs_to_only_when_that_is_expanded() {
    let (simulator, client) = governed().await;
    let truth = simulator.truth().governance;
    let plain = client.all(&format!("{ENTITLEMENTS}/assignments")).await;
    assert!(plain.iter().all(|one| one.get("accessPackage").is_none()));
    let address = format!(
        "{ENTITLEMENTS}/assignments?$filter=state eq 'Delivered'&$expand=target,accessPackage,assignmentPolicy&$top=500"
    );
    let whole = client.all(&address).await;
    let delivered = truth
        .assignments
        .values()
        .filter(|one| one.state == "delivered");
    assert_eq!(whole.len(), delivered.count());
    assert!(whole.len() < plain.len(), "some have expired");
    let mut without_account = 0;
    for one in &whole {
        let known = &truth.assignments[&id(one)];
        assert_eq!(lower_id(&one["accessPackage"]["id"]), known.package_id);
        assert_eq!(lower_id(&one["assignmentPolicy"]["id"]), known.policy_id);
        if let Some((target, _)) = known.target {
            assert_eq!(lower_id(&one["target"]["objectId"]), target);
        } else {
            without_account += 1;
            assert!(one["target"]["objectId"].is_null());
        }
    }
    assert!(without_account > 0, "nobody's account is being made");
    simulator.stop().await;
}

#[tokio::test]
async fn a_package_shows_all_it_gives_with_role_and_scope() {
    let (simulator, client) = governed().await;
    let truth = simulator.truth().governance;
    let mut systems = BTreeSet::new();
    for package in truth.packages.values() {
        let address = format!(
            "{ENTITLEMENTS}/accessPackages/{}/resourceRoleScopes?$expand=role,scope&$top=9",
            package.id
        );
        let found = client.all(&address).await;
        let keys: BTreeSet<String> = found.iter().map(|one| text(&one["id"])).collect();
        let expected = package.contents.iter();
        let expected: BTreeSet<String> = expected
            .map(|one| format!("{}_{}", one.role_id, one.scope_id))
            .collect();
        assert_eq!(keys, expected);
        systems.extend(found.iter().map(|one| text(&one["role"]["originSystem"])));
        assert!(found.iter().all(|one| one["scope"]["originId"].is_string()));
    }
    let largest = truth.packages.values().map(|one| one.contents.len()).max();
    assert!(largest > Some(20), "{largest:?}");
    let all = ["AadApplication", "AadGroup", "SharePointOnline"];
    assert_eq!(systems, all.map(str::to_owned).into());
    simulator.stop().await;
}

#[tokio::test]
async fn pages_that_graph_does_not_give_are_refused_as_graph_does() {
    let (simulator, client) = governed().await;
    for (address, status) in [
        (format!("{ENTITLEMENTS}/assignmentPolicies?$top=10"), 400),
        (format!("{ENTITLEMENTS}/assignments?$top=501"), 504),
        (format!("{REVIEWS}?$top=101"), 400),
        (format!("{PIM}/assignmentScheduleInstances"), 400),
        (
            format!(
                "{ENTITLEMENTS}/accessPackages/{}/resourceRoleScopes",
                Uuid::nil()
            ),
            404,
        ),
    ] {
        assert_eq!(client.get(&address).await.status, status, "{address}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn requests_can_be_asked_for_by_their_age() {
    let (simulator, client) = governed().await;
    let truth = simulator.truth().governance;
    let newest = truth.requests.values().map(|one| one.created).max();
    let limit = newest.expect("a request") - TimeDelta::days(60);
    let expected: BTreeSet<Uuid> = truth
        .requests
        .values()
        .filter(|one| one.created >= limit)
        .map(|one| one.id)
        .collect();
    assert!(!expected.is_empty() && expected.len() < truth.requests.len());
    let limit = limit.format("%Y-%m-%dT%H:%M:%S%.9fZ");
    let address = format!("{ENTITLEMENTS}/assignmentRequests?$filter=createdDateTime ge {limit}");
    assert_eq!(ids(&client.all(&address).await), expected);
    simulator.stop().await;
}

#[tokio::test]
async fn reviews_lead_to_rounds_and_rounds_to_decisions() {
    let (simulator, client) = governed().await;
    let truth = simulator.truth().governance;
    let definitions = client.all(&format!("{REVIEWS}?$top=3")).await;
    assert_eq!(ids(&definitions), truth.reviews.keys().copied().collect());
    let mut decided = 0;
    for review in truth.reviews.values() {
        let address = format!("{REVIEWS}/{}/instances", review.id);
        let rounds = client.all(&address).await;
        assert_eq!(ids(&rounds), review.instances.keys().copied().collect());
        for round in review.instances.values() {
            let items = client
                .all(&format!("{address}/{}/decisions?$top=4", round.id))
                .await;
            assert_eq!(ids(&items), round.decisions.keys().copied().collect());
            let nobody = |item: &&Value| lower_id(&item["reviewedBy"]["id"]).is_nil();
            let open = round
                .decisions
                .values()
                .filter(|item| item.reviewer.is_none());
            assert_eq!(items.iter().filter(nobody).count(), open.count());
            decided += items.len();
        }
    }
    assert!(decided > 20, "{decided} decisions");
    simulator.stop().await;
}

#[tokio::test]
async fn an_activation_names_its_eligibility_and_is_a_membership_of_its_own() {
    let (simulator, client) = governed().await;
    let truth = simulator.truth();
    let mut activated = 0;
    for group in &truth.pim_groups {
        let filter = format!("$filter=groupId eq '{group}'&$expand=principal,activatedUsing");
        let found = client
            .all(&format!("{PIM}/assignmentScheduleInstances?{filter}"))
            .await;
        let known = truth.governance.group_assignments.values();
        let known: Vec<_> = known.filter(|held| held.group_id == *group).collect();
        assert_eq!(found.len(), known.len());
        for (shown, held) in found.iter().zip(known) {
            assert_eq!(text(&shown["id"]), held.id);
            let eligibility = shown["activatedUsing"]["id"].as_str();
            assert_eq!(eligibility, held.activated_using.as_deref());
            if held.assignment_type == AssignmentType::Activated {
                activated += 1;
                let is_link = |link: &&graph_sim::TruthLink| {
                    link.group_id == held.group_id && link.member_id == held.principal_id
                };
                assert!(truth.members.iter().any(|link| is_link(&link)));
            }
        }
    }
    assert!(activated > 0, "nobody is active");
    simulator.stop().await;
}
