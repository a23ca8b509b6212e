//! Application permissions (app roles of Microsoft Graph) and which of them
//! open which door.

/// Every permission the simulator knows about, least-privileged ones only.
pub const ALL: &[&str] = &[
    "User.Read.All",
    "User-LifeCycleInfo.Read.All",
    "AuditLog.Read.All",
    "GroupMember.Read.All",
    "Group.Read.All",
    "Member.Read.Hidden",
    "Application.Read.All",
    "AgentIdentity.Read.All",
    "Directory.Read.All",
    "RoleManagement.Read.Directory",
    "RoleEligibilitySchedule.Read.Directory",
    "RoleAssignmentSchedule.Read.Directory",
    "PrivilegedAccess.Read.AzureADGroup",
    "PrivilegedEligibilitySchedule.Read.AzureADGroup",
    "PrivilegedAssignmentSchedule.Read.AzureADGroup",
    "AdministrativeUnit.Read.All",
    "Organization.Read.All",
    "LicenseAssignment.Read.All",
    "EntitlementManagement.Read.All",
    "AccessReview.Read.All",
    "CustomSecAttributeAssignment.Read.All",
    "CustomSecAttributeDefinition.Read.All",
    "Domain.Read.All",
    "Policy.Read.All",
];

pub(crate) const USERS: &[&str] = &[
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const GROUPS: &[&str] = &[
    "GroupMember.Read.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const HIDDEN_MEMBERS: &[&str] = &["Member.Read.Hidden"];
pub(crate) const APPLICATIONS: &[&str] = &[
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const ORGANIZATION: &[&str] = &[
    "Organization.Read.All",
    "Organization.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const LICENSES: &[&str] = &[
    "LicenseAssignment.Read.All",
    "Organization.Read.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
/// Delegated grants.
pub(crate) const GRANTS: &[&str] = &[
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "DelegatedPermissionGrant.Read.All",
    "DelegatedPermissionGrant.ReadWrite.All",
];
/// What only agent identities have.
pub(crate) const AGENT_IDENTITIES: &[&str] = &[
    "AgentIdentity.Read.All",
    "AgentIdentity.ReadWrite.All",
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const ROLES: &[&str] = &[
    "RoleManagement.Read.Directory",
    "RoleManagement.Read.All",
    "RoleManagement.ReadWrite.Directory",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const ROLE_ELIGIBILITY: &[&str] = &[
    "RoleEligibilitySchedule.Read.Directory",
    "RoleManagement.Read.Directory",
    "RoleManagement.Read.All",
    "RoleManagement.ReadWrite.Directory",
];
pub(crate) const ROLE_SCHEDULES: &[&str] = &[
    "RoleAssignmentSchedule.Read.Directory",
    "RoleManagement.Read.Directory",
    "RoleManagement.Read.All",
    "RoleManagement.ReadWrite.Directory",
];
pub(crate) const GROUP_ELIGIBILITY: &[&str] = &[
    "PrivilegedEligibilitySchedule.Read.AzureADGroup",
    "PrivilegedAccess.Read.AzureADGroup",
    "PrivilegedAccess.ReadWrite.AzureADGroup",
];
pub(crate) const PIM_GROUPS: &[&str] = &[
    "PrivilegedAccess.Read.AzureADGroup",
    "PrivilegedAccess.ReadWrite.AzureADGroup",
];
pub(crate) const GROUP_ASSIGNMENTS: &[&str] = &[
    "PrivilegedAssignmentSchedule.Read.AzureADGroup",
    "PrivilegedAccess.Read.AzureADGroup",
    "PrivilegedAccess.ReadWrite.AzureADGroup",
];
pub(crate) const ENTITLEMENTS: &[&str] = &[
    "EntitlementManagement.Read.All",
    "EntitlementManagement.ReadWrite.All",
];
pub(crate) const REVIEWS: &[&str] = &["AccessReview.Read.All", "AccessReview.ReadWrite.All"];
/// Any of these lets a caller resolve ids; what it sees depends on the type.
pub(crate) const ANY_OBJECT: &[&str] = &[
    "User.Read.All",
    "GroupMember.Read.All",
    "Group.Read.All",
    "Application.Read.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const SIGN_IN_ACTIVITY: &[&str] = &["AuditLog.Read.All"];
pub(crate) const LEAVE_DATE: &[&str] = &[
    "User-LifeCycleInfo.Read.All",
    "User-LifeCycleInfo.ReadWrite.All",
];

pub(crate) const ADMINISTRATIVE_UNITS: &[&str] = &[
    "AdministrativeUnit.Read.All",
    "AdministrativeUnit.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(crate) const CONDITIONAL_ACCESS: &[&str] =
    &["Policy.Read.All", "Policy.Read.ConditionalAccess"];
pub(crate) const DOMAINS: &[&str] = &[
    "Domain.Read.All",
    "Domain.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
/// Directory.Read.All is not enough.
pub(crate) const SECURITY_ATTRIBUTES: &[&str] = &[
    "CustomSecAttributeAssignment.Read.All",
    "CustomSecAttributeAssignment.ReadWrite.All",
];
pub(crate) const SECURITY_ATTRIBUTE_DEFINITIONS: &[&str] = &[
    "CustomSecAttributeDefinition.Read.All",
    "CustomSecAttributeDefinition.ReadWrite.All",
];

/// The permissions of one token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants(Vec<String>);

impl Grants {
    pub(crate) fn new(roles: Vec<String>) -> Self {
        Self(roles)
    }

    pub(crate) fn has_any(&self, wanted: &[&str]) -> bool {
        self.0.iter().any(|role| wanted.contains(&role.as_str()))
    }
}
