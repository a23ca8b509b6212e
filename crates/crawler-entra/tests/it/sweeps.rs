//! Sweeps bring the same rows as the lists of one object after the other, in a fraction of the requests, and are believed
//! only as far as they can be.

use std::collections::BTreeSet;

use contract::{CollectionStatus, RunOutcome, RunReport};
use crawler_entra::CrawlConfig;
use graph_sim::{
    AppRoleAssignment, Fault, FaultAction, Link, MemberKind, RoutePattern, SimOptions, Tenant,
    TenantSpec, permissions,
};
use uuid::Uuid;

use crate::support::{Bench, line, unlimited};

/// The line of a report, the kind of its records, and their scope.
type Collection = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// What is swept.
const SWEPT: [Collection; 6] = [
    (
        "group members",
        "resource-assignments",
        &[("assignmentType", "Direct"), ("resourceType", "EntraGroup")],
    ),
    (
        "group owners",
        "resource-assignments",
        &[("assignmentType", "Owner"), ("resourceType", "EntraGroup")],
    ),
    (
        "app role assignments",
        "resource-assignments",
        &[
            ("assignmentType", "Direct"),
            ("resourceType", "EntraAppRole"),
        ],
    ),
    (
        "application owners",
        "resource-assignments",
        &[
            ("assignmentType", "Owner"),
            ("resourceType", "EntraApplication"),
        ],
    ),
    (
        "app registration owners",
        "resource-assignments",
        &[
            ("assignmentType", "Owner"),
            ("resourceType", "EntraAppRegistration"),
        ],
    ),
    (
        "federated credentials",
        "resources",
        &[("resourceType", "EntraFederatedCredential")],
    ),
];

/// The lists that are swept.
const LISTS: [&str; 3] = ["/groups", "/servicePrincipals", "/applications"];

/// A tenant with lists of every length around twenty, service principals at their ends.
fn tenant() -> Tenant {
    let mut tenant = Tenant::generate(&TenantSpec::new(7, 300, 120, 90));
    let robot = *tenant.service_principals.keys().next_back().expect("some");
    let mut people: Vec<Link> = tenant.users.keys().take(40).map(|id| user(*id)).collect();
    people.sort_unstable_by_key(|link| link.id);
    let groups: Vec<Uuid> = tenant.groups.keys().copied().take(6).collect();
    let principals: Vec<Uuid> = tenant.service_principals.keys().copied().take(6).collect();
    let applications: Vec<Uuid> = tenant.applications.keys().copied().take(6).collect();
    let sizes = [0, 1, 19, 20, 21, 40];
    for (place, size) in sizes.into_iter().enumerate() {
        let mut some: Vec<Link> = people[..size].to_vec();
        if let Some(last) = some.last_mut() {
            *last = Link {
                id: robot,
                kind: MemberKind::ServicePrincipal,
            };
        }
        tenant.members.set(groups[place], some.clone());
        tenant.owners.set(groups[5 - place], some.clone());
        tenant
            .service_principal_owners
            .set(principals[place], some.clone());
        tenant.application_owners.set(applications[place], some);
        assign(&mut tenant, principals[place], &people[..size]);
    }
    tenant
}

fn user(id: Uuid) -> Link {
    let kind = MemberKind::User;
    Link { id, kind }
}

/// Gives default access to an application to exactly these.
fn assign(tenant: &mut Tenant, resource: Uuid, holders: &[Link]) {
    let created = tenant.created;
    let all = &mut tenant.app_access.assignments;
    all.retain(|(of, _), _| *of != resource);
    for (number, holder) in holders.iter().enumerate() {
        tenant.app_access.assign(AppRoleAssignment {
            id: format!("assignment-{number}-of-{resource}"),
            app_role_id: Uuid::nil(),
            principal_id: holder.id,
            principal_kind: holder.kind,
            resource_id: resource,
            created,
        });
    }
}

async fn start(options: SimOptions) -> Bench {
    Bench::with_tenant(tenant(), options).await
}

fn by_sweeps(bench: &Bench) -> CrawlConfig {
    CrawlConfig {
        sweeps: true,
        ..bench.config()
    }
}

