//! Catalogs, access packages with what they give, policies, assignments, requests.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::time::{days_from_today, midnight_from_today};
use super::{activations, roles::RoleMaker};
use crate::model::{
    AccessPackage, Approver, Catalog, CatalogRole, GovernanceRole, GroupAccess, MemberKind,
    PackageAssignment, PackageGrant, PackagePolicy, PackageRequest, PackageRole, Tenant,
};
use crate::random::Random;
use crate::spec::TenantSpec;

/// Smaller tenants have no entitlement management unless it is asked for.
const SMALLEST: usize = 16;
const GROUPS_PER_PACKAGE: usize = 60;

const TEAMS: &[&str] = &[
    "Terminal Operations",
    "Customs Desk",
    "Crane Maintenance",
    "Payroll",
    "Treasury",
    "Field Service",
    "Data Platform",
    "Legal",
    "Procurement",
    "Harbour Safety",
    "Partner Onboarding",
    "Internal Audit",
];
const TARGET_SCOPES: &[&str] = &[
    "allMemberUsers",
    "allDirectoryUsers",
    "specificDirectoryUsers",
    "allExternalUsers",
    "notSpecified",
];
/// Well-known roles in entitlement management.
const CATALOG_ROLES: &[(Uuid, &str)] = &[
    (
        Uuid::from_u128(0xae79_f266_94d4_4dab_b730_feca_7e13_2178),
        "Catalog owner",
    ),
    (
        Uuid::from_u128(0x4427_2f93_9762_48e8_af59_1b53_51b1_d6b3),
        "Catalog reader",
    ),
    (
        Uuid::from_u128(0x7f48_0852_ebdc_47d4_87de_0d84_9838_4a83),
        "Access package manager",
    ),
];

/// Draws packages and what belongs to them.
pub(crate) struct GovernanceMaker {
    random: Random,
    users: Vec<Uuid>,
    groups: Vec<Uuid>,
    service_principals: Vec<Uuid>,
    app_roles: Vec<PackageGrant>,
}

/// Fills a tenant's entitlement management and what PIM knows about activations.
pub(super) fn add(tenant: &mut Tenant, spec: &TenantSpec, mut random: Random) {
    let mut roles = RoleMaker::new(tenant, Random::new(random.next()));
    activations::add(tenant, &mut roles, &mut random);
    let usual = if spec.groups < SMALLEST {
        0
    } else {
        (spec.groups / GROUPS_PER_PACKAGE).max(1)
    };
    let count = spec.access_packages.unwrap_or(usual);
    if count == 0 {
        return;
    }
    for (id, name) in CATALOG_ROLES {
        let role = GovernanceRole {
            id: *id,
            display_name: (*name).to_owned(),
            description: format!("{name} of entitlement management"),
        };
        tenant.governance.roles.insert(role.id, role);
    }
    let mut maker = GovernanceMaker::new(tenant, random);
    for place in 0..2 + count / 8 {
        let catalog = maker.catalog(place);
        if let Some(role) = maker.catalog_role(Some(catalog.id)) {
            tenant.governance.catalog_roles.insert(role.id, role);
        }
        tenant.governance.catalogs.insert(catalog.id, catalog);
    }
    if let Some(role) = maker.catalog_role(None) {
        tenant.governance.catalog_roles.insert(role.id, role);
    }
    for place in 0..count {
        maker.add_package(tenant, place);
    }
}

impl GovernanceMaker {
    pub(crate) fn new(tenant: &Tenant, random: Random) -> Self {
        let grants = tenant.service_principals.values().flat_map(|principal| {
            principal
                .app_roles
                .iter()
                .map(|role| PackageGrant::AppRole {
                    service_principal_id: principal.id,
                    app_role_id: role.id,
                    name: role.display_name.clone(),
                })
        });
        Self {
            random,
            users: tenant.users.keys().copied().collect(),
            groups: tenant
                .groups
                .values()
                .filter(|group| !group.is_dynamic() && group.on_premises.is_none())
                .map(|group| group.id)
                .collect(),
            service_principals: tenant.service_principals.keys().copied().collect(),
            app_roles: grants.collect(),
        }
    }

