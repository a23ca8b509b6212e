//! Sign-ins, administrative units, identities and departments, custom attributes, and looks at a tenant.

use std::{collections::BTreeSet, sync::Arc};

use contract::{CollectionStatus, Entity, RunReport, SyncMode};
use crawler_entra::{
    AttributeKind, IdentityFilter, IdentityKey, discover_attributes, preview_identities,
    progress::Quiet,
};
use graph_sim::{Fault, RoutePattern, SimOptions, permissions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, Session, line, unlimited};

fn all_but(taken: &[&str]) -> Vec<String> {
    let all = permissions::ALL.iter().map(ToString::to_string);
    all.filter(|name| !taken.contains(&name.as_str())).collect()
}

fn employees() -> IdentityFilter {
    let filter = json!({"property": "employeeId", "operator": "isNotNull"});
    IdentityFilter::parse(&filter).expect("a filter")
}

/// The sessions of an entity, with the value of one scope key.
fn sessions(bench: &Bench, entity: Entity, key: &str, value: &str) -> Vec<Session> {
    let all = bench.register.sessions().into_iter();
    all.filter(|session| session.open.entity == entity)
        .filter(|session| key.is_empty() || session.open.scope[key] == value)
        .collect()
}

fn statuses(report: &RunReport, names: &[&str]) -> Vec<CollectionStatus> {
    names.iter().map(|name| line(report, name).status).collect()
}

const SIGN_INS: [&str; 3] = [
    "interactive sign-ins",
    "non-interactive sign-ins",
    "successful sign-ins",
];

#[tokio::test]
async fn without_p1_or_the_permission_sign_ins_are_told_missing_and_users_arrive() {
    for (options, status) in [
        (
            SimOptions {
                p1_licensed: false,
                ..unlimited()
            },
            CollectionStatus::Unlicensed,
        ),
        (
            SimOptions {
                roles: all_but(&["AuditLog.Read.All"]),
                ..unlimited()
            },
            CollectionStatus::Forbidden,
        ),
    ] {
        let bench = Bench::start(options).await;
        let report = bench.crawl(bench.config()).await;
        assert_eq!(statuses(&report, &SIGN_INS), [status; 3]);
        assert_eq!(line(&report, "users").status, CollectionStatus::Complete);
        assert!(sessions(&bench, Entity::PrincipalActivity, "", "").is_empty());
        bench.stop().await;
    }
}

#[tokio::test]
async fn where_long_pages_of_sign_ins_are_refused_short_ones_are_read() {
    let bench = Bench::start(SimOptions {
        short_activity_pages: true,
        ..unlimited()
    })
    .await;
    let mut config = bench.config();
    config.tuning.page_size = 999;
    let report = bench.crawl(config).await;
    let expected = bench.simulator.truth().users.into_iter();
    let expected = expected.filter_map(|user| user.sign_in?.last_sign_in);
    let interactive = line(&report, SIGN_INS[0]);
    assert_eq!(interactive.status, CollectionStatus::Complete);
    assert_eq!(interactive.read, expected.count() as u64);
    bench.stop().await;
}

#[tokio::test]
async fn sign_ins_that_break_off_remove_nothing_and_leave_the_users_alone() {
    let bench = Bench::start(unlimited()).await;
    let mut config = bench.config();
    config.selection.contexts = false;
    // Of the two lists of users, the later pages of both break off.
    let fault = Fault::status(RoutePattern::Exact("/users".into()), 500, "Internal");
    bench.simulator.faults().add(fault.on_later_pages());
    bench.crawl(config).await;
    for session in sessions(&bench, Entity::PrincipalActivity, "", "") {
        assert!(!session.completeness.expect("committed").complete);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_unit_whose_members_are_hidden_or_unreadable_is_named_and_kept() {
    let bench = Bench::start(SimOptions {
        roles: all_but(&["Member.Read.Hidden"]),
        ..unlimited()
    })
    .await;
    let units = bench.simulator.truth().administrative_units;
    let hidden = units.iter().filter(|unit| unit.hides_members());
    let mut kept: BTreeSet<_> = hidden.map(|unit| unit.id).collect();
    let poison = units.iter().find(|unit| !unit.hides_members());
    let poison = poison.expect("an open unit").id;
    kept.insert(poison);
    let path = RoutePattern::Contains(format!("{poison}/members"));
    let fault = Fault::status(path, 500, "InternalServerError");
    bench.simulator.faults().add(fault);
    let report = bench.crawl(bench.config()).await;
    let members = line(&report, "unit members");
    assert_eq!(members.status, CollectionStatus::Partial, "{members:#?}");
    let permission = members.missing_permission.as_deref();
    assert_eq!(permission, Some("Member.Read.Hidden"));
    let session = sessions(
        &bench,
        Entity::ContextMembers,
        "contextType",
        "AdministrativeUnit",
    );
    let said = session[0].completeness.clone().expect("committed");
    let named: BTreeSet<_> = said.incomplete_parents.into_iter().collect();
    assert!(said.complete);
    assert_eq!(named, kept);
    bench.stop().await;
}

#[tokio::test]
async fn a_list_of_users_that_breaks_off_says_nothing_about_people_and_departments() {
    let bench = Bench::start(unlimited()).await;
    let fault = Fault::status(RoutePattern::Exact("/users".into()), 500, "Internal");
    bench.simulator.faults().add(fault.on_later_pages());
    let mut config = bench.config();
    config.identity_filter = Some(employees());
    config.selection.sign_ins = false;
    let report = bench.crawl(config).await;
    for name in [
        "users",
        "identities",
        "identity accounts",
        "departments",
        "department members",
    ] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Failed, "{line:#?}");
    }
    let made_of_users = [
        (Entity::Identities, "", ""),
        (Entity::IdentityMembers, "", ""),
        (Entity::Contexts, "contextType", "Department"),
        (Entity::ContextMembers, "contextType", "Department"),
    ];
    for (entity, key, value) in made_of_users {
        for session in sessions(&bench, entity, key, value) {
            let said = session.completeness.expect("committed");
            assert!(!said.complete, "{entity}");
        }
    }
    bench.stop().await;
}

