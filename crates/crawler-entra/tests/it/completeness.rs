//! What could not be read is named, and can never be taken for gone.

use contract::{CollectionStatus, RunOutcome, session::SessionState};
use graph_sim::{Fault, FaultAction, RoutePattern, SimOptions, permissions};

use crate::support::{Bench, line, unlimited};

const MEMBERS: [(&str, &str); 2] = [("assignmentType", "Direct"), ("resourceType", "EntraGroup")];
const OWNERS: [(&str, &str); 2] = [("assignmentType", "Owner"), ("resourceType", "EntraGroup")];

fn without(role: &str) -> Vec<String> {
    permissions::ALL
        .iter()
        .filter(|r| **r != role)
        .map(ToString::to_string)
        .collect()
}

#[tokio::test]
async fn a_poison_group_is_named_and_keeps_its_rows_and_the_others_arrive() {
    let bench = Bench::start(unlimited()).await;
    let truth = bench.simulator.truth();
    let poison = truth.members[0].group_id;
    let name = truth
        .groups
        .iter()
        .find(|g| g.id == poison)
        .expect("group")
        .display_name
        .clone();
    let route = RoutePattern::Exact(format!("/groups/{poison}/members"));
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 500, "InternalServerError"));
    let report = bench.crawl(bench.config()).await;

    assert_eq!(report.outcome, RunOutcome::Partial);
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial);
    assert_eq!(members.failed_parents, 1);
    assert_eq!(members.failures[0].id, Some(poison));
    assert_eq!(
        members.failures[0].display_name.as_deref(),
        Some(name.as_str())
    );
    assert!(
        members.failures[0].reason.contains("HTTP 500"),
        "{members:?}"
    );
    assert_eq!(
        line(&report, "group owners").status,
        CollectionStatus::Complete
    );

    let session = bench.register.session("resource-assignments", &MEMBERS);
    let completeness = session.completeness.clone().expect("committed");
    assert!(completeness.complete);
    assert_eq!(completeness.incomplete_parents, [poison]);
    let others = truth
        .members
        .iter()
        .filter(|l| l.group_id != poison)
        .count();
    assert_eq!(session.records().count(), others);
    bench.stop().await;
}

#[tokio::test]
async fn a_group_that_vanishes_between_list_and_members_keeps_its_rows() {
    let bench = Bench::start(unlimited()).await;
    let gone = bench.simulator.truth().members[0].group_id;
    let route = RoutePattern::Prefix(format!("/groups/{gone}/"));
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 404, "Request_ResourceNotFound"));
    let report = bench.crawl(bench.config()).await;
    for (collection, scope) in [("group members", MEMBERS), ("group owners", OWNERS)] {
        assert_eq!(line(&report, collection).status, CollectionStatus::Partial);
        let session = bench.register.session("resource-assignments", &scope);
        let completeness = session.completeness.expect("committed");
        assert_eq!(completeness.incomplete_parents, [gone], "{collection}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_list_that_breaks_off_commits_what_it_read_as_incomplete() {
    let bench = Bench::start(unlimited()).await;
    let route = RoutePattern::Exact("/users".to_owned());
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 500, "InternalServerError").on_later_pages());
    let report = bench.crawl(bench.config()).await;
    assert_eq!(report.outcome, RunOutcome::Partial);
    assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    assert_eq!(line(&report, "guests").status, CollectionStatus::Failed);
    assert_eq!(line(&report, "groups").status, CollectionStatus::Complete);
    let session = bench
        .register
        .session("principals", &[("principalType", "User")]);
    assert_eq!(session.state, SessionState::Committed);
    assert!(session.records().count() > 0);
    assert!(!session.completeness.expect("committed").complete);
    bench.stop().await;
}

