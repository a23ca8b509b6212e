//! Who holds the roles of applications, what applications may do on behalf of users, whom they trust, who sponsors agents.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::principals::MICROSOFT_GRAPH;
use super::time::days_from_today;
use crate::model::{
    AppRole, AppRoleAssignment, FederatedCredential, Link, MemberKind, PermissionGrant,
    RequestedAccess, ServicePrincipal, ServicePrincipalClass, ServicePrincipalType, Tenant,
};
use crate::random::Random;

/// Permissions of Microsoft Graph with the ids that they have in every tenant.
const GRAPH_PERMISSIONS: &[(u128, &str, &str)] = &[
    (
        0xdf02_1288_bdef_4463_88db_98f2_2de8_9214,
        "User.Read.All",
        "Read all users' full profiles",
    ),
    (
        0x9a5d_68dd_52b0_4cc2_bd40_abcf_44ac_3a30,
        "Application.Read.All",
        "Read all applications",
    ),
    (
        0x7ab1_d382_f21e_4acd_a863_ba3e_13f7_da61,
        "Directory.Read.All",
        "Read directory data",
    ),
    (
        0x9883_0695_27a2_44f7_8c18_0c3e_bc96_98f6,
        "GroupMember.Read.All",
        "Read all group memberships",
    ),
    (
        0xb0af_ded3_3588_46d8_8b3d_9842_eff7_78da,
        "AuditLog.Read.All",
        "Read all audit log data",
    ),
    (
        0x483b_ed4a_2ad3_4361_a73b_c83c_cdbd_c53c,
        "RoleManagement.Read.Directory",
        "Read all directory RBAC settings",
    ),
    (
        0xc74f_d47d_ed3c_45c3_9a9e_b867_6de6_85d2,
        "EntitlementManagement.Read.All",
        "Read all entitlement management resources",
    ),
];
/// A role that many applications of the gallery define, under the same id in each.
const GALLERY_ROLE: Uuid = Uuid::from_u128(0x18d1_4569_c3bd_439b_9a66_3a2a_ee01_d14f);
/// Scopes that delegated grants are made of.
const SCOPES: &[&str] = &[
    "User.Read",
    "offline_access",
    "openid",
    "profile",
    "Mail.Read",
    "Calendars.Read",
    "Files.Read.All",
];
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Draws access to applications.
pub(crate) struct AccessMaker {
    random: Random,
    users: Vec<Uuid>,
    groups: Vec<Uuid>,
    principals: Vec<Uuid>,
}

impl AccessMaker {
    pub(crate) fn new(tenant: &Tenant, random: Random) -> Self {
        Self {
            random,
            users: tenant.users.keys().copied().collect(),
            groups: tenant.groups.keys().copied().collect(),
            principals: tenant.service_principals.keys().copied().collect(),
        }
    }

    fn word(&mut self) -> String {
        (0..43)
            .map(|_| char::from(*self.random.pick(LETTERS)))
            .collect()
    }

    /// Some different elements, few out of many.
    fn draw(&mut self, kind: MemberKind, count: usize) -> BTreeSet<Uuid> {
        let pool = match kind {
            MemberKind::User => &self.users,
            MemberKind::Group => &self.groups,
            MemberKind::ServicePrincipal => &self.principals,
        };
        let mut drawn = BTreeSet::new();
        if !pool.is_empty() {
            drawn.extend((0..count).map(|_| *self.random.pick(pool)));
        }
        drawn
    }

    pub(crate) fn assignment(
        &mut self,
        resource_id: Uuid,
        role: Uuid,
        holder: Link,
    ) -> AppRoleAssignment {
        AppRoleAssignment {
            id: self.word(),
            app_role_id: role,
            principal_id: holder.id,
            principal_kind: holder.kind,
            resource_id,
            created: days_from_today(&mut self.random, -900, -1),
        }
    }

    /// Gives the role to some users, sometimes to a group and to a service principal.
    fn give(&mut self, tenant: &mut Tenant, resource: Uuid, role: Uuid, users: usize) {
        let groups = usize::from(self.random.chance(0.4));
        let robots = usize::from(!role.is_nil() && self.random.chance(0.3));
        for (kind, count) in [
            (MemberKind::User, users),
            (MemberKind::Group, groups),
            (MemberKind::ServicePrincipal, robots),
        ] {
            for id in self.draw(kind, count) {
                let held = self.assignment(resource, role, Link { id, kind });
                tenant.app_access.assign(held);
            }
        }
    }

