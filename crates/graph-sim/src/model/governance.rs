//! Entitlement management: what can be requested, who may, who did, and who has it.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Tenant;
use super::link::{LinkMap, MemberKind};
use super::review::AccessReview;
use super::role::{AssignmentType, GroupAccess};

/// What governs access in a tenant: entitlement management, access reviews, and
/// what PIM knows about activations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Governance {
    /// Catalogs by id.
    pub catalogs: BTreeMap<Uuid, Catalog>,
    /// Access packages by id.
    pub packages: BTreeMap<Uuid, AccessPackage>,
    /// Assignment policies by id.
    pub policies: BTreeMap<Uuid, PackagePolicy>,
    /// Assignments of packages by id, ended ones too.
    pub assignments: BTreeMap<Uuid, PackageAssignment>,
    /// Requests for packages by id.
    pub requests: BTreeMap<Uuid, PackageRequest>,
    /// Roles that entitlement management knows, by id.
    pub roles: BTreeMap<Uuid, GovernanceRole>,
    /// Who holds them, by assignment id.
    pub catalog_roles: BTreeMap<Uuid, CatalogRole>,
    /// Access reviews by id.
    pub reviews: BTreeMap<Uuid, AccessReview>,
    /// Active assignments of PIM for Groups by instance id, hence grouped by group.
    pub group_assignments: BTreeMap<String, GroupAssignment>,
    /// The eligibility (its instance id) that an activated role assignment came out of.
    pub role_activations: BTreeMap<String, String>,
}

/// A catalog of what packages may contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Catalog {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// `userManaged`, `serviceDefault` or `serviceManaged`.
    pub catalog_type: String,
    /// `published` or `unpublished`.
    pub state: String,
    /// People outside the tenant may request from it.
    pub is_externally_visible: bool,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
}

/// What can be requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessPackage {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Not shown to requestors.
    pub is_hidden: bool,
    /// The catalog it is in.
    pub catalog_id: Uuid,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
    /// What it gives.
    pub contents: Vec<PackageRole>,
}

/// A role in a resource that a package gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageRole {
    /// Id of the role in the catalog.
    pub role_id: Uuid,
    /// Id of the scope in the catalog.
    pub scope_id: Uuid,
    /// When it was added.
    pub created: DateTime<Utc>,
    /// Which role in what.
    pub grant: PackageGrant,
}

/// Which role in which resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum PackageGrant {
    /// Membership or ownership of a group.
    Group(Uuid, GroupAccess),
    /// A role of an application.
    AppRole {
        /// The service principal.
        service_principal_id: Uuid,
        /// The role's id within the application.
        app_role_id: Uuid,
        /// The role's name.
        name: String,
    },
    /// A role in a SharePoint site.
    Site {
        /// The site's address.
        url: String,
        /// The site's name.
        name: String,
        /// The role's name.
        role: String,
        /// The role's number in the site.
        number: u32,
    },
}

/// A rule for who may request a package and who approves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackagePolicy {
    /// Id.
    pub id: Uuid,
    /// The package.
    pub package_id: Uuid,
    /// Name.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who may request, in Graph's words.
    pub allowed_target_scope: String,
    /// Who approves.
    pub approver: Approver,
    /// Days after which an assignment ends.
    pub expires_after_days: Option<u32>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
}

/// Who approves requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Approver {
    /// Nobody has to.
    Nobody,
    /// The requestor's manager.
    Manager,
    /// One user.
    User(Uuid),
    /// Somebody outside who is responsible for the requestor's organisation.
    Sponsor,
}

/// Somebody who was given a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageAssignment {
    /// Id.
    pub id: Uuid,
    /// The package.
    pub package_id: Uuid,
    /// The policy it was given under.
    pub policy_id: Uuid,
    /// Who has it; nobody yet while a guest account is being made.
    pub target: Option<(Uuid, MemberKind)>,
    /// `delivered`, `expired` …
    pub state: String,
    /// Since when.
    pub start: DateTime<Utc>,
    /// Until when; `None` = for good.
    pub end: Option<DateTime<Utc>>,
}

/// A request for a package. Requests are history: they outlive whom they are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageRequest {
    /// Id.
    pub id: Uuid,
    /// The package.
    pub package_id: Uuid,
    /// The assignment it is about.
    pub assignment_id: Option<Uuid>,
    /// Who asked.
    pub requestor_id: Option<Uuid>,
    /// `userAdd`, `adminRemove` …
    pub request_type: String,
    /// `delivered`, `pendingApproval` …
    pub state: String,
    /// The requestor's words.
    pub justification: Option<String>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it ended.
    pub completed: Option<DateTime<Utc>>,
}

/// A role that entitlement management knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GovernanceRole {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// What it allows.
    pub description: String,
}

/// Somebody's role in entitlement management.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogRole {
    /// Id.
    pub id: Uuid,
    /// Who holds it.
    pub principal_id: Uuid,
    /// What the holder is.
    pub principal_kind: MemberKind,
    /// Which role.
    pub role_definition_id: Uuid,
    /// In which catalog; `None` = everywhere.
    pub catalog_id: Option<Uuid>,
}

