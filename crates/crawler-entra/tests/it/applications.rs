//! Applications: what arrives of them and of access to them, and what is left alone when something of it cannot be read.

use std::collections::BTreeSet;

use contract::{CollectionStatus, RunOutcome, session::SessionState};
use graph_sim::{
    AppRoleAssignment, Fault, MemberKind, RoutePattern, SimOptions, Tenant, TenantSpec, permissions,
};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Bench, line, unlimited};

const ASSIGNED: [(&str, &str); 2] = [
    ("assignmentType", "Direct"),
    ("resourceType", "EntraAppRole"),
];
const ROLES: [(&str, &str); 1] = [("resourceType", "EntraAppRole")];
const CREDENTIALS: [(&str, &str); 1] = [("resourceType", "EntraFederatedCredential")];

/// What one list, and those that hang on it, bring: the path and the lines of the report.
const LISTS: [(&str, &[&str]); 3] = [
    (
        "/servicePrincipals",
        &[
            "service principals",
            "applications",
            "app roles",
            "roles of applications",
            "app role assignments",
            "application owners",
            "agent sponsors",
        ],
    ),
    (
        "/applications",
        &[
            "app registrations",
            "app registration owners",
            "federated credentials",
        ],
    ),
    (
        "/oauth2PermissionGrants",
        &["delegated grants", "tenant-wide grants"],
    ),
];

/// The scopes of the lines, as the register knows them.
const SCOPES: [(&str, &str); 11] = [
    ("resourceType", "EntraApplication"),
    ("resourceType", "EntraAppRole"),
    ("resourceType", "EntraAppRegistration"),
    ("resourceType", "EntraFederatedCredential"),
    ("relationshipType", "HasAppRole"),
    ("relationshipType", "DelegatesScope"),
    ("assignmentType", "Sponsor"),
    ("assignmentType", "OAuth2Grant"),
    ("principalType", "ServicePrincipal"),
    ("principalType", "ManagedIdentity"),
    ("principalType", "AIAgent"),
];

fn role_key(application: Uuid, role: Uuid) -> Uuid {
    Uuid::new_v5(&application, role.to_string().as_bytes())
}

