//! What arrives at the register is what is in the tenant.

use std::collections::BTreeSet;

use contract::{CollectionStatus, RunOutcome, session::SessionState};
use graph_sim::{GroupAccess, MemberKind, ServicePrincipalClass, ServicePrincipalType, UserType};
use serde_json::Value;

use crate::support::{Bench, Session, line, unlimited};

/// The values of these fields of every record; a record that came twice fails the test.
fn keys(session: &Session, fields: &[&str]) -> BTreeSet<Vec<String>> {
    let mut keys = BTreeSet::new();
    for record in session.records() {
        let key: Vec<String> = fields.iter().map(|field| text(record, field)).collect();
        assert!(keys.insert(key.clone()), "{key:?} came twice");
    }
    keys
}

/// Compares and shows only what differs.
fn assert_same(arrived: &BTreeSet<Vec<String>>, expected: &BTreeSet<Vec<String>>) {
    let missing: Vec<_> = expected.difference(arrived).take(5).collect();
    let surplus: Vec<_> = arrived.difference(expected).take(5).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:?}, surplus {surplus:?}"
    );
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap_or_default().to_owned()
}

fn kind(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::User => "User",
        MemberKind::Group => "Group",
        MemberKind::ServicePrincipal => "ServicePrincipal",
    }
}