/// The records of a collection, and how it ended.
fn brought(bench: &Bench, report: &RunReport) -> Vec<(CollectionStatus, u64, BTreeSet<String>)> {
    let one = |(name, entity, scope): &Collection| {
        let session = bench.register.session(entity, scope);
        let records = session.records().map(ToString::to_string).collect();
        let line = line(report, name);
        (line.status, line.read, records)
    };
    SWEPT.iter().map(one).collect()
}

/// Crawls the same tenant without and with sweeps, and answers the benches and the second report.
async fn compared(options: SimOptions, prepare: impl Fn(&Bench)) -> (Bench, Bench, RunReport) {
    let (one_by_one, swept) = (start(options.clone()).await, start(options).await);
    prepare(&swept);
    let lists = one_by_one.crawl(one_by_one.config()).await;
    let report = swept.crawl(by_sweeps(&swept)).await;
    assert_eq!(report.outcome, lists.outcome, "{report:#?}");
    let (expected, found) = (brought(&one_by_one, &lists), brought(&swept, &report));
    for ((name, ..), (expected, found)) in SWEPT.iter().zip(expected.iter().zip(&found)) {
        assert!(!expected.2.is_empty(), "there are no {name}");
        assert_eq!(found, expected, "{name}");
    }
    (one_by_one, swept, report)
}

/// How often a list was asked for, from its first page on.
fn requests(bench: &Bench, route: &str) -> u64 {
    let (before, after) = route.split_once("{id}").expect("a list of an object");
    let asked = bench.simulator.requests().into_iter();
    let lists = asked.filter(|one| {
        let is_first_page = !one.query.contains("$skiptoken");
        is_first_page && one.path.starts_with(before) && one.path.ends_with(after)
    });
    lists.count() as u64
}

