//! The register holds exactly what the tenant has: after a first crawl, after one that changes nothing, and after a
//! change, with exactly that change in its history.

use std::collections::{BTreeMap, BTreeSet};

use contract::{CollectionStatus, RunOutcome, RunReport};
use graph_sim::{SimOptions, TenantSpec};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    oracle::{self, Row, Rows, TABLES},
    register::{Register, line, seed},
    rows::{Frame, differences, image_of, readable},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_register_holds_exactly_what_the_tenant_has() {
    let seed = seed();
    let spec = TenantSpec::new(seed, 2_000, 600, 400);
    let register = Register::start(&spec, SimOptions::default()).await;

    let first = register.crawl().await;
    assert_complete(&first);
    let before = oracle::expected(&register.simulator.truth());
    assert_holds_every_kind(&before);
    register.assert_equals_truth().await;
    assert_eq!(register.count("select count(*) from history").await, 0);

    unchanged_tenant_writes_nothing(&register, before.len()).await;

    let old_rows = register.all_rows().await;
    let changes = register.simulator.change(seed, 0.05);
    assert!(!changes.removed_members.is_empty() && !changes.updated_users.is_empty());
    let after = oracle::expected(&register.simulator.truth());
    let third = register.crawl().await;
    removals_over_the_limit_wait(&register, &third).await;
    register.assert_equals_truth().await;

    let runs = Runs {
        first: register.loads_of(&first).await.into_iter().collect(),
        third: register.loads_of(&third).await.into_iter().collect(),
    };
    history_is_the_change(&register, &runs, &before, &after).await;
    only_changed_rows_belong_to_the_last_run(&register, &runs, &old_rows, &before, &after).await;
}

