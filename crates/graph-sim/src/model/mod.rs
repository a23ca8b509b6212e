//! The simulated tenant as plain data: objects by id, links by the object they
//! start from. Nothing here knows how Graph renders it.
//!
//! All maps are ordered by id, so pages, truth and changes come out in the same
//! order every time.

mod app_access;
mod governance;
mod group;
mod link;
mod policy;
mod review;
mod role;
mod service_principal;
mod unit;
mod user;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use app_access::{
    AppAccess, AppRoleAssignment, FederatedCredential, PermissionGrant, RequestedAccess,
};
pub use governance::{
    AccessPackage, Approver, Catalog, CatalogRole, Governance, GovernanceRole, GroupAssignment,
    PackageAssignment, PackageGrant, PackagePolicy, PackageRequest, PackageRole,
};
pub use group::Group;
pub use link::{Link, LinkMap, MemberKind};
pub use policy::{
    ConditionalAccessPolicy, DeletedUser, Domain, NamedLocation, Place, SecurityAttributes,
};
pub use review::{AccessReview, ReviewDecision, ReviewInstance, ReviewTarget};
pub use role::{
    AssignmentType, GroupAccess, GroupEligibility, RoleAssignment, RoleDefinition, RoleEligibility,
};
pub use service_principal::{
    AppRole, Application, Credential, ServicePrincipal, ServicePrincipalClass, ServicePrincipalType,
};
pub use unit::AdministrativeUnit;
pub use user::{License, OnPremises, SignInActivity, User, UserType};

/// A whole tenant. The fields are open so that a test can set up any situation;
/// prefer the methods for removals, which also remove the links.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Tenant id.
    pub tenant_id: Uuid,
    /// Seed it was generated from.
    pub seed: u64,
    /// Name of the organisation.
    pub display_name: String,
    /// `….onmicrosoft.com` domain.
    pub initial_domain: String,
    /// Default domain.
    pub default_domain: String,
    /// When the tenant was created.
    pub created: DateTime<Utc>,
    /// Users by id.
    pub users: BTreeMap<Uuid, User>,
    /// Groups by id.
    pub groups: BTreeMap<Uuid, Group>,
    /// Service principals by id.
    pub service_principals: BTreeMap<Uuid, ServicePrincipal>,
    /// Application registrations by id.
    pub applications: BTreeMap<Uuid, Application>,
    /// Administrative units by id.
    pub administrative_units: BTreeMap<Uuid, AdministrativeUnit>,
    /// Users and groups by administrative unit.
    pub unit_members: LinkMap,
    /// Users in the recycle bin, by id.
    pub deleted_users: BTreeMap<Uuid, DeletedUser>,
    /// Conditional access policies by id.
    pub conditional_access_policies: BTreeMap<Uuid, ConditionalAccessPolicy>,
    /// Named locations by id.
    pub named_locations: BTreeMap<Uuid, NamedLocation>,
    /// Domain names.
    pub domains: Vec<Domain>,
    /// Members by group.
    pub members: LinkMap,
    /// Owners by group.
    pub owners: LinkMap,
    /// Owners by service principal.
    pub service_principal_owners: LinkMap,
    /// Owners by application.
    pub application_owners: LinkMap,
    /// App role assignments, delegated grants, federated credentials, sponsors.
    pub app_access: AppAccess,
    /// Role definitions by id.
    pub role_definitions: BTreeMap<Uuid, RoleDefinition>,
    /// Active role assignments by id.
    pub role_assignments: BTreeMap<String, RoleAssignment>,
    /// Role eligibilities by schedule id.
    pub role_eligibilities: BTreeMap<Uuid, RoleEligibility>,
    /// Group eligibilities by instance id, hence grouped by group.
    pub group_eligibilities: BTreeMap<String, GroupEligibility>,
    /// Groups onboarded to PIM for Groups.
    pub pim_groups: BTreeSet<Uuid>,
    /// Entitlement management, access reviews, activations.
    pub governance: Governance,
}

impl Tenant {
    /// What an object id stands for.
    pub fn kind_of(&self, id: Uuid) -> Option<MemberKind> {
        if self.users.contains_key(&id) {
            Some(MemberKind::User)
        } else if self.groups.contains_key(&id) {
            Some(MemberKind::Group)
        } else if self.service_principals.contains_key(&id) {
            Some(MemberKind::ServicePrincipal)
        } else {
            None
        }
    }

