//! Directory roles and who holds them, now or on request.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::role_catalogue::{BUILT_IN_ROLES, is_privileged};
use super::time::{days_from_today, midnight_from_today};
use crate::model::{
    AdministrativeUnit, AssignmentType, GroupAccess, GroupEligibility, Link, MemberKind,
    RoleAssignment, RoleDefinition, RoleEligibility, Tenant,
};
use crate::random::Random;

/// Built-in roles with their well-known ids, and two custom ones.
pub(crate) fn add_definitions(tenant: &mut Tenant, random: &mut Random) {
    for (id, name, description) in BUILT_IN_ROLES {
        let id = Uuid::from_u128(*id);
        tenant.role_definitions.insert(
            id,
            RoleDefinition {
                id,
                template_id: id,
                display_name: (*name).to_owned(),
                description: (*description).to_owned(),
                is_built_in: true,
                is_enabled: true,
                is_privileged: is_privileged(name),
                actions: vec!["microsoft.directory/users/standard/read".to_owned()],
            },
        );
    }
    for (name, action) in [
        (
            "Badge Office Clerk",
            "microsoft.directory/users/basic/update",
        ),
        (
            "Application Secret Rotator",
            "microsoft.directory/applications/credentials/update",
        ),
    ] {
        let id = random.uuid();
        tenant.role_definitions.insert(
            id,
            RoleDefinition {
                id,
                template_id: random.uuid(),
                display_name: name.to_owned(),
                description: format!("Custom role of this tenant: {name}"),
                is_built_in: false,
                is_enabled: true,
                is_privileged: false,
                actions: vec![action.to_owned()],
            },
        );
    }
}

/// One administrative unit per region.
pub(crate) fn add_units(tenant: &mut Tenant, random: &mut Random) {
    for region in ["Benelux", "DACH", "Iberia", "Nordics", "Asia"] {
        let id = random.uuid();
        tenant.administrative_units.insert(
            id,
            AdministrativeUnit {
                id,
                display_name: format!("AU-{region}"),
                description: Some(format!("Accounts and groups of {region}")),
                visibility: None,
                membership_rule: None,
                is_member_management_restricted: false,
                devices: Vec::new(),
            },
        );
    }
}

/// Draws role holders, eligibilities and their scopes.
pub(crate) struct RoleMaker {
    random: Random,
    roles: Vec<Uuid>,
    units: Vec<Uuid>,
}

impl RoleMaker {
    pub(crate) fn new(tenant: &Tenant, random: Random) -> Self {
        Self {
            random,
            roles: tenant.role_definitions.keys().copied().collect(),
            units: tenant.administrative_units.keys().copied().collect(),
        }
    }

    fn role(&mut self) -> Uuid {
        *self.random.pick(&self.roles)
    }

    fn scope(&mut self) -> String {
        if !self.units.is_empty() && self.random.chance(0.25) {
            format!("/administrativeUnits/{}", self.random.pick(&self.units))
        } else {
            "/".to_owned()
        }
    }

    fn end(&mut self) -> Option<DateTime<Utc>> {
        self.random
            .chance(0.6)
            .then(|| midnight_from_today(&mut self.random, 600, 1_500))
    }

    /// A role held by `principal`.
    pub(crate) fn assignment(&mut self, principal: Link) -> RoleAssignment {
        let activated = principal.kind == MemberKind::User && self.random.chance(0.15);
        let role_definition_id = self.role();
        let directory_scope_id = self.scope();
        let start = (activated || self.random.chance(0.3))
            .then(|| days_from_today(&mut self.random, -300, 0));
        let end = if activated { self.end() } else { None };
        RoleAssignment {
            id: opaque_id(&mut self.random, "-1"),
            principal_id: principal.id,
            principal_kind: principal.kind,
            role_definition_id,
            directory_scope_id,
            assignment_type: if activated {
                AssignmentType::Activated
            } else {
                AssignmentType::Assigned
            },
            start,
            end,
        }
    }

    /// A role `principal` may activate.
    pub(crate) fn eligibility(&mut self, principal: Link) -> RoleEligibility {
        let created = days_from_today(&mut self.random, -500, -5);
        RoleEligibility {
            id: self.random.uuid(),
            instance_id: opaque_id(&mut self.random, "-1-e"),
            principal_id: principal.id,
            principal_kind: principal.kind,
            role_definition_id: self.role(),
            directory_scope_id: self.scope(),
            created,
            start: created,
            end: self.end(),
        }
    }