type Framed = BTreeMap<(&'static str, String), (Row, Frame)>;

/// The loads of the runs.
struct Runs {
    first: BTreeSet<Uuid>,
    third: BTreeSet<Uuid>,
}

/// Guards the comparison itself: one that finds nothing would pass everything.
#[test]
fn a_wrong_column_a_missing_row_and_an_extra_row_are_differences() {
    let rows = |names: &[(&str, &str)]| -> Rows {
        let row = |(key, name): &(&str, &str)| {
            let row = Row::from_iter([("display_name".to_owned(), Value::from(*name))]);
            (("principals", (*key).to_owned()), row)
        };
        names.iter().map(row).collect()
    };
    let expected = rows(&[("1", "Ada"), ("2", "Ben"), ("3", "Cem")]);
    let found = rows(&[("1", "Ada"), ("2", "Bea"), ("4", "Dee")]);
    assert!(differences(&expected, &expected).is_empty());
    let text = readable(&differences(&expected, &found));
    for part in [
        "3 differences",
        "principals 2 display_name",
        "\"Ben\"",
        "\"Bea\"",
        "principals 3",
        "principals 4",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[track_caller]
fn assert_complete(report: &RunReport) {
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    for line in &report.collections {
        let is_wanted = line.status != CollectionStatus::Skipped;
        assert!(!is_wanted || line.read > 0, "{line:#?} brought nothing");
    }
}

/// Guards the comparison: a kind of row that the tenant lacks would be right without having been looked at.
fn assert_holds_every_kind(rows: &Rows) {
    let mut kinds = BTreeSet::new();
    let mut consents = BTreeSet::new();
    for ((table, _), row) in rows {
        let word = |name: &str| {
            row.get(name)
                .and_then(Value::as_str)
                .unwrap_or("-")
                .to_owned()
        };
        kinds.insert(match *table {
            "principals" => word("principal_type"),
            "resources" => word("resource_type"),
            "resource_relationships" => match word("role_name") {
                none if none.is_empty() || none == "-" => word("relationship_type"),
                role => format!("{role} of {}", word("relationship_type")),
            },
            "assignment_policies" => format!("policy for {}", word("allowed_target_scope")),
            "assignment_requests" => format!("request {}", word("state")),
            "certification_decisions" => format!("decision {}", word("decision")),
            "governance_catalogs" => format!("catalog {}", word("catalog_type")),
            "contexts" => format!("{} {}", word("context_type"), word("variant")),
            "context_members" => format!("{} of {}", word("member_type"), word("context_type")),
            "identities" => "identity".to_owned(),
            "identity_members" => format!("account: {}", word("account_type")),
            "principal_activity" => word("activity_type"),
            _ => format!(
                "{} {} {}",
                word("assignment_type"),
                word("resource_type"),
                word("principal_type")
            ),
        });
        let consent = (word("principal_id"), word("resource_id"));
        if word("assignment_type") == "OAuth2Grant" && !consents.insert(consent) {
            kinds.insert("one user through two clients".to_owned());
        }
        if word("display_name") == "Default access" {
            kinds.insert("default access".to_owned());
        }
        if row.get("role_scope").is_some_and(|scope| scope == "/owner") {
            kinds.insert("eligible as owner".to_owned());
        }
        if row.get("state").is_some_and(|state| state == "Activated") {
            kinds.insert("activated".to_owned());
        }
    }
    for kind in [
        "User",
        "ExternalUser",
        "ServicePrincipal",
        "ManagedIdentity",
        "AIAgent",
        "EntraGroup",
        "EntraDirectoryRole",
        "EntraApplication",
        "EntraAppRole",
        "default access",
        "EntraAppRegistration",
        "EntraFederatedCredential",
        "HasAppRole",
        "DelegatesScope",
        "Direct EntraAppRole User",
        "Direct EntraAppRole Group",
        "Direct EntraAppRole ServicePrincipal",
        "Owner EntraApplication User",
        "Owner EntraApplication ServicePrincipal",
        "Owner EntraApplication AIAgent",
        "Owner EntraAppRegistration User",
        "Sponsor EntraApplication User",
        "Sponsor EntraApplication Group",
        "OAuth2Grant EntraApplication User",
        "one user through two clients",
        "Direct EntraGroup User",
        "Direct EntraGroup Group",
        "Direct EntraGroup ServicePrincipal",
        "Direct EntraGroup AIAgent",
        "Owner EntraGroup User",
        "Direct EntraDirectoryRole User",
        "Direct EntraDirectoryRole Group",
        "Direct EntraDirectoryRole ServicePrincipal",
        "Eligible EntraDirectoryRole User",
        "Eligible EntraGroup User",
        "eligible as owner",
        "activated",
        "BusinessRole",
        "SharePointSite",
        "EntitlementManagementRole",
        "Governed BusinessRole User",
        "Governed BusinessRole ServicePrincipal",
        "Direct EntitlementManagementRole User",
        "Scheduled EntraGroup User",
        "Member of Contains",
        "Owner of Contains",
        "Team members of Contains",
        "policy for allMemberUsers",
        "policy for allExternalUsers",
        "request Delivered",
        "request PendingApproval",
        "request Denied",
        "decision Approve",
        "decision Deny",
        "decision NotReviewed",
        "catalog serviceDefault",
        "catalog userManaged",
        "EntraAdministrativeUnit",
        "EntraConditionalAccessPolicy",
        "EntraNamedLocation",
        "DeletedUsers synced",
        "Principal of DeletedUsers",
        "AdministrativeUnit synced",
        "Department calculated",
        "Principal of AdministrativeUnit",
        "Resource of AdministrativeUnit",
        "Device of AdministrativeUnit",
        "Identity of Department",
        "identity",
        "account: User",
        "SignIn",
        "NonInteractiveSignIn",
        "SuccessfulSignIn",
    ] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:#?}");
    }
}

/// The second crawl: the same tenant again.
async fn unchanged_tenant_writes_nothing(register: &Register, rows: usize) {
    let versions = register.row_versions().await;
    let second = register.crawl().await;
    assert_complete(&second);
    assert!(
        versions == register.row_versions().await,
        "an unchanged tenant wrote rows"
    );
    assert_eq!(register.count("select count(*) from history").await, 0);
    let mut unchanged = 0;
    for line in &second.collections {
        let written = (line.inserted, line.updated, line.deleted, line.rejected);
        assert_eq!(written, (0, 0, 0, 0), "{line:#?}");
        assert!(line.held.is_none(), "{line:#?}");
        unchanged += line.unchanged;
    }
    assert_eq!(unchanged, rows as u64, "{second:#?}");
}

/// The third crawl: some scopes lose more than the guard lets go, others less.
async fn removals_over_the_limit_wait(register: &Register, third: &RunReport) {
    assert_eq!(third.outcome, RunOutcome::Held, "{third:#?}");
    let members = line(third, "group members");
    assert!(members.held.is_some(), "{members:#?}");
    assert_eq!(members.deleted, 0, "{members:#?}");
    let users = line(third, "users");
    assert!(users.deleted > 0 && users.held.is_none(), "{users:#?}");
    let (groups, gone) = (
        line(third, "groups"),
        "select count(*) from resources where resource_type = 'EntraGroup' and deleted_at is not null",
    );
    assert_eq!(register.count(gone).await as u64, groups.deleted);

    let reported: BTreeSet<Uuid> = third
        .collections
        .iter()
        .filter_map(|line| Some(line.held.as_ref()?.change_set_id))
        .collect();
    let approved = register.approve_all().await;
    let listed: BTreeSet<Uuid> = approved.iter().map(|set| set.change_set_id).collect();
    assert_eq!(reported, listed);
}

/// History holds what the change ended, with the rows as they were, and nothing else.
async fn history_is_the_change(register: &Register, runs: &Runs, before: &Rows, after: &Rows) {
    let mut ended = BTreeMap::new();
    // Sign-ins have no history: they would flood it.
    let governed = TABLES
        .into_iter()
        .filter(|(table, _, _)| *table != "principal_activity");
    for (table, entity, key) in governed {
        for (place, old) in before.iter().filter(|(place, _)| place.0 == table) {
            let operation = match after.get(place) {
                None => "delete",
                Some(new) if new != old => "update",
                Some(_) => continue,
            };
            let change = (entity.to_owned(), place.1.clone(), operation.to_owned());
            ended.insert(change, image_of(old, key));
        }
    }
    let history = register.history().await;
    let mut found: BTreeMap<_, Row> = BTreeMap::new();
    for version in history {
        let change = (version.entity, version.row_key, version.operation);
        assert!(runs.first.contains(&version.began_by), "{change:?}");
        assert!(runs.third.contains(&version.ended_by), "{change:?}");
        let again = found.insert(change.clone(), version.image);
        assert!(again.is_none(), "{change:?} is in the history twice");
    }
    let missing: Vec<_> = ended
        .keys()
        .filter(|change| !found.contains_key(change))
        .take(10)
        .collect();
    let invented: Vec<_> = found
        .keys()
        .filter(|change| !ended.contains_key(change))
        .take(10)
        .collect();
    assert!(missing.is_empty(), "not in the history: {missing:#?}");
    assert!(
        invented.is_empty(),
        "in the history without reason: {invented:#?}"
    );
    let as_rows = |images: &BTreeMap<(String, String, String), Row>| -> Rows {
        let image = |((entity, key, operation), row): (&(String, String, String), &Row)| {
            (
                ("history", format!("{entity} {key} {operation}")),
                row.clone(),
            )
        };
        images.iter().map(image).collect()
    };
    let differences = differences(&as_rows(&ended), &as_rows(&found));
    assert!(differences.is_empty(), "images: {}", readable(&differences));
    for operation in ["update", "delete"] {
        let count = found.keys().filter(|change| change.2 == operation).count();
        assert!(
            count > 50,
            "{count} {operation}s are too few to mean anything"
        );
    }
}

/// New rows began with the last run, changed rows go on under it, all others are left alone.
async fn only_changed_rows_belong_to_the_last_run(
    register: &Register,
    runs: &Runs,
    old_rows: &Framed,
    before: &Rows,
    after: &Rows,
) {
    let mut new = 0;
    let seen = |(_, frame): &(Row, Frame)| frame.first_seen_at.as_str().map(str::to_owned);
    let last_seen_before = old_rows.values().filter_map(seen).max().expect("rows");
    for (place, (_, frame)) in register.all_rows().await {
        let old = old_rows.get(&place).map(|(_, frame)| frame);
        match (before.get(&place), after.get(&place)) {
            (None, Some(_)) => {
                new += 1;
                assert!(
                    old.is_none() && runs.third.contains(&frame.sync_id),
                    "{place:?}"
                );
                assert_eq!(frame.first_seen_at, frame.valid_from, "{place:?}");
                let first_seen = frame.first_seen_at.as_str().expect("a moment");
                assert!(first_seen > last_seen_before.as_str(), "{place:?}");
            }
            (Some(was), Some(is)) if was != is => {
                let old = old.expect("it was there");
                assert!(runs.third.contains(&frame.sync_id), "{place:?}");
                assert_eq!(frame.first_seen_at, old.first_seen_at, "{place:?}");
                assert_ne!(frame.valid_from, old.valid_from, "{place:?}");
            }
            (Some(_), Some(_)) => assert_eq!(Some(&frame), old, "{place:?}"),
            (Some(_), None) => assert!(frame.is_removed, "{place:?}"),
            (None, None) => panic!("{place:?} is not of this tenant"),
        }
    }
    assert!(new > 50, "{new} new rows are too few to mean anything");
}