    /// The link that points at an existing object.
    pub fn link_to(&self, id: Uuid) -> Option<Link> {
        self.kind_of(id).map(|kind| Link { id, kind })
    }

    /// Adds a member; `false` when either object is missing or the link exists.
    pub fn add_member(&mut self, group_id: Uuid, member_id: Uuid) -> bool {
        match self.link_to(member_id) {
            Some(link) if self.groups.contains_key(&group_id) => self.members.add(group_id, link),
            _ => false,
        }
    }

    /// Removes a member; `false` when there was no such link.
    pub fn remove_member(&mut self, group_id: Uuid, member_id: Uuid) -> bool {
        self.members.remove(group_id, member_id)
    }

    /// Adds a group owner; `false` when either object is missing or the link exists.
    pub fn add_owner(&mut self, group_id: Uuid, owner_id: Uuid) -> bool {
        match self.link_to(owner_id) {
            Some(link) if self.groups.contains_key(&group_id) => self.owners.add(group_id, link),
            _ => false,
        }
    }

    /// Removes a group owner; `false` when there was no such link.
    pub fn remove_owner(&mut self, group_id: Uuid, owner_id: Uuid) -> bool {
        self.owners.remove(group_id, owner_id)
    }

    /// Deletes users, groups, service principals and applications together with
    /// everything that refers to them.
    pub fn remove_objects(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        let gone: HashSet<Uuid> = ids.into_iter().collect();
        if gone.is_empty() {
            return;
        }
        self.recycle(&gone);
        self.users.retain(|id, _| !gone.contains(id));
        self.groups.retain(|id, _| !gone.contains(id));
        self.service_principals.retain(|id, _| !gone.contains(id));
        self.applications.retain(|id, _| !gone.contains(id));
        for user in self.users.values_mut() {
            if user.manager_id.is_some_and(|id| gone.contains(&id)) {
                user.manager_id = None;
            }
            user.licenses.retain(|license| {
                license
                    .assigned_by_group
                    .is_none_or(|id| !gone.contains(&id))
            });
        }
        for links in [
            &mut self.members,
            &mut self.owners,
            &mut self.service_principal_owners,
            &mut self.application_owners,
            &mut self.unit_members,
        ] {
            links.forget(&gone);
        }
        self.app_access.forget(&gone);
        for policy in self.conditional_access_policies.values_mut() {
            policy.include_groups.retain(|id| !gone.contains(id));
            policy.exclude_users.retain(|id| !gone.contains(id));
        }
        self.role_assignments
            .retain(|_, assignment| !gone.contains(&assignment.principal_id));
        self.role_eligibilities
            .retain(|_, eligibility| !gone.contains(&eligibility.principal_id));
        self.group_eligibilities.retain(|_, eligibility| {
            !gone.contains(&eligibility.principal_id) && !gone.contains(&eligibility.group_id)
        });
        self.pim_groups.retain(|id| !gone.contains(id));
        self.governance.forget(&gone);
    }

    /// Puts the users among these into the recycle bin, each a little later than the one before.
    fn recycle(&mut self, gone: &HashSet<Uuid>) {
        for id in gone.iter().collect::<BTreeSet<_>>() {
            let Some(user) = self.users.get(id) else {
                continue;
            };
            let place = i64::try_from(self.deleted_users.len()).unwrap_or(0);
            let deleted = DeletedUser {
                id: *id,
                deleted: recycling_day() + chrono::TimeDelta::minutes(place),
                display_name: user.display_name.clone(),
                user_principal_name: user.user_principal_name.clone(),
                mail: user.mail.clone(),
                user_type: user.user_type.as_str(),
                employee_id: user.employee_id.clone(),
            };
            self.deleted_users.insert(*id, deleted);
        }
    }

    /// Removes an administrative unit, its members' links to it, and the roles held in it.
    pub fn remove_unit(&mut self, id: Uuid) {
        let scope = format!("/administrativeUnits/{id}");
        self.administrative_units.remove(&id);
        self.unit_members.forget(&HashSet::from([id]));
        self.role_assignments
            .retain(|_, held| held.directory_scope_id != scope);
        self.role_eligibilities
            .retain(|_, held| held.directory_scope_id != scope);
    }

