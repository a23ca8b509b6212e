//! What a check finds out, and how it is told.

mod command;
mod told;

use crawler_entra::{CrawlConfig, GraphConfig, RegisterConfig, Selection, Tuning};

use crate::support::fake_graph::{Answers, CLIENT_ID, TENANT};

/// The least that reads everything.
pub const EVERYTHING: &[&str] = &[
    "AccessReview.Read.All",
    "AdministrativeUnit.Read.All",
    "Application.Read.All",
    "AuditLog.Read.All",
    "CustomSecAttributeAssignment.Read.All",
    "DelegatedPermissionGrant.Read.All",
    "EntitlementManagement.Read.All",
    "GroupMember.Read.All",
    "LicenseAssignment.Read.All",
    "Member.Read.Hidden",
    "Organization.Read.All",
    "Policy.Read.All",
    "PrivilegedAccess.Read.AzureADGroup",
    "RoleAssignmentSchedule.Read.Directory",
    "RoleEligibilitySchedule.Read.Directory",
    "RoleManagement.Read.Directory",
    "User-LifeCycleInfo.Read.All",
    "User.Read.All",
];

pub fn names(roles: &[&str]) -> Vec<String> {
    roles.iter().map(ToString::to_string).collect()
}

pub fn granted(roles: &[&str]) -> Answers {
    Answers {
        roles: names(roles),
        ..Answers::default()
    }
}

pub fn without(missing: &[&str]) -> Vec<String> {
    let kept = EVERYTHING.iter().filter(|name| !missing.contains(name));
    kept.map(ToString::to_string).collect()
}

/// Asks for everything, of a Graph at this address.
pub fn config(address: &str) -> CrawlConfig {
    let mut graph = GraphConfig::new(
        TENANT,
        CLIENT_ID.to_string(),
        "CANARY_secret".to_owned().into(),
    );
    graph.base_url = address.parse().expect("url");
    graph.login_base_url = graph.base_url.clone();
    let register = RegisterConfig {
        base_url: "https://register.example".parse().expect("url"),
        api_key: "fgc_CANARY".to_owned().into(),
    };
    let mut config = CrawlConfig::new(graph, register);
    config.selection = Selection {
        service_principals: true,
        pim: true,
        ..Selection::default()
    };
    config.custom_user_attributes = names(&["customSecurityAttributes", "employeeLeaveDateTime"]);
    config.tuning = Tuning {
        first_backoff: std::time::Duration::from_millis(1),
        max_backoff: std::time::Duration::from_millis(5),
        ..Tuning::default()
    };
    config
}
