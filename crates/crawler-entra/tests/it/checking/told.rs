//! The text for people in the situations that matter, compared with files, and the words behind it.
//!
//! `CADASTRE_WRITE_EXPECTED=1` writes the files instead; read the difference before you commit it.

use std::{collections::BTreeMap, path::Path};

use crawler_entra::{
    CrawlConfig, check,
    check::{CheckOutcome, CheckReport, Feature, FeatureStatus, render},
    config::{Cloud, Credential, ManagedIdentity, ManagedIdentityEndpoint},
};
use graph_sim::SimOptions;

use super::{EVERYTHING, config, granted, names, without};
use crate::support::{
    Bench,
    fake_graph::{Answers, FakeGraph},
    unlimited,
};

const P2_MISSING: (u16, &str) = (400, "AadPremiumLicenseRequired");
const NO_SUCH_PATH: (u16, &str) = (404, "BadRequest");
const DENIED: (u16, &str) = (403, "Authorization_RequestDenied");

async fn checked(graph: &FakeGraph, change: impl FnOnce(&mut CrawlConfig)) -> CheckReport {
    let mut config = config(&graph.address);
    change(&mut config);
    check(&config).await.expect("the check is made")
}

/// Compares with a file; addresses differ from run to run.
fn assert_told(name: &str, graph: &FakeGraph, report: &CheckReport) {
    let told = render(report).replace(&graph.address, "http://graph.example");
    assert_expected(&format!("tests/it/checking/expected/{name}.txt"), &told);
}

fn assert_expected(relative: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    if std::env::var_os("CADASTRE_WRITE_EXPECTED").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("the file is written");
    }
    let expected = std::fs::read_to_string(&path).expect("the expected text exists");
    assert_eq!(text, expected, "{relative}");
}

fn status(report: &CheckReport, feature: Feature) -> FeatureStatus {
    let found = report.features.iter().find(|f| f.feature == feature);
    found.expect("each feature is in the report").status
}

#[tokio::test]
async fn everything_granted() {
    let graph = FakeGraph::start(granted(EVERYTHING)).await;
    let report = checked(&graph, |_| {}).await;
    assert_eq!(report.outcome, CheckOutcome::Ready);
    assert_told("all-granted", &graph, &report);
}

#[tokio::test]
async fn two_permissions_missing() {
    let missing = ["AuditLog.Read.All", "EntitlementManagement.Read.All"];
    let graph = FakeGraph::start(Answers {
        roles: without(&missing),
        refusals: BTreeMap::from([("identityGovernance/entitlementManagement", DENIED)]),
        property_refusals: BTreeMap::from([(
            "signInActivity",
            (403, "Authentication_MSGraphPermissionMissing"),
        )]),
        ..Answers::default()
    })
    .await;
    let report = checked(&graph, |_| {}).await;
    assert_eq!(report.outcome, CheckOutcome::Missing);
    assert_eq!(report.permissions_to_grant(), missing);
    assert_told("two-missing", &graph, &report);
}

#[tokio::test]
async fn a_token_without_any_permission() {
    let graph = FakeGraph::start(Answers {
        refusals: BTreeMap::from([("", DENIED)]),
        ..Answers::default()
    })
    .await;
    let report = checked(&graph, |_| {}).await;
    assert!(report.has_no_roles());
    assert_eq!(report.outcome, CheckOutcome::Missing);
    assert_told("no-roles", &graph, &report);
}

#[tokio::test]
async fn no_p2_licence() {
    let graph = FakeGraph::start(Answers {
        refusals: BTreeMap::from([
            ("roleManagement/directory/roleEligibility", P2_MISSING),
            (
                "roleManagement/directory/roleAssignmentSchedule",
                P2_MISSING,
            ),
            ("identityGovernance", P2_MISSING),
        ]),
        ..granted(EVERYTHING)
    })
    .await;
    let report = checked(&graph, |_| {}).await;
    assert_eq!(
        status(&report, Feature::AccessReviews),
        FeatureStatus::Unlicensed
    );
    assert_eq!(report.permissions_to_grant(), [""; 0]);
    assert_told("no-p2", &graph, &report);
}

#[tokio::test]
async fn the_cloud_in_china_lacks_some_workloads() {
    let graph = FakeGraph::start(Answers {
        refusals: BTreeMap::from([
            ("identityGovernance/entitlementManagement", NO_SUCH_PATH),
            ("identityGovernance/accessReviews", NO_SUCH_PATH),
            (
                "identityGovernance/privilegedAccess",
                (501, "NotImplemented"),
            ),
            ("identity/conditionalAccess", (400, "BadRequest")),
        ]),
        ..granted(EVERYTHING)
    })
    .await;
    let report = checked(&graph, |config| config.graph.cloud = Cloud::China).await;
    assert_eq!(
        status(&report, Feature::EntitlementManagement),
        FeatureStatus::Unavailable
    );
    assert_told("china", &graph, &report);
}