    /// Scopes as Graph writes them: in any order, with stray blanks.
    pub(crate) fn scope(&mut self) -> String {
        let count = 1 + self.random.below(4);
        let scopes = self.random.sample(SCOPES, count);
        let lead = if self.random.chance(0.5) { " " } else { "" };
        format!(
            "{lead}{}",
            scopes.join(if self.random.chance(0.2) { "  " } else { " " })
        )
    }

    pub(crate) fn grant(
        &mut self,
        client_id: Uuid,
        resource_id: Uuid,
        principal_id: Option<Uuid>,
    ) -> PermissionGrant {
        PermissionGrant {
            id: self.word(),
            client_id,
            resource_id,
            principal_id,
            scope: self.scope(),
        }
    }

    fn credential(&mut self, name: &str, number: usize) -> FederatedCredential {
        let is_pipeline = self.random.chance(0.5);
        let (issuer, subject) = if is_pipeline {
            (
                "https://token.actions.githubusercontent.com".to_owned(),
                format!("repo:meridiaan/{number}:environment:production"),
            )
        } else {
            (
                format!(
                    "https://oidc.prod-aks.azure.example/{}/",
                    self.random.uuid()
                ),
                format!("system:serviceaccount:apps:worker-{number}"),
            )
        };
        FederatedCredential {
            id: self.random.uuid(),
            name: format!("fic-{number}"),
            issuer,
            subject,
            description: self
                .random
                .chance(0.5)
                .then(|| format!("Workload of {name}")),
            audiences: vec!["api://AzureADTokenExchange".to_owned()],
        }
    }

    /// Gives a registration one or two federated credentials.
    pub(crate) fn trust(&mut self, tenant: &mut Tenant, application: Uuid, name: &str) {
        for number in 0..=self.random.below(2) {
            let credential = self.credential(name, number);
            tenant
                .app_access
                .federated_credentials
                .insert((application, credential.id), credential);
        }
    }

    pub(crate) fn sponsor(&mut self, tenant: &mut Tenant, agent: Uuid) {
        let kind = if self.random.chance(0.2) {
            MemberKind::Group
        } else {
            MemberKind::User
        };
        let count = 1 + self.random.below(2);
        for id in self.draw(kind, count) {
            tenant.app_access.sponsors.add(agent, Link { id, kind });
        }
    }
}

/// Fills the tenant's access to and through applications.
pub(crate) fn add(tenant: &mut Tenant, random: Random) {
    let mut maker = AccessMaker::new(tenant, random);
    add_roles(tenant, &mut maker.random);
    let principals: Vec<ServicePrincipal> = tenant.service_principals.values().cloned().collect();
    let graph = graph_of(tenant);
    let ours: Vec<&ServicePrincipal> = principals.iter().filter(|one| is_own(one)).collect();
    for (place, one) in ours.iter().enumerate() {
        for role in one.app_roles.iter().filter(|role| role.is_enabled) {
            let users = 1 + maker.random.below(5);
            maker.give(tenant, one.id, role.id, users);
        }
        // Whoever needs an assignment gets one, and so does one in four of those who do not.
        let needs_default = one.app_role_assignment_required && one.app_roles.is_empty();
        if needs_default || place % 4 == 1 {
            maker.give(tenant, one.id, Uuid::nil(), 2);
        }
        delegate(tenant, &mut maker, &ours, one.id, graph);
    }
    if let Some(graph) = graph {
        let permissions: Vec<Uuid> = tenant.service_principals[&graph]
            .app_roles
            .iter()
            .map(|role| role.id)
            .collect();
        let clients = maker.draw(MemberKind::ServicePrincipal, 2 + principals.len() / 5);
        for id in clients {
            let kind = MemberKind::ServicePrincipal;
            for role in maker.random.sample(&permissions, 2) {
                let held = maker.assignment(graph, role, Link { id, kind });
                tenant.app_access.assign(held);
            }
        }
    }
    add_registrations(tenant, &mut maker);
    for one in principals
        .iter()
        .filter(|one| one.class == ServicePrincipalClass::AgentIdentity)
    {
        maker.sponsor(tenant, one.id);
    }
}

