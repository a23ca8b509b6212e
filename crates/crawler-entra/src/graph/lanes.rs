//! The lanes to Graph. Its services throttle apart from each other, so each has a pace of its own: what slows one down
//! leaves the others alone.

use url::Url;

use super::lane::Lane;
use crate::Tuning;

/// A service of Graph that throttles by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Workload {
    /// Users, groups, service principals and all else in the directory: counted in resource units.
    Directory,
    /// Sign-in activity and audit logs: five requests in ten seconds.
    Reports,
    /// PIM, entitlement management and access reviews: no published limits, few at once.
    Governance,
    /// Conditional access: one request a second for all applications of the tenant together.
    Policy,
}

impl Workload {
    /// The workload that answers an address, by its path below the version and its query.
    pub fn of(path: &str, query: &str) -> Self {
        let path = path.to_ascii_lowercase();
        let is_below = |root: &str| path.trim_start_matches('/').starts_with(root);
        if is_below("identity/conditionalaccess") || is_below("identityprotection") {
            Self::Policy
        } else if is_below("auditlogs") || is_below("reports") || query.contains("signInActivity") {
            Self::Reports
        } else if is_below("identitygovernance") || is_below("rolemanagement") {
            Self::Governance
        } else {
            Self::Directory
        }
    }
}

/// All lanes.
pub(super) struct Lanes {
    directory: Lane,
    reports: Lane,
    governance: Lane,
    policy: Lane,
}

/// More than these at once have brought gateway timeouts in governance.
const GOVERNANCE_IN_FLIGHT: usize = 4;

impl Lanes {
    pub fn new(tuning: &Tuning) -> Self {
        let units = tuning.resource_units_per_10_s;
        Self {
            directory: Lane::new(units, tuning.in_flight),
            reports: Lane::of_requests(tuning.report_requests_per_10_s, 1),
            governance: Lane::new(units, tuning.in_flight.min(GOVERNANCE_IN_FLIGHT)),
            policy: Lane::of_requests(tuning.policy_requests_per_10_s, 1),
        }
    }

    /// The lane of a workload.
    pub fn of(&self, workload: Workload) -> &Lane {
        match workload {
            Workload::Directory => &self.directory,
            Workload::Reports => &self.reports,
            Workload::Governance => &self.governance,
            Workload::Policy => &self.policy,
        }
    }
}

/// The workload of an address with a version in its path, wherever Graph is.
pub(super) fn workload_of(url: &Url) -> Workload {
    let path = url.path();
    let below = ["/v1.0/", "/beta/"]
        .iter()
        .find_map(|version| path.split_once(version))
        .map_or(path, |(_, below)| below);
    Workload::of(below, url.query().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_workload_has_its_lane() {
        for (address, workload) in [
            (
                "https://g.example/v1.0/users?$select=id",
                Workload::Directory,
            ),
            (
                "https://g.example/v1.0/users?$select=id,signInActivity&$top=500",
                Workload::Reports,
            ),
            (
                "https://g.example/base/beta/identityGovernance/privilegedAccess/group/resources",
                Workload::Governance,
            ),
            (
                "https://g.example/v1.0/roleManagement/directory/roleAssignments",
                Workload::Governance,
            ),
            (
                "https://g.example/v1.0/identity/conditionalAccess/policies",
                Workload::Policy,
            ),
            (
                "https://g.example/v1.0/auditLogs/directoryAudits",
                Workload::Reports,
            ),
        ] {
            let url = address.parse().expect("an address");
            assert_eq!(workload_of(&url), workload, "{address}");
        }
    }
}
