//! Entitlement management and access reviews: each list on its own, history kept, gaps said.

use chrono::{NaiveDate, TimeDelta, Utc};
use contract::{CollectionStatus, RunReport, session::SessionState};
use graph_sim::{Fault, RoutePattern, SimOptions, Tenant, TenantSpec, permissions};

use crate::support::{Bench, line, unlimited};

const ENTITLEMENTS: [&str; 9] = [
    "catalogs",
    "access packages",
    "package contents",
    "package sites",
    "assignment policies",
    "package assignments",
    "assignment requests",
    "governance roles",
    "governance role assignments",
];
const CONTENTS: [(&str, &str); 1] = [("relationshipType", "Contains")];

async fn governed(options: SimOptions) -> Bench {
    let spec = TenantSpec::new(7, 150, 45, 40).with_access_packages(9);
    Bench::with_tenant(Tenant::generate(&spec), options).await
}

/// A crawl of nothing but governance, of requests of any age.
async fn crawl(bench: &Bench) -> RunReport {
    let mut config = bench.config();
    config.selection.principals = false;
    config.selection.service_principals = false;
    config.selection.resources = false;
    config.selection.assignments = false;
    config.selection.pim = false;
    config.selection.contexts = false;
    config.request_window_days = 36_500;
    bench.crawl(config).await
}

#[tokio::test]
async fn every_list_is_read_to_its_end_and_what_is_left_out_is_said() {
    let bench = governed(unlimited()).await;
    let truth = bench.simulator.truth().governance;
    let report = crawl(&bench).await;
    let contents: usize = truth.packages.values().map(|one| one.contents.len()).sum();
    let delivered = truth
        .assignments
        .values()
        .filter(|one| one.state == "delivered");
    let (given, waiting): (Vec<_>, Vec<_>) = delivered.partition(|one| one.target.is_some());
    let rounds = truth
        .reviews
        .values()
        .flat_map(|one| one.instances.values());
    let decisions: usize = rounds.map(|round| round.decisions.len()).sum();
    for (name, expected) in [
        ("catalogs", truth.catalogs.len()),
        ("access packages", truth.packages.len()),
        ("package contents", contents),
        ("assignment policies", truth.policies.len()),
        ("package assignments", given.len()),
        ("assignment requests", truth.requests.len()),
        ("governance roles", truth.roles.len()),
        ("governance role assignments", truth.catalog_roles.len()),
        ("review decisions", decisions),
    ] {
        let found = line(&report, name);
        assert_eq!(found.status, CollectionStatus::Complete, "{found:#?}");
        assert!(
            expected > 0 && found.read == expected as u64,
            "{expected}: {found:#?}"
        );
    }
    let largest = truth.packages.values().map(|one| one.contents.len()).max();
    assert!(largest > Some(20), "a page of the crawl has twenty");
    let said = line(&report, "package assignments").message.clone();
    let said = said.expect("accounts are being made");
    assert!(
        said.starts_with(&format!("{} assignments wait", waiting.len())),
        "{said}"
    );
    bench.stop().await;
}