#[tokio::test]
async fn memberships_are_incomplete_when_the_list_of_groups_is() {
    let bench = Bench::start(unlimited()).await;
    let route = RoutePattern::Exact("/groups".to_owned());
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 502, "BadGateway").on_later_pages());
    let report = bench.crawl(bench.config()).await;
    assert_eq!(line(&report, "groups").status, CollectionStatus::Failed);
    for (collection, scope) in [("group members", MEMBERS), ("group owners", OWNERS)] {
        assert_eq!(line(&report, collection).status, CollectionStatus::Partial);
        assert!(
            line(&report, collection)
                .message
                .as_deref()
                .is_some_and(|m| m.contains("nothing was removed"))
        );
        let session = bench.register.session("resource-assignments", &scope);
        assert!(
            !session.completeness.expect("committed").complete,
            "{collection}"
        );
    }
    bench.stop().await;
}

#[tokio::test]
async fn no_parent_is_named_incomplete_when_others_are_not_known_at_all() {
    // Naming one would tell the register that all others are complete.
    let bench = Bench::start(unlimited()).await;
    let faults = bench.simulator.faults();
    let groups = RoutePattern::Exact("/groups".to_owned());
    faults.add(Fault::status(groups, 502, "BadGateway").on_later_pages());
    let members = RoutePattern::Suffix("/members".to_owned());
    faults.add(Fault::status(members, 404, "Request_ResourceNotFound").times(3));
    let report = bench.crawl(bench.config()).await;
    assert_eq!(line(&report, "group members").failed_parents, 3);
    let session = bench.register.session("resource-assignments", &MEMBERS);
    let completeness = session.completeness.expect("committed");
    assert!(!completeness.complete && completeness.incomplete_parents.is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn a_missing_permission_is_named_and_opens_no_session() {
    let roles = vec![
        "User.Read.All".to_owned(),
        "Organization.Read.All".to_owned(),
    ];
    let options = SimOptions {
        roles,
        ..unlimited()
    };
    let bench = Bench::start(options).await;
    let report = bench.crawl(bench.config()).await;
    assert_eq!(report.outcome, RunOutcome::Partial);
    assert_eq!(line(&report, "users").status, CollectionStatus::Complete);
    for (collection, permission) in [
        ("groups", "GroupMember.Read.All"),
        ("service principals", "Application.Read.All"),
        ("directory roles", "RoleManagement.Read.Directory"),
        ("role assignments", "RoleManagement.Read.Directory"),
        ("role eligibility", "RoleEligibilitySchedule.Read.Directory"),
        ("group eligibility", "PrivilegedAccess.Read.AzureADGroup"),
        ("administrative units", "AdministrativeUnit.Read.All"),
        ("unit contexts", "AdministrativeUnit.Read.All"),
        ("unit members", "AdministrativeUnit.Read.All"),
        ("interactive sign-ins", "AuditLog.Read.All"),
        ("non-interactive sign-ins", "AuditLog.Read.All"),
        ("successful sign-ins", "AuditLog.Read.All"),
    ] {
        let line = line(&report, collection);
        assert_eq!(line.status, CollectionStatus::Forbidden, "{collection}");
        assert_eq!(
            line.missing_permission.as_deref(),
            Some(permission),
            "{collection}"
        );
    }
    let opened: Vec<String> = bench
        .register
        .sessions()
        .iter()
        .map(|s| format!("{:?}", s.open.scope))
        .collect();
    assert_eq!(
        opened.len(),
        6,
        "users, guests, their departments and those deleted only: {opened:?}"
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_tenant_without_the_licence_for_pim_says_so_and_still_delivers_its_assignments() {
    let bench = Bench::start(SimOptions {
        p2_licensed: false,
        ..unlimited()
    })
    .await;
    let report = bench.crawl(bench.config()).await;
    for collection in ["role eligibility", "group eligibility"] {
        assert_eq!(
            line(&report, collection).status,
            CollectionStatus::Unlicensed,
            "{collection}"
        );
    }
    let active = line(&report, "role assignments");
    assert_eq!(active.status, CollectionStatus::Complete);
    assert!(
        active
            .message
            .as_deref()
            .is_some_and(|m| m.contains("not known")),
        "{active:?}"
    );
    assert_eq!(
        active.read,
        bench.simulator.truth().role_assignments.len() as u64
    );
    let eligible = [
        ("assignmentType", "Eligible"),
        ("resourceType", "EntraDirectoryRole"),
    ];
    assert!(
        bench
            .register
            .find("resource-assignments", &eligible)
            .is_empty()
    );
    bench.stop().await;
}

#[tokio::test]
async fn hidden_memberships_are_left_alone_without_the_permission_to_see_them() {
    let bench = Bench::start(SimOptions {
        roles: without("Member.Read.Hidden"),
        ..unlimited()
    })
    .await;
    let hidden: Vec<_> = bench
        .simulator
        .truth()
        .groups
        .iter()
        .filter(|g| g.visibility.as_deref() == Some("HiddenMembership"))
        .map(|g| g.id)
        .collect();
    assert!(!hidden.is_empty(), "the tenant has such groups");
    let report = bench.crawl(bench.config()).await;
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial);
    assert_eq!(
        members.missing_permission.as_deref(),
        Some("Member.Read.Hidden")
    );
    let session = bench.register.session("resource-assignments", &MEMBERS);
    let mut left_out = session.completeness.expect("committed").incomplete_parents;
    left_out.sort();
    assert_eq!(left_out, hidden);
    bench.stop().await;
}

/// What PIM keeps for groups.
const PIM_SCOPES: [[(&str, &str); 2]; 2] = [
    [
        ("assignmentType", "Eligible"),
        ("resourceType", "EntraGroup"),
    ],
    [
        ("assignmentType", "Scheduled"),
        ("resourceType", "EntraGroup"),
    ],
];

#[tokio::test]
async fn without_the_list_of_pim_groups_every_group_that_can_take_part_is_asked() {
    let bench = Bench::start(unlimited()).await;
    let whole = bench.crawl(bench.config()).await;
    let route = RoutePattern::Suffix("/privilegedAccess/group/resources".to_owned());
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 404, "ResourceNotFound"));
    let report = bench.crawl(bench.config()).await;
    for name in ["group eligibility", "group schedules"] {
        let found = line(&report, name);
        assert_eq!(found.status, CollectionStatus::Complete, "{found:#?}");
        assert!(found.read > 0 && found.read == line(&whole, name).read);
        let message = found.message.as_deref().expect("it is said");
        assert!(message.contains("every group that can take part"));
    }
    bench.stop().await;
}

#[tokio::test]
async fn without_any_whole_list_the_role_assignable_groups_are_asked_and_nothing_can_be_removed() {
    let bench = Bench::start(unlimited()).await;
    let faults = bench.simulator.faults();
    let route = RoutePattern::Suffix("/privilegedAccess/group/resources".to_owned());
    faults.add(Fault::status(route, 404, "ResourceNotFound"));
    let groups = RoutePattern::Exact("/groups".to_owned());
    faults.add(Fault::status(groups, 500, "InternalServerError").on_later_pages());
    let report = bench.crawl(bench.config()).await;
    for (name, scope) in ["group eligibility", "group schedules"]
        .into_iter()
        .zip(PIM_SCOPES)
    {
        assert_eq!(line(&report, name).status, CollectionStatus::Partial);
        let session = bench.register.session("resource-assignments", &scope);
        assert!(session.records().count() > 0, "{name}");
        assert!(!session.completeness.expect("committed").complete, "{name}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn an_empty_tenant_is_a_complete_empty_load_and_left_to_the_registers_guard() {
    let bench = Bench::start(unlimited()).await;
    bench.simulator.faults().add(Fault::new(
        RoutePattern::Exact("/users".to_owned()),
        FaultAction::EmptyList,
    ));
    let report = bench.crawl(bench.config()).await;
    assert_eq!(line(&report, "users").read, 0);
    let session = bench
        .register
        .session("principals", &[("principalType", "User")]);
    assert_eq!(session.records().count(), 0);
    assert!(session.completeness.expect("committed").complete);
    bench.stop().await;
}