async fn stop(first: Bench, second: Bench) {
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn sweeps_bring_the_same_rows_and_ask_one_by_one_only_where_twenty_were_shown() {
    let (lists, swept, report) = compared(unlimited(), |_| ()).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let truth = swept.simulator.truth();
    let full = |links: &mut dyn Iterator<Item = Uuid>| {
        let mut counts = std::collections::BTreeMap::new();
        links.for_each(|id| *counts.entry(id).or_insert(0) += 1);
        counts.values().filter(|count| **count >= 20).count() as u64
    };
    // Besides, at most one batch of each checks the sweep.
    for (route, full) in [
        (
            "/groups/{id}/members",
            full(&mut truth.members.iter().map(|link| link.group_id)),
        ),
        (
            "/groups/{id}/owners",
            full(&mut truth.owners.iter().map(|link| link.group_id)),
        ),
        (
            "/servicePrincipals/{id}/appRoleAssignedTo",
            full(
                &mut truth
                    .app_role_assignments
                    .iter()
                    .map(|held| held.resource_id),
            ),
        ),
        (
            "/servicePrincipals/{id}/owners",
            full(
                &mut truth
                    .service_principal_owners
                    .iter()
                    .map(|link| link.object_id),
            ),
        ),
        (
            "/applications/{id}/owners",
            full(&mut truth.application_owners.iter().map(|link| link.object_id)),
        ),
    ] {
        let asked = requests(&swept, route);
        assert!(full >= 3 && asked >= full, "{route}: {asked} for {full}");
        assert!(
            asked <= full + 20,
            "{route}: {asked} for {full}: {report:#?}"
        );
        assert!(asked < requests(&lists, route), "{route}");
    }
    for (name, ..) in SWEPT {
        let told = line(&report, name).message.as_deref().unwrap_or_default();
        assert!(told.contains("a sweep settled"), "{name}: {told}");
    }
    stop(lists, swept).await;
}

#[tokio::test]
async fn a_sweep_that_breaks_off_half_way_leaves_the_rest_to_be_read_one_by_one() {
    let (lists, swept, report) = compared(unlimited(), |swept| {
        for list in LISTS {
            let list = RoutePattern::Exact(list.to_owned());
            let broken = Fault::html(list, 504).expanding().on_later_pages();
            swept.simulator.faults().add(broken.after(2));
        }
    })
    .await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let told = line(&report, "group members").message.as_deref();
    let told = told.expect("it is told");
    assert!(told.contains("broke off") && told.contains("504"), "{told}");
    stop(lists, swept).await;
}

#[tokio::test]
async fn where_graph_does_not_expand_everything_is_read_one_by_one() {
    for status in [400, 501] {
        let (lists, swept, report) = compared(unlimited(), |swept| {
            for list in LISTS {
                let list = RoutePattern::Exact(list.to_owned());
                let refusal = Fault::status(list, status, "Request_UnsupportedQuery");
                swept.simulator.faults().add(refusal.expanding());
            }
        })
        .await;
        assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
        for route in ["/groups/{id}/members", "/applications/{id}/owners"] {
            assert_eq!(requests(&swept, route), requests(&lists, route), "{route}");
        }
        let told = line(&report, "group owners").message.as_deref();
        assert!(
            told.is_some_and(|told| told.contains("broke off")),
            "{told:?}"
        );
        stop(lists, swept).await;
    }
}

#[tokio::test]
async fn pages_of_a_sweep_are_smaller_than_those_that_time_out() {
    let bench = start(unlimited()).await;
    for list in LISTS {
        let list = RoutePattern::Exact(list.to_owned());
        bench.simulator.faults().add(Fault::heavy_expand(list, 200));
    }
    let mut config = by_sweeps(&bench);
    config.tuning.page_size = 999;
    let report = bench.crawl(config).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(bench.simulator.stats().faults.get("heavy expand"), None);
    bench.stop().await;
}

#[tokio::test]
async fn a_sweep_that_shows_others_than_the_lists_is_not_believed() {
    let (lists, swept) = (start(unlimited()).await, start(unlimited()).await);
    for bench in [&lists, &swept] {
        // Somebody whom only the group's own list shows.
        let pattern = RoutePattern::Suffix("/members".to_owned());
        let hidden = Fault::new(pattern, FaultAction::UnknownType);
        bench.simulator.faults().add(hidden);
    }
    let by_lists = lists.crawl(lists.config()).await;
    let report = swept.crawl(by_sweeps(&swept)).await;
    let groups = swept.simulator.truth().groups.len() as u64;
    assert!(requests(&swept, "/groups/{id}/members") >= groups);
    let told = line(&report, "group members").message.as_deref();
    assert!(
        told.is_some_and(|told| told.contains("showed others")),
        "{told:?}"
    );
    assert_eq!(
        brought(&swept, &report)[0].2.len(),
        brought(&lists, &by_lists)[0].2.len()
    );
    stop(lists, swept).await;
}

#[tokio::test]
async fn groups_that_hide_their_members_are_named_with_sweeps_as_without() {
    let roles = permissions::ALL
        .iter()
        .filter(|role| **role != "Member.Read.Hidden");
    let options = SimOptions {
        roles: roles.map(ToString::to_string).collect(),
        ..unlimited()
    };
    let (lists, swept, report) = compared(options, |_| ()).await;
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial);
    assert_eq!(
        members.missing_permission.as_deref(),
        Some("Member.Read.Hidden")
    );
    let mut hidden = swept.simulator.truth().groups;
    hidden.retain(graph_sim::Group::hides_members);
    let hidden: BTreeSet<Uuid> = hidden.iter().map(|group| group.id).collect();
    let named: BTreeSet<Uuid> = members.failures.iter().filter_map(|one| one.id).collect();
    assert!(!hidden.is_empty());
    assert_eq!(named, hidden);
    stop(lists, swept).await;
}

#[tokio::test]
async fn a_list_of_groups_that_breaks_off_leaves_members_incomplete_with_sweeps_too() {
    let bench = start(unlimited()).await;
    // The list of groups is asked for names, the sweeps for ids alone.
    let list = RoutePattern::Exact("/groups".to_owned());
    let broken = Fault::status(list, 502, "BadGateway").on_later_pages();
    bench
        .simulator
        .faults()
        .add(broken.selecting("displayName"));
    let report = bench.crawl(by_sweeps(&bench)).await;
    assert_eq!(line(&report, "groups").status, CollectionStatus::Failed);
    for (name, entity, scope) in &SWEPT[..2] {
        assert_eq!(
            line(&report, name).status,
            CollectionStatus::Partial,
            "{name}"
        );
        let session = bench.register.session(entity, scope);
        assert!(!session.completeness.expect("committed").complete, "{name}");
    }
    bench.stop().await;
}