    /// A group `principal` may become a member or owner of.
    pub(crate) fn group_eligibility(
        &mut self,
        group_id: Uuid,
        principal: Link,
    ) -> GroupEligibility {
        let access = if self.random.chance(0.75) {
            GroupAccess::Member
        } else {
            GroupAccess::Owner
        };
        let word = access.as_str();
        let created = days_from_today(&mut self.random, -400, -5);
        GroupEligibility {
            id: format!("{group_id}_{word}_{}", self.random.uuid()),
            schedule_id: format!("{group_id}_{word}_{}", self.random.uuid()),
            group_id,
            principal_id: principal.id,
            principal_kind: principal.kind,
            access,
            created,
            start: created,
            end: self.end(),
        }
    }
}

/// Role assignment ids are long opaque words with a suffix.
fn opaque_id(random: &mut Random, suffix: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    let word: String = (0..43).map(|_| char::from(*random.pick(LETTERS))).collect();
    format!("{word}{suffix}")
}

/// Hands out roles and eligibilities in proportion to the tenant.
pub(crate) fn add_holders(tenant: &mut Tenant, random: &mut Random) {
    let users: Vec<Uuid> = tenant
        .users
        .values()
        .filter(|user| !user.is_guest())
        .map(|user| user.id)
        .collect();
    let principals: Vec<Uuid> = tenant.service_principals.keys().copied().collect();
    let role_groups: Vec<Uuid> = tenant
        .groups
        .values()
        .filter(|group| group.is_role_assignable())
        .map(|group| group.id)
        .collect();
    let mut maker = RoleMaker::new(tenant, Random::new(random.next()));
    let holders = 6 + tenant.users.len() / 100;
    let mut assigned: Vec<Link> = random
        .sample(&users, holders)
        .into_iter()
        .map(|id| Link {
            id,
            kind: MemberKind::User,
        })
        .collect();
    assigned.extend(
        random
            .sample(&principals, 2 + principals.len() / 20)
            .into_iter()
            .map(|id| Link {
                id,
                kind: MemberKind::ServicePrincipal,
            }),
    );
    assigned.extend(role_groups.iter().map(|id| Link {
        id: *id,
        kind: MemberKind::Group,
    }));
    for holder in assigned {
        let assignment = maker.assignment(holder);
        tenant
            .role_assignments
            .insert(assignment.id.clone(), assignment);
    }
    let mut eligible: Vec<Link> = random
        .sample(&users, holders * 2)
        .into_iter()
        .map(|id| Link {
            id,
            kind: MemberKind::User,
        })
        .collect();
    eligible.extend(random.sample(&role_groups, 2).into_iter().map(|id| Link {
        id,
        kind: MemberKind::Group,
    }));
    for holder in eligible {
        let eligibility = maker.eligibility(holder);
        tenant
            .role_eligibilities
            .insert(eligibility.id, eligibility);
    }
    add_group_eligibilities(tenant, &role_groups, &users, &mut maker, random);
}

/// Onboards the role-assignable groups and a few others to PIM for Groups; one
/// in five onboarded groups has no eligibility yet.
fn add_group_eligibilities(
    tenant: &mut Tenant,
    role_groups: &[Uuid],
    users: &[Uuid],
    maker: &mut RoleMaker,
    random: &mut Random,
) {
    let others: Vec<Uuid> = tenant
        .groups
        .values()
        .filter(|group| {
            !group.is_dynamic() && group.on_premises.is_none() && !group.is_role_assignable()
        })
        .map(|group| group.id)
        .collect();
    let mut onboarded = role_groups.to_vec();
    onboarded.extend(random.sample(&others, 2 + others.len() / 100));
    for (place, group_id) in onboarded.into_iter().enumerate() {
        tenant.pim_groups.insert(group_id);
        if place % 5 == 4 {
            continue;
        }
        let count = random.between(1, 5) as usize;
        for id in random.sample(users, count) {
            let eligibility = maker.group_eligibility(
                group_id,
                Link {
                    id,
                    kind: MemberKind::User,
                },
            );
            tenant
                .group_eligibilities
                .insert(eligibility.id.clone(), eligibility);
        }
    }
}
