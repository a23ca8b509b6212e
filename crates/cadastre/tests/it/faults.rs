//! Whatever goes wrong between Graph and the crawler: nothing is removed that the tenant still has, and the register
//! agrees with the tenant once it is over.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use contract::{CollectionStatus, RunOutcome, RunReport};
use crawler_entra::{ProgressEvent, ProgressSink, crawl};
use graph_sim::{
    Fault, FaultAction, RoutePattern, SimOptions, Simulator, TenantSpec, Throttle, permissions,
};
use tokio_util::sync::CancellationToken;

use crate::{
    oracle,
    register::{Register, line},
    rows::{differences, readable},
};

/// A register that holds a small tenant.
async fn filled(seed: u64) -> Register {
    let spec = TenantSpec::new(seed, 150, 40, 30);
    let register = Register::start(&spec, SimOptions::default()).await;
    let report = crawl_small_pages(&register).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
    register
}

/// A crawl in pages that are small enough for every list to have several.
async fn crawl_small_pages(register: &Register) -> RunReport {
    let mut config = register.config();
    config.tuning.page_size = 9;
    config.refresh_views = false;
    register.crawl_with(config).await
}

/// The fault is over: one crawl, and one look of a person at larger removals, lead to the truth.
async fn converges(register: &Register) {
    register.simulator.faults().clear();
    let report = crawl_small_pages(register).await;
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    assert!(is_whole, "{report:#?}");
    register.approve_all().await;
    register.assert_equals_truth().await;
    register.assert_no_false_removal().await;
}