    /// The eligibilities of one group, without looking at those of others.
    pub fn eligibilities_of_group(
        &self,
        group_id: Uuid,
    ) -> impl Iterator<Item = &GroupEligibility> + '_ {
        self.group_eligibilities
            .range(format!("{group_id}_")..)
            .map(|(_, eligibility)| eligibility)
            .take_while(move |eligibility| eligibility.group_id == group_id)
    }

    /// Every reference that points at nothing, in words. Empty for a sound tenant.
    pub fn inconsistencies(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, from: String, id: Uuid, kind: MemberKind| {
            if self.kind_of(id) != Some(kind) {
                found.push(format!(
                    "{what} of {from} refers to {id}, which is no {kind:?}"
                ));
            }
        };
        for (what, links) in [
            ("member", &self.members),
            ("owner", &self.owners),
            ("service principal owner", &self.service_principal_owners),
            ("application owner", &self.application_owners),
            ("unit member", &self.unit_members),
        ] {
            for (from, link) in links.iter() {
                check(what, from.to_string(), link.id, link.kind);
            }
        }
        for user in self.users.values() {
            if let Some(manager) = user.manager_id {
                check("manager", user.id.to_string(), manager, MemberKind::User);
            }
        }
        for held in self.role_assignments.values() {
            check(
                "holder",
                held.id.clone(),
                held.principal_id,
                held.principal_kind,
            );
        }
        for held in self.role_eligibilities.values() {
            check(
                "eligible",
                held.id.to_string(),
                held.principal_id,
                held.principal_kind,
            );
        }
        for held in self.group_eligibilities.values() {
            check(
                "eligible",
                held.id.clone(),
                held.principal_id,
                held.principal_kind,
            );
            check("group", held.id.clone(), held.group_id, MemberKind::Group);
        }
        for (group_id, _) in self.members.iter().chain(self.owners.iter()) {
            if !self.groups.contains_key(&group_id) {
                found.push(format!("links start from {group_id}, which is no group"));
            }
        }
        for (unit_id, _) in self.unit_members.iter() {
            if !self.administrative_units.contains_key(&unit_id) {
                found.push(format!("links start from {unit_id}, which is no unit"));
            }
        }
        for id in self.deleted_users.keys() {
            if self.users.contains_key(id) {
                found.push(format!("user {id} is in the recycle bin and alive"));
            }
        }
        found.extend(self.dangling_policies());
        found.extend(self.dangling_roles());
        found.extend(self.dangling_app_access());
        found.extend(self.governance.inconsistencies(self));
        found
    }

    fn dangling_policies(&self) -> impl Iterator<Item = String> + '_ {
        self.conditional_access_policies
            .values()
            .filter_map(|policy| {
                let is_sound = policy
                    .include_groups
                    .iter()
                    .all(|id| self.groups.contains_key(id))
                    && policy
                        .exclude_users
                        .iter()
                        .all(|id| self.users.contains_key(id))
                    && policy
                        .exclude_locations
                        .iter()
                        .all(|id| self.named_locations.contains_key(id));
                (!is_sound).then(|| format!("policy {} names what is not there", policy.id))
            })
    }

    fn dangling_roles(&self) -> impl Iterator<Item = String> + '_ {
        let assigned = self
            .role_assignments
            .values()
            .map(|held| (held.role_definition_id, &held.directory_scope_id));
        let eligible = self
            .role_eligibilities
            .values()
            .map(|held| (held.role_definition_id, &held.directory_scope_id));
        assigned.chain(eligible).filter_map(|(role, scope)| {
            if !self.role_definitions.contains_key(&role) {
                return Some(format!("role {role} is not defined"));
            }
            let unit = scope.strip_prefix("/administrativeUnits/")?;
            let known =
                Uuid::parse_str(unit).is_ok_and(|id| self.administrative_units.contains_key(&id));
            (!known).then(|| format!("scope {scope} does not exist"))
        })
    }
}

/// When the first user of a tenant is deleted: a fixed moment, so that a seed gives the same dates forever.
fn recycling_day() -> DateTime<Utc> {
    crate::generate::today()
}