/// A membership or ownership as PIM for Groups keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupAssignment {
    /// Id of the instance: `{groupId}_{access}_{guid}`.
    pub id: String,
    /// Id of its schedule, same form.
    pub schedule_id: String,
    /// The group.
    pub group_id: Uuid,
    /// Who is a member or owner.
    pub principal_id: Uuid,
    /// What the principal is.
    pub principal_kind: MemberKind,
    /// Member or owner.
    pub access: GroupAccess,
    /// Standing or activated.
    pub assignment_type: AssignmentType,
    /// Since when; `None` for standing ones made outside PIM.
    pub start: Option<DateTime<Utc>>,
    /// Until when; `None` = permanent.
    pub end: Option<DateTime<Utc>>,
    /// The eligibility (its instance id) that was activated.
    pub activated_using: Option<String>,
}

impl Governance {
    /// Forgets deleted objects, but for history: requests and reviews stay as they are.
    pub(crate) fn forget(&mut self, gone: &HashSet<Uuid>) {
        for package in self.packages.values_mut() {
            package.contents.retain(|content| match &content.grant {
                PackageGrant::Group(id, _) => !gone.contains(id),
                PackageGrant::AppRole {
                    service_principal_id,
                    ..
                } => !gone.contains(service_principal_id),
                PackageGrant::Site { .. } => true,
            });
        }
        self.assignments
            .retain(|_, held| held.target.is_none_or(|(id, _)| !gone.contains(&id)));
        self.catalog_roles
            .retain(|_, held| !gone.contains(&held.principal_id));
        self.group_assignments
            .retain(|_, held| !gone.contains(&held.principal_id) && !gone.contains(&held.group_id));
    }

    /// Removes a package with everything that hangs on it, but for history.
    pub fn remove_package(&mut self, id: Uuid) {
        self.packages.remove(&id);
        self.policies.retain(|_, policy| policy.package_id != id);
        self.assignments.retain(|_, held| held.package_id != id);
    }

    /// Forgets what PIM keeps about memberships and assignments that are no more.
    pub(crate) fn forget_ended(
        &mut self,
        members: &LinkMap,
        owners: &LinkMap,
        is_active: impl Fn(&str, &str) -> bool,
        is_eligible: impl Fn(&str) -> bool,
    ) {
        self.group_assignments.retain(|_, held| {
            let links = match held.access {
                GroupAccess::Member => members,
                GroupAccess::Owner => owners,
            };
            links.contains(held.group_id, held.principal_id)
        });
        for held in self.group_assignments.values_mut() {
            if held
                .activated_using
                .as_ref()
                .is_some_and(|id| !is_eligible(id))
            {
                held.activated_using = None;
            }
        }
        self.role_activations
            .retain(|assignment, eligibility| is_active(assignment, eligibility));
    }

    /// The active assignments of one group, without looking at those of others.
    pub fn assignments_of_group(
        &self,
        group_id: Uuid,
    ) -> impl Iterator<Item = &GroupAssignment> + '_ {
        self.group_assignments
            .range(format!("{group_id}_")..)
            .map(|(_, held)| held)
            .take_while(move |held| held.group_id == group_id)
    }

    /// Every reference that points at nothing, in words.
    pub(crate) fn inconsistencies(&self, tenant: &Tenant) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |is_sound: bool, what: String| {
            if !is_sound {
                found.push(what);
            }
        };
        for package in self.packages.values() {
            let known = self.catalogs.contains_key(&package.catalog_id);
            check(known, format!("package {} has no catalog", package.id));
            for content in &package.contents {
                let known = is_known(tenant, &content.grant);
                check(
                    known,
                    format!("package {} gives what is not there", package.id),
                );
            }
        }
        for policy in self.policies.values() {
            let known = self.packages.contains_key(&policy.package_id);
            check(known, format!("policy {} has no package", policy.id));
        }
        for held in self.assignments.values() {
            let policy = self.policies.get(&held.policy_id);
            let agrees = policy.is_some_and(|policy| policy.package_id == held.package_id);
            check(
                agrees,
                format!("assignment {} has no policy of its package", held.id),
            );
            let target = held
                .target
                .is_none_or(|(id, kind)| tenant.kind_of(id) == Some(kind));
            check(
                target,
                format!("assignment {} has an unknown target", held.id),
            );
        }
        for held in self.catalog_roles.values() {
            let known = tenant.kind_of(held.principal_id) == Some(held.principal_kind);
            check(known, format!("catalog role {} has no holder", held.id));
        }
        for held in self.group_assignments.values() {
            let links = match held.access {
                GroupAccess::Member => &tenant.members,
                GroupAccess::Owner => &tenant.owners,
            };
            let known = links.contains(held.group_id, held.principal_id);
            check(known, format!("{} is no membership or ownership", held.id));
        }
        for (assignment, eligibility) in &self.role_activations {
            let known = tenant.role_assignments.contains_key(assignment)
                && tenant
                    .role_eligibilities
                    .values()
                    .any(|one| one.instance_id == *eligibility);
            check(
                known,
                format!("activation of {assignment} came out of nothing"),
            );
        }
        found
    }
}

fn is_known(tenant: &Tenant, grant: &PackageGrant) -> bool {
    match grant {
        PackageGrant::Group(id, _) => tenant.groups.contains_key(id),
        PackageGrant::AppRole {
            service_principal_id,
            app_role_id,
            ..
        } => tenant
            .service_principals
            .get(service_principal_id)
            .is_some_and(|principal| {
                principal
                    .app_roles
                    .iter()
                    .any(|role| role.id == *app_role_id)
            }),
        PackageGrant::Site { .. } => true,
    }
}