/// The service principal of Microsoft Graph, where the tenant has one.
pub(crate) fn graph_of(tenant: &Tenant) -> Option<Uuid> {
    let mut all = tenant.service_principals.values();
    all.find(|one| one.app_id == Some(MICROSOFT_GRAPH))
        .map(|one| one.id)
}

/// An application of the tenant's own.
pub(crate) fn is_own(one: &ServicePrincipal) -> bool {
    one.class == ServicePrincipalClass::Plain
        && one.service_principal_type == ServicePrincipalType::Application
        && one.app_id != Some(MICROSOFT_GRAPH)
}

/// Microsoft Graph's permissions, a role of the gallery for every third application, a disabled one for every fifth.
fn add_roles(tenant: &mut Tenant, random: &mut Random) {
    let mut place = 0;
    for one in tenant.service_principals.values_mut() {
        let mut added = Vec::new();
        if one.app_id == Some(MICROSOFT_GRAPH) {
            added.extend(GRAPH_PERMISSIONS.iter().map(|(id, value, name)| AppRole {
                id: Uuid::from_u128(*id),
                display_name: (*name).to_owned(),
                value: Some((*value).to_owned()),
                description: format!("{name} without a signed-in user"),
                allowed_member_types: vec!["Application".to_owned()],
                is_enabled: true,
            }));
        } else if is_own(one) {
            if place % 3 == 0 {
                added.push(AppRole {
                    id: GALLERY_ROLE,
                    display_name: "User".to_owned(),
                    value: None,
                    description: "User".to_owned(),
                    allowed_member_types: vec!["User".to_owned()],
                    is_enabled: true,
                });
            }
            if place % 5 == 0 {
                added.push(AppRole {
                    id: random.uuid(),
                    display_name: "Retired".to_owned(),
                    value: Some("App.Retired".to_owned()),
                    description: "No longer given".to_owned(),
                    allowed_member_types: vec!["User".to_owned()],
                    is_enabled: false,
                });
            }
            place += 1;
        }
        one.app_roles.extend(added.iter().cloned());
        for application in tenant.applications.values_mut() {
            if Some(application.app_id) == one.app_id {
                application.app_roles.extend(added.iter().cloned());
            }
        }
    }
}

/// Grants of a client at Microsoft Graph and at another application, for all users and for some.
fn delegate(
    tenant: &mut Tenant,
    maker: &mut AccessMaker,
    ours: &[&ServicePrincipal],
    client: Uuid,
    graph: Option<Uuid>,
) {
    let other = maker.random.pick(ours).id;
    let mut resources: BTreeSet<Uuid> = graph.into_iter().collect();
    if maker.random.chance(0.3) && other != client {
        resources.insert(other);
    }
    for resource in resources {
        let mut grants = Vec::new();
        if maker.random.chance(0.6) {
            grants.push(maker.grant(client, resource, None));
        }
        // The first users consent to everything, so that one of them uses several clients at one resource.
        let mut users: BTreeSet<Uuid> = maker.users.iter().take(2).copied().collect();
        users.extend(maker.draw(MemberKind::User, 1));
        if maker.random.chance(0.7) {
            for user in users {
                grants.push(maker.grant(client, resource, Some(user)));
            }
        }
        let known = grants.into_iter().map(|grant| (grant.id.clone(), grant));
        tenant.app_access.grants.extend(known);
    }
}

/// What registrations ask for, and whom they trust.
fn add_registrations(tenant: &mut Tenant, maker: &mut AccessMaker) {
    let known: Vec<(Uuid, String)> = tenant
        .applications
        .values()
        .map(|one| (one.id, one.display_name.clone()))
        .collect();
    for (place, (id, name)) in known.iter().enumerate() {
        if place % 3 == 0 {
            maker.trust(tenant, *id, name);
        }
        if let Some(application) = tenant.applications.get_mut(id).filter(|_| place % 2 == 0) {
            let count = 1 + maker.random.below(3);
            let wanted = maker.random.sample(GRAPH_PERMISSIONS, count);
            application.required_resource_access.push(RequestedAccess {
                resource_app_id: MICROSOFT_GRAPH,
                roles: wanted
                    .iter()
                    .map(|(id, _, _)| Uuid::from_u128(*id))
                    .collect(),
                scopes: vec![maker.random.uuid()],
            });
        }
    }
}