#[tokio::test]
async fn a_managed_identity_whose_token_is_older_than_the_grant() {
    let graph = FakeGraph::start(Answers {
        roles: names(&[
            "Application.Read.All",
            "User.Read.All",
            "Organization.Read.All",
        ]),
        assigned: Some(names(EVERYTHING)),
        refusals: BTreeMap::from([
            ("groups", DENIED),
            ("directory/", DENIED),
            ("roleManagement", DENIED),
            ("identity", DENIED),
        ]),
        ..Answers::default()
    })
    .await;
    let report = checked(&graph, |config| {
        config.graph.credential = Credential::ManagedIdentity(ManagedIdentity {
            id: None,
            endpoint: ManagedIdentityEndpoint::Imds(graph.address.parse().expect("url")),
        });
        // The token says who it is.
        config.graph.client_id = String::new();
    })
    .await;
    assert_eq!(status(&report, Feature::Groups), FeatureStatus::StaleToken);
    assert_eq!(report.permissions_to_grant(), [""; 0]);
    assert_told("stale-managed-identity", &graph, &report);
}

#[tokio::test]
async fn what_is_not_selected_is_shown_and_does_not_count() {
    let graph = FakeGraph::start(Answers {
        roles: names(&["Directory.ReadWrite.All", "AuditLog.Read.All"]),
        refusals: BTreeMap::from([("identity", DENIED)]),
        ..Answers::default()
    })
    .await;
    let report = checked(&graph, |config| {
        config.selection.governance = false;
        config.selection.pim = false;
        config.selection.contexts = false;
        config.selection.assignments = false;
        config.custom_user_attributes.clear();
    })
    .await;
    assert_eq!(report.outcome, CheckOutcome::Ready);
    assert_eq!(
        status(&report, Feature::AccessReviews),
        FeatureStatus::Missing
    );
    assert_eq!(report.grants.can_write, ["Directory.ReadWrite.All"]);
    assert_told("not-selected", &graph, &report);
}

#[tokio::test]
async fn a_graph_that_does_not_answer_leaves_the_check_undecided() {
    let graph = FakeGraph::start(Answers {
        refusals: BTreeMap::from([("users", (500, "InternalServerError"))]),
        ..granted(EVERYTHING)
    })
    .await;
    let report = checked(&graph, |_| {}).await;
    assert_eq!(report.outcome, CheckOutcome::Undecided);
    assert_eq!(status(&report, Feature::Users), FeatureStatus::Unknown);
}

#[tokio::test]
async fn a_check_of_the_simulator_agrees_with_what_it_grants() {
    let features = [
        Feature::Organization,
        Feature::Users,
        Feature::SignInActivity,
        Feature::Licences,
        Feature::Groups,
        Feature::HiddenMembers,
        Feature::Applications,
        Feature::DirectoryRoles,
        Feature::RoleEligibility,
        Feature::RoleSchedules,
        Feature::GroupPimDiscovery,
        Feature::GroupEligibility,
    ];
    let bench = Bench::start(unlimited()).await;
    let report = check(&bench.config()).await.expect("the check is made");
    for feature in features {
        assert_eq!(
            status(&report, feature),
            FeatureStatus::Granted,
            "{feature:?}"
        );
    }
    let mut assigned = report.grants.assigned.clone().expect("readable");
    let mut granted = names(graph_sim::permissions::ALL);
    assigned.sort();
    granted.sort();
    assert_eq!(assigned, granted);

    bench.simulator.set_roles(names(&["Application.Read.All"]));
    bench
        .simulator
        .set_assigned_roles(Some(names(&["Application.Read.All", "User.Read.All"])));
    let report = check(&bench.config()).await.expect("the check is made");
    assert_eq!(report.grants.not_in_token, ["User.Read.All"]);
    for (feature, expected) in [
        (Feature::Applications, FeatureStatus::Granted),
        (Feature::Users, FeatureStatus::StaleToken),
        (Feature::Groups, FeatureStatus::Missing),
        (Feature::RoleEligibility, FeatureStatus::Missing),
    ] {
        assert_eq!(status(&report, feature), expected, "{feature:?}");
    }
    bench.stop().await;

    let bench = Bench::start(SimOptions {
        p2_licensed: false,
        ..unlimited()
    })
    .await;
    let report = check(&bench.config()).await.expect("the check is made");
    for feature in [Feature::RoleEligibility, Feature::GroupEligibility] {
        assert_eq!(
            status(&report, feature),
            FeatureStatus::Unlicensed,
            "{feature:?}"
        );
    }
    bench.stop().await;
}

#[test]
fn the_page_about_permissions_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/permissions.md");
    let page = std::fs::read_to_string(&path).expect("the page exists");
    let (begin, end) = ("<!-- table: begin -->\n\n", "\n<!-- table: end -->");
    let (before, rest) = page.split_once(begin).expect("the table begins");
    let (shown, after) = rest.split_once(end).expect("the table ends");
    let expected = check::permissions_table();
    if std::env::var_os("CADASTRE_WRITE_EXPECTED").is_some() {
        let text = format!("{before}{begin}{expected}{end}{after}");
        std::fs::write(&path, text).expect("the page is written");
    } else {
        assert_eq!(shown, expected, "docs/permissions.md");
    }
}