/// Crawls twice under a fault that lasts: first an unchanged tenant, of which nothing may be removed at all, then a
/// changed one, of which nothing may be removed that is still there.
async fn crawl_under_lasting_fault(register: &Register, seed: u64) -> RunReport {
    let report = crawl_small_pages(register).await;
    assert_eq!(register.removed().await, [], "{report:#?}");
    assert!(register.held().await.is_empty(), "{report:#?}");
    let changes = register.simulator.change(seed, 0.03);
    assert!(!changes.is_empty());
    let report = crawl_small_pages(register).await;
    register.assert_no_false_removal().await;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_breaks_off_half_way_removes_nothing() {
    let register = filled(21).await;
    for path in [
        "/users",
        "/groups",
        "/servicePrincipals",
        "/applications",
        "/oauth2PermissionGrants",
    ] {
        let pattern = RoutePattern::Exact(path.to_owned());
        let fault = Fault::status(pattern, 500, "InternalServerError");
        register.simulator.faults().add(fault.on_later_pages());
    }
    let report = crawl_under_lasting_fault(&register, 1).await;
    assert_eq!(report.outcome, RunOutcome::Partial, "{report:#?}");
    for name in [
        "users",
        "guests",
        "identities",
        "identity accounts",
        "departments",
        "department members",
        "service principals",
        "groups",
        "applications",
        "app roles",
        "roles of applications",
        "app registrations",
        "delegated grants",
        "tenant-wide grants",
    ] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Failed, "{line:#?}");
        assert_eq!(line.deleted, 0, "{line:#?}");
    }
    for name in [
        "group members",
        "group owners",
        "app role assignments",
        "application owners",
        "agent sponsors",
        "app registration owners",
        "federated credentials",
    ] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Partial, "{line:#?}");
        assert_eq!(line.deleted, 0, "{line:#?}");
    }
    converges(&register).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_429_is_waited_out() {
    let register = filled(22).await;
    register.simulator.change(2, 0.03);
    let simulator = &register.simulator;
    simulator.set_throttle(Throttle::units(60, Duration::from_secs(1)));
    for path in ["/users", "/groups", "/$batch"] {
        let pattern = RoutePattern::Exact(path.to_owned());
        let fault = Fault::status(pattern, 429, "TooManyRequests");
        simulator.faults().add(fault.retry_after("1").times(2));
    }
    let report = crawl_small_pages(&register).await;
    assert!(report.traffic.throttled >= 6, "{report:#?}");
    for line in &report.collections {
        let is_whole = matches!(
            line.status,
            CollectionStatus::Complete | CollectionStatus::Skipped
        );
        assert!(is_whole, "{line:#?}");
    }
    register.assert_no_false_removal().await;
    register.approve_all().await;
    register.assert_equals_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_and_bodies_that_end_early_are_tried_again() {
    let register = filled(23).await;
    register.simulator.change(3, 0.03);
    let faults = register.simulator.faults();
    for action in [FaultAction::ResetConnection, FaultAction::TruncateBody] {
        for path in ["/users", "/groups", "/servicePrincipals"] {
            let pattern = RoutePattern::Exact(path.to_owned());
            faults.add(Fault::new(pattern, action.clone()).times(1));
        }
        // Inside a batch, the whole batch goes.
        let pattern = RoutePattern::Suffix("/members".to_owned());
        faults.add(Fault::new(pattern, action.clone()).after(5).times(2));
    }
    let pattern = RoutePattern::Suffix("/owners".to_owned());
    faults.add(Fault::new(pattern, FaultAction::OmitFromBatch).times(3));
    let report = crawl_small_pages(&register).await;
    assert!(report.traffic.retries >= 6, "{report:#?}");
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    assert!(is_whole, "{report:#?}");
    register.assert_no_false_removal().await;
    register.approve_all().await;
    register.assert_equals_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_forbidden_is_reported_and_kept() {
    let register = filled(24).await;
    let all = permissions::ALL.iter().map(ToString::to_string);
    // Any of the two would do.
    let taken = ["Application.Read.All", "Directory.Read.All"];
    let granted: Vec<String> = all
        .clone()
        .filter(|name| !taken.contains(&name.as_str()))
        .collect();
    register.simulator.set_roles(granted);
    let report = crawl_under_lasting_fault(&register, 4).await;
    assert_eq!(report.outcome, RunOutcome::Partial, "{report:#?}");
    for name in [
        "service principals",
        "managed identities",
        "agents",
        "applications",
        "app roles",
        "roles of applications",
        "app role assignments",
        "application owners",
        "agent sponsors",
        "app registrations",
        "app registration owners",
        "federated credentials",
    ] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Forbidden, "{line:#?}");
        let permission = line.missing_permission.as_deref();
        assert_eq!(permission, Some("Application.Read.All"), "{line:#?}");
    }
    assert!(line(&report, "users").updated > 0, "{report:#?}");
    register.simulator.set_roles(all.collect());
    converges(&register).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_around_people_is_kept_while_it_is_forbidden() {
    let register = filled(28).await;
    let all = permissions::ALL.iter().map(ToString::to_string);
    let lines = [
        ("administrative units", "AdministrativeUnit.Read.All"),
        ("unit contexts", "AdministrativeUnit.Read.All"),
        ("unit members", "AdministrativeUnit.Read.All"),
        ("interactive sign-ins", "AuditLog.Read.All"),
        ("successful sign-ins", "AuditLog.Read.All"),
        ("conditional access policies", "Policy.Read.All"),
        ("named locations", "Policy.Read.All"),
    ];
    let is_taken = |name: &String| {
        // Directory.Read.All would do for some of them.
        name == "Directory.Read.All" || lines.iter().any(|(_, permission)| permission == name)
    };
    let granted = all.clone().filter(|name| !is_taken(name));
    register.simulator.set_roles(granted.collect());
    let report = crawl_under_lasting_fault(&register, 8).await;
    for (name, permission) in lines {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Forbidden, "{line:#?}");
        assert_eq!(line.missing_permission.as_deref(), Some(permission));
    }
    for name in ["users", "identities", "departments", "department members"] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Complete, "{line:#?}");
    }
    register.simulator.set_roles(all.collect());
    converges(&register).await;
}

/// Makes every token an expired one when one of these collections begins to arrive: the most often that the crawler
/// bears in a row.
struct ExpireTokens {
    simulator: Arc<Simulator>,
    waiting: Mutex<BTreeSet<&'static str>>,
}