    fn catalog(&mut self, place: usize) -> Catalog {
        let created = days_from_today(&mut self.random, -1_200, -600);
        let team = TEAMS[place % TEAMS.len()];
        let is_default = place == 0;
        Catalog {
            id: self.random.uuid(),
            display_name: if is_default {
                "General".to_owned()
            } else {
                format!("{team} {place}")
            },
            description: self
                .random
                .chance(0.8)
                .then(|| format!("Access for {team}")),
            catalog_type: if is_default {
                "serviceDefault"
            } else {
                "userManaged"
            }
            .to_owned(),
            state: if self.random.chance(0.9) {
                "published"
            } else {
                "unpublished"
            }
            .to_owned(),
            is_externally_visible: self.random.chance(0.4),
            created,
            modified: days_from_today(&mut self.random, -500, -10),
        }
    }

    fn catalog_role(&mut self, catalog_id: Option<Uuid>) -> Option<CatalogRole> {
        if self.users.is_empty() {
            return None;
        }
        Some(CatalogRole {
            id: self.random.uuid(),
            principal_id: *self.random.pick(&self.users),
            principal_kind: MemberKind::User,
            role_definition_id: self.random.pick(CATALOG_ROLES).0,
            catalog_id,
        })
    }

    /// A package with its policies, those who have it and those who asked.
    pub(crate) fn add_package(&mut self, tenant: &mut Tenant, place: usize) {
        let catalogs: Vec<Uuid> = tenant.governance.catalogs.keys().copied().collect();
        if catalogs.is_empty() {
            return;
        }
        let catalog_id = *self.random.pick(&catalogs);
        let package = self.package(catalog_id, place);
        let policies: Vec<PackagePolicy> = (0..=(place % 2))
            .map(|turn| self.policy(package.id, place + turn))
            .collect();
        let count = self.random.between(3, 25) as usize;
        let mut targets: Vec<Option<(Uuid, MemberKind)>> = self
            .random
            .sample(&self.users, count)
            .into_iter()
            .map(|id| Some((id, MemberKind::User)))
            .collect();
        if place.is_multiple_of(3) {
            // A guest account that is being made.
            targets.push(None);
        }
        if place % 4 == 1 && !self.service_principals.is_empty() {
            let id = *self.random.pick(&self.service_principals);
            targets.push(Some((id, MemberKind::ServicePrincipal)));
        }
        let governance = &mut tenant.governance;
        for (turn, target) in targets.into_iter().enumerate() {
            let policy = &policies[turn % policies.len()];
            let state = if turn % 4 == 3 {
                "expired"
            } else {
                "delivered"
            };
            let held = self.assignment(policy, target, state);
            let request = self.request_for(&held);
            governance.requests.insert(request.id, request);
            governance.assignments.insert(held.id, held);
        }
        for state in ["pendingApproval", "denied"] {
            if let Some(request) = self.open_request(package.id, state) {
                governance.requests.insert(request.id, request);
            }
        }
        governance
            .policies
            .extend(policies.into_iter().map(|policy| (policy.id, policy)));
        governance.packages.insert(package.id, package);
    }

    fn package(&mut self, catalog_id: Uuid, place: usize) -> AccessPackage {
        let team = TEAMS[place % TEAMS.len()];
        AccessPackage {
            id: self.random.uuid(),
            display_name: format!("{team} access {place}"),
            description: self
                .random
                .chance(0.8)
                .then(|| format!("Everything that {team} needs")),
            is_hidden: self.random.chance(0.2),
            catalog_id,
            created: days_from_today(&mut self.random, -900, -300),
            modified: days_from_today(&mut self.random, -290, -5),
            contents: self.contents(place),
        }
    }

