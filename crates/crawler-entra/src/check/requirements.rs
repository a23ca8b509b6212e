//! What each feature needs: the one table of permissions, licences and probes.
//!
//! Permissions come least privileged first; any of a group is enough, one of each group is needed. `crawler-entra check` and
//! `docs/permissions.md` follow this table; what the crawler asks for in a run report can be looked up in it.

use super::feature::{Feature, Licence, Probe, Requirement, SelectedBy};
use crate::graph::Version;

const fn v1(relative: &'static str) -> Probe {
    Probe {
        version: Version::V1,
        relative,
        is_proof: true,
    }
}

const USERS: &[&str] = &[
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const GROUPS: &[&str] = &[
    "GroupMember.Read.All",
    "Group.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const ROLES: &[&str] = &[
    "RoleManagement.Read.Directory",
    "RoleManagement.Read.All",
    "Directory.Read.All",
    "RoleManagement.ReadWrite.Directory",
    "Directory.ReadWrite.All",
];

/// Everything that the crawler can read and what it takes.
pub const REQUIREMENTS: &[Requirement] = &[
    Requirement {
        feature: Feature::Organization,
        title: "Organization",
        permissions: &[&[
            "Organization.Read.All",
            "Organization.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ]],
        licence: None,
        selected_by: SelectedBy::Always,
        probe: Some(v1("organization?$select=id")),
    },
    Requirement {
        feature: Feature::Users,
        title: "Users and guests",
        permissions: &[USERS],
        licence: None,
        selected_by: SelectedBy::Principals,
        probe: Some(v1("users?$top=1&$select=id")),
    },
    Requirement {
        feature: Feature::SignInActivity,
        title: "Sign-in activity",
        permissions: &[&["AuditLog.Read.All"], USERS],
        licence: Some(Licence::P1),
        selected_by: SelectedBy::Principals,
        probe: Some(v1("users?$top=1&$select=id,signInActivity")),
    },
    Requirement {
        feature: Feature::LeaveDate,
        title: "Leave dates of users",
        permissions: &[
            &[
                "User-LifeCycleInfo.Read.All",
                "User-LifeCycleInfo.ReadWrite.All",
            ],
            USERS,
        ],
        licence: None,
        selected_by: SelectedBy::UserAttribute("employeeLeaveDateTime"),
        probe: Some(v1("users?$top=1&$select=id,employeeLeaveDateTime")),
    },
    Requirement {
        feature: Feature::CustomSecurityAttributes,
        title: "Custom security attributes",
        permissions: &[
            &[
                "CustomSecAttributeAssignment.Read.All",
                "CustomSecAttributeAssignment.ReadWrite.All",
            ],
            USERS,
        ],
        licence: None,
        selected_by: SelectedBy::UserAttribute("customSecurityAttributes"),
        probe: Some(Probe {
            version: Version::V1,
            relative: "users?$top=1&$select=id,customSecurityAttributes",
            is_proof: false,
        }),
    },
    Requirement {
        feature: Feature::Licences,
        title: "Product licences",
        permissions: &[&[
            "LicenseAssignment.Read.All",
            "Organization.Read.All",
            "Organization.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ]],
        licence: None,
        selected_by: SelectedBy::Principals,
        probe: Some(v1("subscribedSkus?$select=skuId")),
    },
    Requirement {
        feature: Feature::Groups,
        title: "Groups, members, owners",
        permissions: &[GROUPS],
        licence: None,
        selected_by: SelectedBy::Resources,
        probe: Some(v1("groups?$top=1&$select=id")),
    },
    Requirement {
        feature: Feature::HiddenMembers,
        title: "Hidden group members",
        permissions: &[&["Member.Read.Hidden"], GROUPS],
        licence: None,
        selected_by: SelectedBy::Assignments,
        // Without the permission Graph shows such a group without members: nothing to ask.
        probe: None,
    },
    Requirement {
        feature: Feature::Applications,
        title: "Applications, service principals, app roles",
        permissions: &[&[
            "Application.Read.All",
            "Application.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ]],
        licence: None,
        selected_by: SelectedBy::ServicePrincipals,
        probe: Some(v1("servicePrincipals?$top=1&$select=id")),
    },
    Requirement {
        feature: Feature::DelegatedGrants,
        title: "Delegated grants",
        permissions: &[&[
            "DelegatedPermissionGrant.Read.All",
            "Directory.Read.All",
            "DelegatedPermissionGrant.ReadWrite.All",
            "Directory.ReadWrite.All",
        ]],
        licence: None,
        selected_by: SelectedBy::ServicePrincipals,
        probe: Some(v1("oauth2PermissionGrants?$top=1")),
    },
    Requirement {
        feature: Feature::DirectoryRoles,
        title: "Directory roles and their holders",
        permissions: &[ROLES],
        licence: None,
        selected_by: SelectedBy::Resources,
        probe: Some(v1("roleManagement/directory/roleDefinitions?$select=id")),
    },
    Requirement {
        feature: Feature::RoleEligibility,
        title: "PIM: eligible for directory roles",
        permissions: &[&[
            "RoleEligibilitySchedule.Read.Directory",
            "RoleManagement.Read.Directory",
            "RoleManagement.Read.All",
            "RoleEligibilitySchedule.ReadWrite.Directory",
            "RoleManagement.ReadWrite.Directory",
        ]],
        licence: Some(Licence::Governance),
        selected_by: SelectedBy::Pim,
        probe: Some(v1(
            "roleManagement/directory/roleEligibilityScheduleInstances?$top=1&$select=id",
        )),
    },
    Requirement {
        feature: Feature::RoleSchedules,
        title: "PIM: active directory roles",
        permissions: &[&[
            "RoleAssignmentSchedule.Read.Directory",
            "RoleManagement.Read.Directory",
            "RoleManagement.Read.All",
            "RoleAssignmentSchedule.ReadWrite.Directory",
            "RoleManagement.ReadWrite.Directory",
        ]],
        licence: Some(Licence::Governance),
        selected_by: SelectedBy::Pim,
        probe: Some(v1(
            "roleManagement/directory/roleAssignmentScheduleInstances?$top=1&$select=id",
        )),
    },
    Requirement {
        feature: Feature::GroupPimDiscovery,
        title: "PIM: groups under management",
        permissions: &[&[
            "PrivilegedAccess.Read.AzureADGroup",
            "PrivilegedAccess.ReadWrite.AzureADGroup",
        ]],
        licence: Some(Licence::Governance),
        selected_by: SelectedBy::Pim,
        probe: Some(Probe {
            version: Version::Beta,
            relative: "identityGovernance/privilegedAccess/group/resources?$top=1",
            is_proof: true,
        }),
    },
    Requirement {
        feature: Feature::GroupEligibility,
        title: "PIM: eligible for groups",
        permissions: &[&[
            "PrivilegedEligibilitySchedule.Read.AzureADGroup",
            "PrivilegedAccess.Read.AzureADGroup",
            "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup",
            "PrivilegedAccess.ReadWrite.AzureADGroup",
        ]],
        licence: Some(Licence::Governance),
        selected_by: SelectedBy::Pim,
        probe: Some(v1(
            "identityGovernance/privilegedAccess/group/eligibilityScheduleInstances?$filter=groupId%20eq%20'{group}'",
        )),
    },
    Requirement {
        feature: Feature::GroupSchedules,
        title: "PIM: active in groups",
        permissions: &[&[
            "PrivilegedAssignmentSchedule.Read.AzureADGroup",
            "PrivilegedAccess.Read.AzureADGroup",
            "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
            "PrivilegedAccess.ReadWrite.AzureADGroup",
        ]],
        licence: Some(Licence::Governance),
        selected_by: SelectedBy::Pim,
        probe: Some(v1(
            "identityGovernance/privilegedAccess/group/assignmentScheduleInstances?$filter=groupId%20eq%20'{group}'",
        )),
    },
    Requirement {
        feature: Feature::AdministrativeUnits,
        title: "Administrative units",
        permissions: &[&[
            "AdministrativeUnit.Read.All",
            "AdministrativeUnit.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ]],
        licence: None,
        selected_by: SelectedBy::Contexts,
        probe: Some(v1("directory/administrativeUnits?$top=1&$select=id")),
    },
    Requirement {
        feature: Feature::ScopedRoleMembers,
        title: "Roles in administrative units",
        permissions: &[ROLES],
        licence: None,
        selected_by: SelectedBy::Contexts,
        // Only asked for under one unit.
        probe: None,
    },
    Requirement {
        feature: Feature::EntitlementManagement,
        title: "Entitlement management",
        permissions: &[&[
            "EntitlementManagement.Read.All",
            "EntitlementManagement.ReadWrite.All",
        ]],
        licence: Some(Licence::Governance),
        selected_by: SelectedBy::Governance,
        probe: Some(v1(
            "identityGovernance/entitlementManagement/catalogs?$top=1&$select=id",
        )),
    },
    Requirement {
        feature: Feature::AccessReviews,
        title: "Access reviews",
        permissions: &[&["AccessReview.Read.All", "AccessReview.ReadWrite.All"]],
        licence: Some(Licence::Governance),
        selected_by: SelectedBy::Governance,
        probe: Some(v1(
            "identityGovernance/accessReviews/definitions?$top=1&$select=id",
        )),
    },
    Requirement {
        feature: Feature::ConditionalAccess,
        title: "Conditional access",
        permissions: &[&["Policy.Read.All"]],
        licence: Some(Licence::P1),
        selected_by: SelectedBy::Contexts,
        probe: Some(v1("identity/conditionalAccess/policies?$top=1&$select=id")),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_feature_is_in_the_table_once_and_asks_for_the_least_first() {
        let mut seen = HashSet::new();
        for requirement in REQUIREMENTS {
            assert!(seen.insert(requirement.feature), "{}", requirement.title);
            assert!(requirement.least_privileged().next().is_some());
            for any_of in requirement.permissions {
                let least = any_of.first().expect("a permission");
                assert!(!least.contains("Write"), "{least}");
            }
        }
    }

    /// The nine permissions that the documented crawlers ask for.
    #[test]
    fn the_permissions_of_older_crawlers_all_count() {
        for name in [
            "User.Read.All",
            "Group.Read.All",
            "GroupMember.Read.All",
            "Directory.Read.All",
            "Application.Read.All",
            "PrivilegedEligibilitySchedule.Read.AzureADGroup",
            "EntitlementManagement.Read.All",
            "AccessReview.Read.All",
            "AuditLog.Read.All",
        ] {
            let counts = REQUIREMENTS
                .iter()
                .flat_map(|r| r.permissions)
                .any(|any_of| any_of.contains(&name));
            assert!(counts, "{name}");
        }
    }
}