#[tokio::test]
async fn every_principal_of_the_tenant_arrives_exactly_once_under_its_type() {
    let bench = Bench::start(unlimited()).await;
    let report = bench.crawl(bench.config()).await;
    let truth = bench.simulator.truth();
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");

    let arrived = |scope: &str| {
        let session = bench
            .register
            .session("principals", &[("principalType", scope)]);
        assert_eq!(session.state, SessionState::Committed);
        assert!(
            session.completeness.as_ref().is_some_and(|c| c.complete),
            "{scope}"
        );
        assert!(session.records().all(|r| r["principalType"] == scope));
        keys(&session, &["id"])
    };
    let users_of = |wanted: bool| -> BTreeSet<Vec<String>> {
        let guests = truth
            .users
            .iter()
            .filter(|u| (u.user_type == UserType::Guest) == wanted);
        guests.map(|user| vec![user.id.to_string()]).collect()
    };
    assert_same(&arrived("User"), &users_of(false));
    assert_same(&arrived("ExternalUser"), &users_of(true));

    let of_type = |matches: &dyn Fn(ServicePrincipalType) -> bool| -> BTreeSet<Vec<String>> {
        let found = truth.service_principals.iter();
        let found = found.filter(|sp| matches(sp.service_principal_type));
        found.map(|sp| vec![sp.id.to_string()]).collect()
    };
    let is_managed = |t| t == ServicePrincipalType::ManagedIdentity;
    let is_agent = |t| t == ServicePrincipalType::ServiceIdentity;
    assert_same(&arrived("ManagedIdentity"), &of_type(&is_managed));
    assert_same(&arrived("AIAgent"), &of_type(&is_agent));
    assert_same(
        &arrived("ServicePrincipal"),
        &of_type(&|t| !is_managed(t) && !is_agent(t)),
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_user_keeps_its_attributes_and_its_manager() {
    let bench = Bench::start(unlimited()).await;
    bench.crawl(bench.config()).await;
    let truth = bench.simulator.truth();
    let session = bench
        .register
        .session("principals", &[("principalType", "User")]);
    let mut managers = 0;
    for user in truth
        .users
        .iter()
        .filter(|u| u.user_type != UserType::Guest)
    {
        let id = user.id.to_string();
        let record = session
            .records()
            .find(|r| r["id"] == id)
            .expect("the user arrived");
        assert_eq!(record["displayName"], user.display_name);
        assert_eq!(record["userPrincipalName"], user.user_principal_name);
        assert_eq!(
            record.get("department").and_then(Value::as_str),
            user.department.as_deref()
        );
        let manager = user.manager_id.map(|id| id.to_string());
        assert_eq!(
            record.get("managerId").and_then(Value::as_str),
            manager.as_deref()
        );
        managers += u32::from(manager.is_some());
    }
    assert!(managers > 0, "the tenant has managers");
    bench.stop().await;
}

#[tokio::test]
async fn every_group_role_membership_and_ownership_arrives_exactly_once() {
    let bench = Bench::start(unlimited()).await;
    bench.crawl(bench.config()).await;
    let truth = bench.simulator.truth();

    let groups = bench
        .register
        .session("resources", &[("resourceType", "EntraGroup")]);
    let all: BTreeSet<_> = truth
        .groups
        .iter()
        .map(|g| vec![g.id.to_string()])
        .collect();
    assert_same(&keys(&groups, &["id"]), &all);
    let roles = bench
        .register
        .session("resources", &[("resourceType", "EntraDirectoryRole")]);
    let all: BTreeSet<_> = truth.roles.iter().map(|r| vec![r.id.to_string()]).collect();
    assert_same(&keys(&roles, &["id"]), &all);
    assert!(
        roles
            .records()
            .any(|r| r["extendedAttributes"]["isPrivileged"] == true)
    );

    let is_agent =
        |sp: &&graph_sim::ServicePrincipal| sp.class == ServicePrincipalClass::AgentIdentity;
    let agents: BTreeSet<_> = truth
        .service_principals
        .iter()
        .filter(is_agent)
        .map(|sp| sp.id)
        .collect();
    let fields = ["resourceId", "principalId", "principalType"];
    let links = |kind_of_link: &str, truth: &[graph_sim::TruthLink]| {
        let scope = [
            ("assignmentType", kind_of_link),
            ("resourceType", "EntraGroup"),
        ];
        let session = bench.register.session("resource-assignments", &scope);
        assert!(
            session
                .completeness
                .as_ref()
                .is_some_and(|c| c.complete && c.incomplete_parents.is_empty())
        );
        let all: BTreeSet<Vec<String>> = truth
            .iter()
            .map(|l| {
                let kind = if agents.contains(&l.member_id) {
                    "AIAgent"
                } else {
                    kind(l.member_kind)
                };
                vec![
                    l.group_id.to_string(),
                    l.member_id.to_string(),
                    kind.to_owned(),
                ]
            })
            .collect();
        assert_same(&keys(&session, &fields), &all);
    };
    links("Direct", &truth.members);
    links("Owner", &truth.owners);
    let has = |kind: MemberKind| truth.members.iter().any(|l| l.member_kind == kind);
    assert!(
        has(MemberKind::ServicePrincipal) && has(MemberKind::Group),
        "the tenant has both"
    );
    bench.stop().await;
}

#[tokio::test]
async fn every_role_assignment_and_eligibility_arrives_with_scope_and_schedule() {
    let bench = Bench::start(unlimited()).await;
    bench.crawl(bench.config()).await;
    let truth = bench.simulator.truth();
    let fields = ["resourceId", "principalId", "roleScope"];
    let scope = |kind| {
        [
            ("assignmentType", kind),
            ("resourceType", "EntraDirectoryRole"),
        ]
    };

    let active = bench
        .register
        .session("resource-assignments", &scope("Direct"));
    let all: BTreeSet<Vec<String>> = truth
        .role_assignments
        .iter()
        .map(|a| {
            vec![
                a.role_definition_id.to_string(),
                a.principal_id.to_string(),
                a.directory_scope_id
                    .to_lowercase()
                    .replace("/administrativeunits/", "/administrativeUnits/"),
            ]
        })
        .collect();
    assert_same(&keys(&active, &fields), &all);
    for held in truth.role_assignments.iter().filter(|a| a.end.is_some()) {
        let record = active
            .records()
            .find(|r| r["sourceId"] == held.id)
            .expect("it arrived");
        assert!(record["expirationDateTime"].is_string(), "{record}");
        assert_eq!(record["state"], held.assignment_type.as_str());
    }

    let eligible = bench
        .register
        .session("resource-assignments", &scope("Eligible"));
    let all: BTreeSet<Vec<String>> = truth
        .role_eligibilities
        .iter()
        .map(|a| {
            vec![
                a.role_definition_id.to_string(),
                a.principal_id.to_string(),
                a.directory_scope_id
                    .to_lowercase()
                    .replace("/administrativeunits/", "/administrativeUnits/"),
            ]
        })
        .collect();
    assert_same(&keys(&eligible, &fields), &all);

    let scope = [
        ("assignmentType", "Eligible"),
        ("resourceType", "EntraGroup"),
    ];
    let groups = bench.register.session("resource-assignments", &scope);
    let all: BTreeSet<Vec<String>> = truth
        .group_eligibilities
        .iter()
        .map(|e| {
            let scope = if e.access == GroupAccess::Owner {
                "/owner"
            } else {
                ""
            };
            vec![
                e.group_id.to_string(),
                e.principal_id.to_string(),
                scope.to_owned(),
            ]
        })
        .collect();
    assert!(!all.is_empty());
    assert_same(&keys(&groups, &fields), &all);
    bench.stop().await;
}

#[tokio::test]
async fn the_run_report_is_posted_the_views_are_refreshed_and_what_is_not_asked_for_is_said() {
    let bench = Bench::start(unlimited()).await;
    let mut config = bench.config();
    config.selection.pim = false;
    let report = bench.crawl(config).await;
    assert_eq!(bench.register.reports(), std::slice::from_ref(&report));
    assert_eq!(bench.register.refreshes(), 1);
    assert_eq!(report.system_id, Some(1));
    let skipped = line(&report, "role eligibility");
    assert_eq!(skipped.status, CollectionStatus::Skipped);
    assert_eq!(skipped.message.as_deref(), Some("not asked for"));
    let system = bench.register.system();
    assert_eq!(system["systemType"], "EntraID");
    assert_eq!(system["tenantId"], bench.simulator.tenant_id().to_string());
    let stats = bench.simulator.stats();
    assert_eq!(report.traffic.http_calls, stats.http_calls);
    assert_eq!(report.traffic.requests, stats.requests);
    assert_eq!(report.traffic.resource_units, stats.resource_units);
    bench.stop().await;
}

#[tokio::test]
async fn a_second_crawl_sends_the_same_records() {
    let bench = Bench::start(unlimited()).await;
    bench.crawl(bench.config()).await;
    bench.crawl(bench.config()).await;
    let mut by_scope: std::collections::BTreeMap<String, Vec<BTreeSet<String>>> =
        std::collections::BTreeMap::new();
    for session in bench.register.sessions() {
        let scope = format!(
            "{} {:?} {:?}",
            session.open.entity, session.open.scope, session.open.source_filter
        );
        let records = session.records().map(ToString::to_string).collect();
        by_scope.entry(scope).or_default().push(records);
    }
    for (scope, runs) in by_scope {
        assert_eq!(runs.len(), 2, "{scope}");
        assert_eq!(runs[0], runs[1], "{scope}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn memberships_without_groups_post_no_group() {
    let bench = Bench::start(unlimited()).await;
    let mut config = bench.config();
    config.selection.resources = false;
    config.selection.principals = false;
    let report = bench.crawl(config).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(line(&report, "groups").status, CollectionStatus::Skipped);
    assert!(
        bench
            .register
            .find("resources", &[("resourceType", "EntraGroup")])
            .is_empty()
    );
    assert_eq!(
        line(&report, "group members").read,
        bench.simulator.truth().members.len() as u64
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_dry_run_reads_everything_and_sends_nothing() {
    let bench = Bench::start(unlimited()).await;
    let mut config = bench.config();
    config.dry_run = true;
    let report = bench.crawl(config).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(
        line(&report, "groups").read,
        bench.simulator.truth().groups.len() as u64
    );
    assert!(bench.register.sessions().is_empty());
    assert!(bench.register.reports().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn custom_attributes_get_columns_if_the_key_may_and_no_crawl_fails_for_it() {
    for may_promote in [false, true] {
        let bench = Bench::start(unlimited()).await;
        if may_promote {
            bench.register.let_promote();
        }
        let mut config = bench.config();
        // A core field has a column already.
        config.custom_user_attributes = vec!["department".into(), "onPremisesSyncEnabled".into()];
        config.custom_group_attributes = vec!["classification".into()];
        let report = bench.crawl(config).await;
        assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
        let expected = [
            serde_json::json!({"entity": "principals", "attribute": "onPremisesSyncEnabled"}),
            serde_json::json!({"entity": "resources", "attribute": "classification"}),
        ];
        let expected: &[Value] = if may_promote { &expected } else { &[] };
        assert_eq!(bench.register.promotions(), expected);
        bench.stop().await;
    }
}