fn assert_opened_none_of(bench: &Bench, scopes: &[(&str, &str)]) {
    for session in bench.register.sessions() {
        for (key, value) in scopes {
            let opened = session.open.scope.get(*key).map(String::as_str);
            assert_ne!(opened, Some(*value), "{:?}", session.open.scope);
        }
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_on_every_line_and_opens_no_session() {
    let taken = ["Application.Read.All", "Directory.Read.All"];
    let roles = permissions::ALL.iter().filter(|role| !taken.contains(role));
    let bench = Bench::start(SimOptions {
        roles: roles.map(ToString::to_string).collect(),
        ..unlimited()
    })
    .await;
    let report = bench.crawl(bench.config()).await;
    for (path, names) in LISTS {
        let needed = match path {
            "/oauth2PermissionGrants" => "Directory.Read.All",
            _ => "Application.Read.All",
        };
        for name in names {
            let line = line(&report, name);
            assert_eq!(line.status, CollectionStatus::Forbidden, "{name}");
            assert_eq!(line.missing_permission.as_deref(), Some(needed), "{name}");
        }
    }
    assert_opened_none_of(&bench, &SCOPES);
    assert_eq!(line(&report, "users").status, CollectionStatus::Complete);
    bench.stop().await;
}

#[tokio::test]
async fn a_list_that_the_cloud_does_not_have_is_unavailable_and_opens_no_session() {
    let bench = Bench::start(unlimited()).await;
    for (path, _) in LISTS {
        let pattern = RoutePattern::Exact(path.to_owned());
        let fault = Fault::status(pattern, 404, "ResourceNotFound");
        bench.simulator.faults().add(fault);
    }
    let report = bench.crawl(bench.config()).await;
    for name in LISTS.iter().flat_map(|(_, names)| *names) {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Unavailable, "{name}");
    }
    assert_opened_none_of(&bench, &SCOPES);
    bench.stop().await;
}

#[tokio::test]
async fn an_application_whose_role_holders_cannot_be_read_keeps_them_and_what_default_access_there_is()
 {
    let bench = Bench::start(unlimited()).await;
    let truth = bench.simulator.truth();
    let mut poisons = truth.service_principals.iter();
    let poison = poisons
        .find(|one| one.app_roles.len() > 1 && !one.app_role_assignment_required)
        .expect("an application with roles");
    let path = format!("/servicePrincipals/{}/appRoleAssignedTo", poison.id);
    let fault = Fault::status(RoutePattern::Exact(path), 500, "InternalServerError");
    bench.simulator.faults().add(fault);
    let report = bench.crawl(bench.config()).await;
    assert_eq!(report.outcome, RunOutcome::Partial);

    let assigned = line(&report, "app role assignments");
    assert_eq!(assigned.status, CollectionStatus::Partial);
    assert_eq!(assigned.failures[0].id, Some(poison.id));
    let session = bench.register.session("resource-assignments", &ASSIGNED);
    let completeness = session.completeness.expect("committed");
    assert!(completeness.complete);
    let named: BTreeSet<Uuid> = completeness.incomplete_parents.into_iter().collect();
    let roles = poison.app_roles.iter().map(|role| role.id);
    let roles = roles.chain([Uuid::nil()]);
    let expected: BTreeSet<Uuid> = roles.map(|role| role_key(poison.id, role)).collect();
    assert_eq!(named, expected);

    // Whether somebody has default access to it is not known.
    for name in ["app roles", "roles of applications"] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Partial, "{name}");
        assert!(line.message.is_some(), "{name}");
    }
    let session = bench.register.session("resources", &ROLES);
    assert!(session.records().count() > 0);
    assert!(!session.completeness.expect("committed").complete);
    for name in ["applications", "application owners", "agent sponsors"] {
        let status = line(&report, name).status;
        assert_eq!(status, CollectionStatus::Complete, "{name}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn with_one_registration_unread_no_federated_credential_can_be_removed() {
    let bench = Bench::start(unlimited()).await;
    let poison = bench.simulator.truth().federated_credentials[0].application_id;
    let path = format!("/applications/{poison}/federatedIdentityCredentials");
    let fault = Fault::status(RoutePattern::Exact(path), 500, "InternalServerError");
    bench.simulator.faults().add(fault);
    let report = bench.crawl(bench.config()).await;
    let credentials = line(&report, "federated credentials");
    assert_eq!(credentials.status, CollectionStatus::Partial);
    assert_eq!(credentials.failures[0].id, Some(poison));
    let session = bench.register.session("resources", &CREDENTIALS);
    assert_eq!(session.state, SessionState::Committed);
    let completeness = session.completeness.expect("committed");
    assert!(!completeness.complete && completeness.incomplete_parents.is_empty());
    bench.stop().await;
}

/// A tenant where one application has more assignments than Graph shows without its index.
fn tenant_with_a_crowd(holders: u128) -> (Tenant, Uuid) {
    let mut tenant = Tenant::generate(&TenantSpec::new(7, 150, 45, 40));
    let known = tenant.app_access.assignments.values().next().cloned();
    let known = known.expect("an assignment");
    let user = tenant.users.values().next().cloned().expect("a user");
    for number in 0..holders {
        let mut user = user.clone();
        user.id = Uuid::from_u128((7 << 120) + number);
        user.user_principal_name = format!("crowd.{number}@meridiaan.example");
        tenant.app_access.assign(AppRoleAssignment {
            id: format!("crowd-{number}"),
            principal_id: user.id,
            principal_kind: MemberKind::User,
            ..known.clone()
        });
        tenant.users.insert(user.id, user);
    }
    (tenant, known.resource_id)
}

#[tokio::test]
async fn every_holder_of_a_role_arrives_also_behind_the_first_999() {
    let (tenant, crowded) = tenant_with_a_crowd(1_200);
    let bench = Bench::with_tenant(tenant, unlimited()).await;
    let mut config = bench.config();
    config.tuning.page_size = 999;
    let report = bench.crawl(config).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let truth = bench.simulator.truth();
    let held = truth.app_role_assignments.iter();
    let expected: BTreeSet<(String, String)> = held
        .map(|held| {
            let role = role_key(held.resource_id, held.app_role_id);
            (role.to_string(), held.principal_id.to_string())
        })
        .collect();
    assert!(
        truth
            .app_role_assignments
            .iter()
            .filter(|held| held.resource_id == crowded)
            .count()
            > 1_000
    );
    let session = bench.register.session("resource-assignments", &ASSIGNED);
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let arrived: BTreeSet<(String, String)> = session
        .records()
        .map(|record| (text(record, "resourceId"), text(record, "principalId")))
        .collect();
    assert_eq!(arrived, expected);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_not_asked_for_of_applications_never_makes_the_rest_look_complete() {
    let bench = Bench::start(unlimited()).await;
    let mut config = bench.config();
    config.selection.assignments = false;
    let report = bench.crawl(config).await;
    let roles = line(&report, "app roles");
    assert_eq!(roles.status, CollectionStatus::Complete);
    assert!(roles.message.is_some(), "{roles:?}");
    let session = bench.register.session("resources", &ROLES);
    assert!(!session.completeness.expect("committed").complete);
    for name in ["app role assignments", "delegated grants", "agent sponsors"] {
        let status = line(&report, name).status;
        assert_eq!(status, CollectionStatus::Skipped, "{name}");
    }
    bench.stop().await;

    // Without the roles it is not known which rows an application's list is about.
    let bench = Bench::start(unlimited()).await;
    let held = bench.simulator.truth().app_role_assignments[0].resource_id;
    let path = format!("/servicePrincipals/{held}/appRoleAssignedTo");
    let fault = Fault::status(RoutePattern::Exact(path), 500, "InternalServerError");
    bench.simulator.faults().add(fault);
    let mut config = bench.config();
    config.selection.resources = false;
    let report = bench.crawl(config).await;
    assert_eq!(line(&report, "app role assignments").failed_parents, 1);
    let session = bench.register.session("resource-assignments", &ASSIGNED);
    assert!(!session.completeness.expect("committed").complete);
    bench.stop().await;
}

#[tokio::test]
async fn a_page_token_that_expires_loses_and_doubles_nothing_of_applications() {
    let bench = Bench::start(unlimited()).await;
    for (path, _) in LISTS {
        let pattern = RoutePattern::Exact(path.to_owned());
        let fault = Fault::status(pattern, 400, "Directory_ExpiredPageToken");
        bench
            .simulator
            .faults()
            .add(fault.on_later_pages().times(1));
    }
    let report = bench.crawl(bench.config()).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let truth = bench.simulator.truth();
    for (name, count) in [
        ("applications", truth.service_principals.len()),
        ("app registrations", truth.applications.len()),
        ("app role assignments", truth.app_role_assignments.len()),
        ("application owners", truth.service_principal_owners.len()),
        ("app registration owners", truth.application_owners.len()),
        ("federated credentials", truth.federated_credentials.len()),
        ("agent sponsors", truth.sponsors.len()),
    ] {
        assert_eq!(line(&report, name).read, count as u64, "{name}");
    }
    let grants = line(&report, "delegated grants").read + line(&report, "tenant-wide grants").read;
    assert_eq!(grants, truth.permission_grants.len() as u64);
    bench.stop().await;
}

#[tokio::test]
async fn two_grants_of_the_same_client_resource_and_user_do_not_overwrite_each_other() {
    let mut tenant = Tenant::generate(&TenantSpec::new(7, 150, 45, 40));
    let known = tenant.app_access.grants.clone().into_values();
    let (of_users, of_all): (Vec<_>, Vec<_>) = known.partition(|one| one.principal_id.is_some());
    for one in [&of_users[0], &of_all[0]] {
        let mut twin = one.clone();
        twin.id = format!("twin-{}", one.id);
        twin.scope = "Sites.FullControl.All".to_owned();
        tenant.app_access.grants.insert(twin.id.clone(), twin);
    }
    let bench = Bench::with_tenant(tenant, unlimited()).await;
    let report = bench.crawl(bench.config()).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let of_users = [
        ("assignmentType", "OAuth2Grant"),
        ("resourceType", "EntraApplication"),
    ];
    let of_all = [("relationshipType", "DelegatesScope")];
    for (session, key) in [
        (
            bench.register.session("resource-assignments", &of_users),
            ["resourceId", "principalId", "roleScope"],
        ),
        (
            bench.register.session("resource-relationships", &of_all),
            ["parentResourceId", "childResourceId", "roleName"],
        ),
    ] {
        let rows: BTreeSet<Vec<String>> = session
            .records()
            .map(|record| key.map(|name| record[name].to_string()).to_vec())
            .collect();
        assert_eq!(
            rows.len(),
            session.records().count(),
            "a row of {key:?} came twice"
        );
        let scopes: Vec<String> = session
            .records()
            .map(|record| record["extendedAttributes"]["scope"].to_string())
            .collect();
        let twins = scopes
            .iter()
            .filter(|words| words.contains("Sites.FullControl.All"));
        assert_eq!(twins.count(), 1, "{key:?}");
    }
    let truth = bench.simulator.truth().permission_grants.len() as u64;
    let read = |name| line(&report, name).read;
    assert_eq!(read("delegated grants") + read("tenant-wide grants"), truth);
    bench.stop().await;
}