    /// Every kind of grant comes in turn; some packages give more than a page of an `$expand`.
    fn contents(&mut self, place: usize) -> Vec<PackageRole> {
        let count = if place % 7 == 2 { 26 } else { 2 + place % 4 };
        let mut grants: BTreeMap<String, PackageGrant> = BTreeMap::new();
        for id in self.random.sample(&self.groups, count) {
            let is_owner = self.random.chance(0.15);
            let access = if is_owner {
                GroupAccess::Owner
            } else {
                GroupAccess::Member
            };
            grants.insert(id.to_string(), PackageGrant::Group(id, access));
        }
        if place.is_multiple_of(3) && !self.groups.is_empty() {
            let id = *self.random.pick(&self.groups);
            grants.insert(id.to_string(), PackageGrant::Group(id, GroupAccess::Owner));
        }
        if place.is_multiple_of(2) && !self.app_roles.is_empty() {
            let grant = self.random.pick(&self.app_roles).clone();
            grants.insert("application".to_owned(), grant);
        }
        if place % 3 == 1 {
            let site = self.random.below(20);
            let grant = PackageGrant::Site {
                url: format!("https://meridiaan.sharepoint.example/sites/Team-{site}"),
                name: format!("Team {site}"),
                role: "Team members".to_owned(),
                number: 4,
            };
            grants.insert("site".to_owned(), grant);
        }
        grants
            .into_values()
            .map(|grant| self.content(grant))
            .collect()
    }

    fn content(&mut self, grant: PackageGrant) -> PackageRole {
        PackageRole {
            role_id: self.random.uuid(),
            scope_id: self.random.uuid(),
            created: days_from_today(&mut self.random, -290, -5),
            grant,
        }
    }

    fn policy(&mut self, package_id: Uuid, place: usize) -> PackagePolicy {
        let scope = TARGET_SCOPES[place % TARGET_SCOPES.len()];
        let approver = match place % 4 {
            0 => Approver::Manager,
            1 if !self.users.is_empty() => Approver::User(*self.random.pick(&self.users)),
            2 => Approver::Sponsor,
            _ => Approver::Nobody,
        };
        PackagePolicy {
            id: self.random.uuid(),
            package_id,
            display_name: format!("Policy {place} ({scope})"),
            description: self
                .random
                .chance(0.7)
                .then(|| "Request, approve, expire".to_owned()),
            allowed_target_scope: scope.to_owned(),
            approver,
            expires_after_days: (place % 3 != 2).then_some(180),
            created: days_from_today(&mut self.random, -290, -200),
            modified: days_from_today(&mut self.random, -190, -5),
        }
    }

    /// A package given under a policy.
    pub(crate) fn assignment(
        &mut self,
        policy: &PackagePolicy,
        target: Option<(Uuid, MemberKind)>,
        state: &str,
    ) -> PackageAssignment {
        PackageAssignment {
            id: self.random.uuid(),
            package_id: policy.package_id,
            policy_id: policy.id,
            target,
            state: state.to_owned(),
            start: days_from_today(&mut self.random, -250, -1),
            end: policy
                .expires_after_days
                .map(|_| midnight_from_today(&mut self.random, 10, 170)),
        }
    }

    /// The request that an assignment came out of.
    pub(crate) fn request_for(&mut self, held: &PackageAssignment) -> PackageRequest {
        let by_user = self.random.chance(0.7);
        PackageRequest {
            id: self.random.uuid(),
            package_id: held.package_id,
            assignment_id: Some(held.id),
            requestor_id: held.target.map(|(id, _)| id),
            request_type: if by_user { "userAdd" } else { "adminAdd" }.to_owned(),
            state: "delivered".to_owned(),
            justification: by_user.then(|| "Joins the team".to_owned()),
            created: held.start - chrono::TimeDelta::hours(30),
            completed: Some(held.start),
        }
    }

    /// A request without an assignment.
    pub(crate) fn open_request(&mut self, package_id: Uuid, state: &str) -> Option<PackageRequest> {
        if self.users.is_empty() {
            return None;
        }
        let created = days_from_today(&mut self.random, -80, -1);
        Some(PackageRequest {
            id: self.random.uuid(),
            package_id,
            assignment_id: None,
            requestor_id: Some(*self.random.pick(&self.users)),
            request_type: "userAdd".to_owned(),
            state: state.to_owned(),
            justification: self
                .random
                .chance(0.6)
                .then(|| "Needed for a project".to_owned()),
            created,
            completed: (state == "denied").then(|| created + chrono::TimeDelta::hours(20)),
        })
    }
}
