//! What a crawl of the tenant must end up with: plain data, computed from the
//! model and independent of the code that renders HTTP answers.

use serde::Serialize;
use uuid::Uuid;

use crate::model::{
    AdministrativeUnit, AppRoleAssignment, Application, ConditionalAccessPolicy, DeletedUser,
    Domain, FederatedCredential, Governance, Group, GroupEligibility, LinkMap, MemberKind,
    NamedLocation, PermissionGrant, RoleAssignment, RoleDefinition, RoleEligibility,
    ServicePrincipal, Tenant, User,
};

/// A user as the tenant knows it.
pub type TruthUser = User;
/// A group as the tenant knows it.
pub type TruthGroup = Group;
/// A service principal as the tenant knows it.
pub type TruthServicePrincipal = ServicePrincipal;
/// An application registration as the tenant knows it.
pub type TruthApplication = Application;
/// An app role assignment as the tenant knows it.
pub type TruthAppRoleAssignment = AppRoleAssignment;
/// A delegated grant as the tenant knows it.
pub type TruthPermissionGrant = PermissionGrant;
/// A role definition as the tenant knows it.
pub type TruthRole = RoleDefinition;
/// An active role assignment as the tenant knows it.
pub type TruthRoleAssignment = RoleAssignment;
/// A role eligibility as the tenant knows it.
pub type TruthRoleEligibility = RoleEligibility;
/// A group eligibility as the tenant knows it.
pub type TruthGroupEligibility = GroupEligibility;
/// An administrative unit as the tenant knows it.
pub type TruthAdministrativeUnit = AdministrativeUnit;

/// A member or owner of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TruthLink {
    /// The group.
    pub group_id: Uuid,
    /// The member or owner.
    pub member_id: Uuid,
    /// What the member or owner is.
    pub member_kind: MemberKind,
}

/// An owner of a service principal or an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TruthOwner {
    /// The service principal or application.
    pub object_id: Uuid,
    /// Its owner.
    pub owner_id: Uuid,
    /// What the owner is.
    pub owner_kind: MemberKind,
}

/// A federated credential of an application.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthFederatedCredential {
    /// The application's object id.
    pub application_id: Uuid,
    /// The credential.
    pub credential: FederatedCredential,
}

/// A user or group in an administrative unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TruthUnitMember {
    /// The unit.
    pub unit_id: Uuid,
    /// Who is in it.
    pub member_id: Uuid,
    /// What that is.
    pub member_kind: MemberKind,
}

/// The whole tenant as plain lists, each ordered by id.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// Tenant id.
    pub tenant_id: Uuid,
    /// All users.
    pub users: Vec<TruthUser>,
    /// All groups.
    pub groups: Vec<TruthGroup>,
    /// All service principals.
    pub service_principals: Vec<TruthServicePrincipal>,
    /// All application registrations.
    pub applications: Vec<TruthApplication>,
    /// All administrative units.
    pub administrative_units: Vec<TruthAdministrativeUnit>,
    /// All direct group memberships.
    pub members: Vec<TruthLink>,
    /// All group ownerships.
    pub owners: Vec<TruthLink>,
    /// All ownerships of service principals.
    pub service_principal_owners: Vec<TruthOwner>,
    /// All ownerships of applications.
    pub application_owners: Vec<TruthOwner>,
    /// All app role assignments.
    pub app_role_assignments: Vec<TruthAppRoleAssignment>,
    /// All delegated grants.
    pub permission_grants: Vec<TruthPermissionGrant>,
    /// All federated credentials.
    pub federated_credentials: Vec<TruthFederatedCredential>,
    /// All sponsors of agents.
    pub sponsors: Vec<TruthOwner>,
    /// All role definitions.
    pub roles: Vec<TruthRole>,
    /// All active role assignments.
    pub role_assignments: Vec<TruthRoleAssignment>,
    /// All role eligibilities.
    pub role_eligibilities: Vec<TruthRoleEligibility>,
    /// All group eligibilities.
    pub group_eligibilities: Vec<TruthGroupEligibility>,
    /// Groups onboarded to PIM for Groups.
    pub pim_groups: Vec<Uuid>,
    /// Entitlement management, access reviews, activations.
    pub governance: Governance,
    /// Users and groups in administrative units.
    pub unit_members: Vec<TruthUnitMember>,
    /// Users in the recycle bin.
    pub deleted_users: Vec<DeletedUser>,
    /// Conditional access policies.
    pub conditional_access_policies: Vec<ConditionalAccessPolicy>,
    /// Named locations.
    pub named_locations: Vec<NamedLocation>,
    /// Domain names.
    pub domains: Vec<Domain>,
}

impl Tenant {
    /// The tenant as plain lists.
    pub fn truth(&self) -> Truth {
        Truth {
            tenant_id: self.tenant_id,
            users: self.users.values().cloned().collect(),
            groups: self.groups.values().cloned().collect(),
            service_principals: self.service_principals.values().cloned().collect(),
            applications: self.applications.values().cloned().collect(),
            administrative_units: self.administrative_units.values().cloned().collect(),
            members: group_links(&self.members),
            owners: group_links(&self.owners),
            service_principal_owners: object_owners(&self.service_principal_owners),
            application_owners: object_owners(&self.application_owners),
            app_role_assignments: self.app_access.assignments.values().cloned().collect(),
            permission_grants: self.app_access.grants.values().cloned().collect(),
            federated_credentials: federated_credentials(self),
            sponsors: object_owners(&self.app_access.sponsors),
            roles: self.role_definitions.values().cloned().collect(),
            role_assignments: self.role_assignments.values().cloned().collect(),
            role_eligibilities: self.role_eligibilities.values().cloned().collect(),
            group_eligibilities: self.group_eligibilities.values().cloned().collect(),
            pim_groups: self.pim_groups.iter().copied().collect(),
            governance: self.governance.clone(),
            unit_members: unit_members(&self.unit_members),
            deleted_users: self.deleted_users.values().cloned().collect(),
            conditional_access_policies: self
                .conditional_access_policies
                .values()
                .cloned()
                .collect(),
            named_locations: self.named_locations.values().cloned().collect(),
            domains: self.domains.clone(),
        }
    }
}

pub(crate) fn group_links(links: &LinkMap) -> Vec<TruthLink> {
    links
        .iter()
        .map(|(group_id, link)| TruthLink {
            group_id,
            member_id: link.id,
            member_kind: link.kind,
        })
        .collect()
}

fn object_owners(links: &LinkMap) -> Vec<TruthOwner> {
    links
        .iter()
        .map(|(object_id, link)| TruthOwner {
            object_id,
            owner_id: link.id,
            owner_kind: link.kind,
        })
        .collect()
}

fn federated_credentials(tenant: &Tenant) -> Vec<TruthFederatedCredential> {
    let known = tenant.app_access.federated_credentials.iter();
    known
        .map(
            |((application_id, _), credential)| TruthFederatedCredential {
                application_id: *application_id,
                credential: credential.clone(),
            },
        )
        .collect()
}

pub(crate) fn unit_members(links: &LinkMap) -> Vec<TruthUnitMember> {
    links
        .iter()
        .map(|(unit_id, link)| TruthUnitMember {
            unit_id,
            member_id: link.id,
            member_kind: link.kind,
        })
        .collect()
}