impl ProgressSink for ExpireTokens {
    fn event(&self, event: ProgressEvent) {
        if let ProgressEvent::Read { collection, .. } = event
            && self.waiting.lock().expect("sound").remove(&*collection)
        {
            self.simulator.expire_tokens();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_mid_run_is_replaced() {
    let register = filled(25).await;
    register.simulator.change(5, 0.03);
    register.simulator.reset_stats();
    let progress = Arc::new(ExpireTokens {
        simulator: register.simulator.clone(),
        waiting: Mutex::new(BTreeSet::from(["users", "groups", "group members"])),
    });
    let mut config = register.config();
    config.tuning.page_size = 20;
    let report = crawl(config, progress, CancellationToken::new())
        .await
        .expect("the crawl begins");
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    assert!(is_whole, "{report:#?}");
    // One to begin with; a token lives for an hour, so a further one was asked for after a refusal.
    let tokens = register.simulator.stats().token_requests;
    assert!(tokens >= 2, "{tokens} tokens");
    assert!(report.traffic.retries > 0, "{report:#?}");
    register.assert_no_false_removal().await;
    register.approve_all().await;
    register.assert_equals_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_licence_for_pim_what_was_known_of_eligibility_stays() {
    let mut register = filled(26).await;
    let unlicensed = SimOptions {
        p2_licensed: false,
        ..SimOptions::default()
    };
    register.restart_simulator(unlicensed).await;
    let report = crawl_small_pages(&register).await;
    for name in [
        "role eligibility",
        "group eligibility",
        "group schedules",
        "access packages",
        "package contents",
        "package assignments",
        "review decisions",
    ] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Unlicensed, "{line:#?}");
    }
    let assignments = line(&report, "role assignments");
    assert_eq!(assignments.status, CollectionStatus::Complete);
    assert!(assignments.message.is_some(), "{assignments:#?}");
    assert_eq!(register.removed().await, []);
    assert!(register.held().await.is_empty());
    // Everything as it was; only PIM knows since when, until when and out of which eligibility a role is held.
    let mut expected = oracle::expected(&register.simulator.truth());
    for row in expected.values_mut() {
        let is = |column: &str, word: &str| row.get(column).is_some_and(|value| value == word);
        if is("assignment_type", "Direct") && is("resource_type", "EntraDirectoryRole") {
            for column in ["state", "start_date_time", "expiration_date_time"] {
                row.insert(column.to_owned(), serde_json::Value::Null);
            }
            row.insert("extended_attributes".to_owned(), serde_json::json!({}));
        }
    }
    let differences = differences(&expected, &register.live_rows().await);
    assert!(differences.is_empty(), "{}", readable(&differences));

    register.restart_simulator(SimOptions::default()).await;
    converges(&register).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_members_that_may_not_be_seen_are_not_taken_for_gone() {
    let register = filled(27).await;
    let all = permissions::ALL.iter().map(ToString::to_string);
    let granted = all.clone().filter(|name| name != "Member.Read.Hidden");
    register.simulator.set_roles(granted.collect());
    let hidden: BTreeSet<_> = register.simulator.with_tenant(|tenant| {
        let groups = tenant.groups.values();
        let hidden = groups.filter(|group| group.hides_members());
        hidden.map(|group| Some(group.id)).collect()
    });
    assert!(!hidden.is_empty(), "the tenant has such groups");
    let report = crawl_under_lasting_fault(&register, 7).await;
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial, "{members:#?}");
    let permission = members.missing_permission.as_deref();
    assert_eq!(permission, Some("Member.Read.Hidden"), "{members:#?}");
    let named: BTreeSet<_> = members.failures.iter().map(|failure| failure.id).collect();
    assert!(
        !named.is_empty() && named.is_subset(&hidden),
        "{members:#?}"
    );
    register.simulator.set_roles(all.collect());
    converges(&register).await;
}