#[tokio::test]
async fn without_a_filter_there_are_no_identities_and_departments_hold_principals() {
    let bench = Bench::start(unlimited()).await;
    let report = bench.crawl(bench.config()).await;
    assert_eq!(
        line(&report, "identities").status,
        CollectionStatus::Skipped
    );
    assert!(sessions(&bench, Entity::Identities, "", "").is_empty());
    let members = sessions(&bench, Entity::ContextMembers, "contextType", "Department");
    let users = bench.simulator.truth().users;
    let expected: BTreeSet<String> = users
        .iter()
        .filter(|user| user.department.is_some())
        .map(|user| user.id.to_string())
        .collect();
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or("-").to_owned();
    let found: BTreeSet<String> = members[0]
        .records()
        .map(|record| text(record, "memberId"))
        .collect();
    assert_eq!(found, expected);
    let is_principal = |record: &Value| text(record, "memberType") == "Principal";
    assert!(members[0].records().all(is_principal));
    bench.stop().await;
}

#[tokio::test]
async fn accounts_with_one_personnel_number_are_one_identity_where_that_is_asked_for() {
    let bench = Bench::start(unlimited()).await;
    let (enabled, disabled) = bench.simulator.with_tenant(|tenant| {
        let mut ids = tenant
            .users
            .values()
            .filter(|user| user.employee_id.is_some());
        let two = (ids.next().expect("one").id, ids.next().expect("two").id);
        for (id, is_enabled) in [(two.0, false), (two.1, true)] {
            let user = tenant.users.get_mut(&id).expect("it is there");
            user.employee_id = Some("SAME".to_owned());
            user.account_enabled = Some(is_enabled);
        }
        (two.1, two.0)
    });
    let mut config = bench.config();
    config.identity_filter = Some(employees());
    config.identity_key = IdentityKey::EmployeeId;
    bench.crawl(config).await;
    let identities = sessions(&bench, Entity::Identities, "", "");
    let same: Vec<&Value> = identities[0]
        .records()
        .filter(|record| record["employeeId"] == "SAME")
        .collect();
    assert_eq!(same.len(), 1, "{same:#?}");
    assert_eq!(same[0]["primaryPrincipalId"], json!(enabled));
    let accounts = sessions(&bench, Entity::IdentityMembers, "", "");
    let accounts: BTreeSet<(String, bool)> = accounts[0]
        .records()
        .filter(|record| record["identityId"] == same[0]["id"])
        .map(|record| {
            let account = record["principalId"].as_str().expect("an id").to_owned();
            (account, record["isPrimary"] == true)
        })
        .collect();
    let expected = [(enabled.to_string(), true), (disabled.to_string(), false)];
    assert_eq!(accounts, BTreeSet::from(expected));
    bench.stop().await;
}