#[tokio::test]
async fn what_may_not_be_read_is_named_and_opens_no_session() {
    let missing = |role: &str| SimOptions {
        roles: permissions::ALL
            .iter()
            .filter(|known| **known != role)
            .map(ToString::to_string)
            .collect(),
        ..unlimited()
    };
    let unlicensed = SimOptions {
        p2_licensed: false,
        ..unlimited()
    };
    let reviews = ["review decisions"];
    let all: Vec<&str> = ENTITLEMENTS.into_iter().chain(reviews).collect();
    for (options, lines, status, permission) in [
        (
            missing("EntitlementManagement.Read.All"),
            ENTITLEMENTS.to_vec(),
            CollectionStatus::Forbidden,
            Some("EntitlementManagement.Read.All"),
        ),
        (
            missing("AccessReview.Read.All"),
            reviews.to_vec(),
            CollectionStatus::Forbidden,
            Some("AccessReview.Read.All"),
        ),
        (unlicensed, all.clone(), CollectionStatus::Unlicensed, None),
    ] {
        let bench = governed(options).await;
        let report = crawl(&bench).await;
        for name in &all {
            let found = line(&report, name);
            if lines.contains(name) {
                assert_eq!(found.status, status, "{found:#?}");
                assert_eq!(found.missing_permission.as_deref(), permission);
            } else {
                assert_eq!(found.status, CollectionStatus::Complete, "{found:#?}");
            }
        }
        let opened = bench.register.sessions().len();
        assert_eq!(opened, all.len() - lines.len());
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_cloud_without_governance_is_no_tenant_without_packages() {
    let bench = governed(unlimited()).await;
    for suffix in [
        "/catalogs",
        "/accessPackages",
        "/assignmentPolicies",
        "/definitions",
    ] {
        let route = RoutePattern::Suffix(suffix.to_owned());
        let fault = Fault::status(route, 404, "BadRequest");
        bench.simulator.faults().add(fault);
    }
    let report = crawl(&bench).await;
    for name in [
        "catalogs",
        "access packages",
        "package contents",
        "package sites",
        "assignment policies",
        "review decisions",
    ] {
        let found = line(&report, name);
        assert_eq!(found.status, CollectionStatus::Unavailable, "{found:#?}");
    }
    let entities: Vec<String> = bench
        .register
        .sessions()
        .iter()
        .map(|session| session.open.entity.to_string())
        .collect();
    assert!(
        !entities
            .iter()
            .any(|entity| entity == "governance/catalogs")
    );
    assert!(
        !entities
            .iter()
            .any(|entity| entity == "resource-relationships")
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_package_that_cannot_be_read_keeps_its_contents_and_leaves_the_others_alone() {
    let bench = governed(unlimited()).await;
    let truth = bench.simulator.truth().governance;
    let mut packages = truth.packages.values();
    let poison = packages.next().expect("a package");
    let route = RoutePattern::Suffix(format!("/{}/resourceRoleScopes", poison.id));
    let fault = Fault::status(route, 500, "InternalServerError");
    bench.simulator.faults().add(fault);
    let report = crawl(&bench).await;
    let contents = line(&report, "package contents");
    assert_eq!(contents.status, CollectionStatus::Partial, "{contents:#?}");
    assert_eq!(contents.failures[0].id, Some(poison.id));
    assert_eq!(
        contents.failures[0].display_name.as_ref(),
        Some(&poison.display_name)
    );
    let session = bench.register.session("resource-relationships", &CONTENTS);
    let others: usize = packages.map(|one| one.contents.len()).sum();
    assert_eq!(session.records().count(), others);
    let completeness = session.completeness.expect("committed");
    assert!(completeness.complete && completeness.incomplete_parents == [poison.id]);
    // It may have been the only one with its site.
    let sites = line(&report, "package sites");
    assert_eq!(sites.status, CollectionStatus::Partial);
    let scope = [("resourceType", "SharePointSite")];
    let session = bench.register.session("resources", &scope);
    assert!(!session.completeness.expect("committed").complete);
    bench.stop().await;
}

#[tokio::test]
async fn a_review_that_cannot_be_read_is_named_and_the_others_arrive() {
    let bench = governed(unlimited()).await;
    let truth = bench.simulator.truth().governance;
    let mut reviews = truth.reviews.values();
    let poison = reviews.next().expect("a review");
    let route = RoutePattern::Suffix(format!("/definitions/{}/instances", poison.id));
    let fault = Fault::status(route, 500, "InternalServerError");
    bench.simulator.faults().add(fault);
    let report = crawl(&bench).await;
    let decisions = line(&report, "review decisions");
    assert_eq!(
        decisions.status,
        CollectionStatus::Partial,
        "{decisions:#?}"
    );
    assert_eq!(decisions.failures[0].id, Some(poison.id));
    let rounds = reviews.flat_map(|one| one.instances.values());
    let others: usize = rounds.map(|round| round.decisions.len()).sum();
    assert!(others > 0);
    assert_eq!(decisions.read, others as u64);
    bench.stop().await;
}

#[tokio::test]
async fn requests_and_decisions_are_history_that_no_crawl_declares_complete() {
    let bench = governed(unlimited()).await;
    let report = crawl(&bench).await;
    for (name, entity) in [
        ("assignment requests", "governance/requests"),
        ("review decisions", "governance/certifications"),
    ] {
        let found = line(&report, name);
        assert_eq!(found.status, CollectionStatus::Complete);
        assert_eq!(found.message, None, "there is nothing to say about it");
        let session = bench.register.session(entity, &[]);
        assert_eq!(session.state, SessionState::Committed);
        let completeness = session.completeness.expect("committed");
        assert!(!completeness.complete && completeness.incomplete_parents.is_empty());
    }
    bench.stop().await;
}

#[tokio::test]
async fn requests_are_asked_for_ninety_days_back_unless_it_is_said_otherwise() {
    let bench = governed(unlimited()).await;
    for (days, window) in [(None, 90), (Some(7), 7)] {
        let mut config = bench.config();
        if let Some(days) = days {
            config.request_window_days = days;
        }
        bench.crawl(config).await;
        let log = bench.simulator.requests();
        let mut asked = log.iter().rev();
        let asked = asked.find(|one| one.path.ends_with("/assignmentRequests"));
        let query = asked.expect("requests were asked for").query.clone();
        let (_, since) = query.split_once("createdDateTime%20ge%20").expect(&query);
        let since: NaiveDate = since[..10].parse().expect("a day");
        let expected = (Utc::now() - TimeDelta::days(window)).date_naive();
        // The crawl may have begun before midnight.
        assert!((expected - since).num_days().abs() <= 1, "{query}");
    }
    bench.stop().await;
}