#[tokio::test]
async fn a_preview_counts_what_the_filter_lets_through_and_sends_nothing() {
    let bench = Bench::start(unlimited()).await;
    let truth = bench.simulator.truth();
    let expected = truth.users.iter().filter(|user| user.employee_id.is_some());
    let preview = preview_identities(
        bench.config(),
        &employees(),
        Arc::new(Quiet),
        CancellationToken::new(),
    )
    .await
    .expect("a preview");
    assert_eq!(preview.users, truth.users.len() as u64);
    assert_eq!(preview.matching, expected.count() as u64);
    assert_eq!(preview.identities, preview.matching);
    assert_eq!(preview.matching_samples.len(), 10);
    assert!(!preview.other_samples.is_empty());
    assert!(bench.register.sessions().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn security_attributes_arrive_flat_and_stay_when_they_may_no_longer_be_read() {
    let bench = Bench::start(unlimited()).await;
    let mut config = bench.config();
    config.custom_user_attributes = vec!["customSecurityAttributes".into(), "city".into()];
    bench.crawl(config.clone()).await;
    let truth = bench.simulator.truth();
    let has_clearance = |user: &&graph_sim::User| {
        !user.is_guest() && user.security_attributes.contains_key("Clearance")
    };
    let cleared = truth.users.iter().find(has_clearance).expect("somebody");
    let of = |session: &Session| {
        let mut records = session.records();
        let found = records.find(|record| record["id"] == json!(cleared.id));
        found.expect("the user").clone()
    };
    let users = sessions(&bench, Entity::Principals, "principalType", "User");
    let level = &cleared.security_attributes["Clearance"]["Level"];
    assert_eq!(
        &of(&users[0])["extendedAttributes"]["Clearance.Level"],
        level
    );

    bench
        .simulator
        .set_roles(all_but(&["CustomSecAttributeAssignment.Read.All"]));
    let report = bench.crawl(config).await;
    let users = sessions(&bench, Entity::Principals, "principalType", "User");
    let again = &users[1];
    // Changes only, so that what is not mentioned stays, and nothing can be removed.
    assert_eq!(again.open.sync_mode, SyncMode::Delta);
    assert!(!again.completeness.clone().expect("committed").complete);
    let record = of(again);
    let attributes = record["extendedAttributes"].as_object().expect("some");
    assert!(
        !attributes.contains_key("Clearance.Level"),
        "{attributes:?}"
    );
    assert_eq!(attributes.get("creationType"), Some(&Value::Null));
    let line = line(&report, "users");
    assert_eq!(line.status, CollectionStatus::Partial, "{line:#?}");
    let permission = line.missing_permission.as_deref();
    assert_eq!(permission, Some("CustomSecAttributeAssignment.Read.All"));
    bench.stop().await;
}

#[tokio::test]
async fn custom_attributes_are_discovered_with_values_and_fill_rate() {
    let bench = Bench::start(SimOptions {
        roles: all_but(&["User-LifeCycleInfo.Read.All"]),
        ..unlimited()
    })
    .await;
    let found = discover_attributes(
        bench.config(),
        999,
        Arc::new(Quiet),
        CancellationToken::new(),
    )
    .await
    .expect("attributes");
    let users = bench.simulator.truth().users;
    assert_eq!(found.sampled, users.len() as u64);
    let attribute = |name: &str| {
        let found = found.attributes.iter().find(|one| one.name == name);
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let badge = attribute("extension_9f8e7d6c5b4a39281706f5e4d3c2b1a0_badgeNumber");
    let badges = users.iter().filter(|user| user.badge_number.is_some());
    assert_eq!(badge.filled, badges.count() as u64);
    assert_eq!(badge.kind, AttributeKind::DirectoryExtension);
    assert_eq!(badge.samples.len(), 3);
    let project = attribute("Engineering.Project");
    assert_eq!(
        (project.kind, &*project.value_type),
        (AttributeKind::Security, "String list")
    );
    assert!(attribute("onPremisesExtensionAttributes.extensionAttribute1").filled > 0);
    let leave = attribute("employeeLeaveDateTime");
    let reason = leave.unreadable.as_deref();
    assert_eq!(reason, Some("grant User-LifeCycleInfo.Read.All"));
    assert!(bench.register.sessions().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn the_system_tells_domains_and_subscriptions_where_they_may_be_read() {
    let bench = Bench::start(unlimited()).await;
    bench.crawl(bench.config()).await;
    let told = bench.register.system()["extendedAttributes"].clone();
    let count = |name: &str| told[name].as_array().map_or(0, Vec::len);
    assert_eq!(count("domains"), bench.simulator.truth().domains.len());
    assert_eq!(count("subscribedSkus"), 2);
    bench.stop().await;

    let bench = Bench::start(SimOptions {
        roles: all_but(&["Domain.Read.All", "Directory.Read.All"]),
        ..unlimited()
    })
    .await;
    bench.crawl(bench.config()).await;
    let told = bench.register.system()["extendedAttributes"].clone();
    assert!(told["domains"].is_null() && told["subscribedSkus"].is_array());
    bench.stop().await;
}
