//! The simulated tenant that is asked about: as generated, with every situation in it that a question is about.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use graph_sim::{
    AppRole, AppRoleAssignment, AssignmentType, GroupAccess, Link, MemberKind, RoleAssignment,
    RoleEligibility, ServicePrincipal, ServicePrincipalType, Tenant, UserType,
};
use uuid::Uuid;

use super::facts;

/// The department that is asked about.
pub const DEPARTMENT: &str = "Finance";
pub const GLOBAL_ADMINISTRATOR: Uuid = Uuid::from_u128(0x62e9_0394_69f5_4237_9190_0121_7714_5e10);

/// Objects with a part to play. All of them are there before and after the change.
pub struct Cast {
    /// Employees of other departments, enabled.
    pub people: Vec<Uuid>,
    /// Employees of the department, enabled.
    pub colleagues: Vec<Uuid>,
    pub guests: Vec<Uuid>,
    /// Left: their accounts are disabled.
    pub leavers: Vec<Uuid>,
    /// Groups of no special kind.
    pub groups: Vec<Uuid>,
    /// Groups that hold roles.
    pub role_groups: Vec<Uuid>,
    /// A group that contains one that contains one that contains one.
    pub chain: Uuid,
    /// Somebody who is in several groups of the chain.
    pub member_of_chain: Uuid,
    pub service_principals: Vec<Uuid>,
    /// The application that is asked about: its own id, its client id and one of its roles.
    pub application: Uuid,
    pub app_id: Uuid,
    app_role: AppRole,
    /// An end of something, far away.
    an_end: DateTime<Utc>,
}

impl Cast {
    /// Whoever survives the change that `seed` and `fraction` make of the tenant.
    pub fn of(tenant: &Tenant, seed: u64, fraction: f64) -> Self {
        let mut later = tenant.clone();
        let gone = later.change(seed, fraction);
        let gone: BTreeSet<Uuid> = [
            gone.removed_users,
            gone.removed_groups,
            gone.removed_service_principals,
        ]
        .concat()
        .into_iter()
        .collect();
        let stays = |id: &Uuid| !gone.contains(id);
        let users = tenant.users.values().filter(|user| stays(&user.id));
        let applications = tenant.service_principals.values();
        let mut applications = applications.filter(|one| stays(&one.id));
        let application = applications.find(|one| !one.app_roles.is_empty() && is_own(one));
        let application = application.expect("an application with roles");
        let employees = users.clone().filter(|user| user.department.is_some());
        let (colleagues, others): (Vec<_>, Vec<_>) = employees
            .map(|user| (user.id, user.department.as_deref() == Some(DEPARTMENT)))
            .partition(|(_, is_colleague)| *is_colleague);
        let mut people: Vec<Uuid> = others.into_iter().map(|(id, _)| id).collect();
        let leavers = people.split_off(people.len() - 4);
        let groups = tenant.groups.values().filter(|group| stays(&group.id));
        let groups_of_people: Vec<Uuid> = groups
            .clone()
            .filter(|group| !group.is_dynamic() && group.display_name.starts_with("SG-"))
            .map(|group| group.id)
            .collect();
        Self {
            application: application.id,
            app_id: application.app_id.expect("an application"),
            app_role: AppRole {
                is_enabled: true,
                ..application.app_roles[0].clone()
            },
            member_of_chain: *people.last().expect("people"),
            people,
            colleagues: colleagues.into_iter().map(|(id, _)| id).collect(),
            guests: users
                .filter(|user| user.is_guest())
                .map(|user| user.id)
                .collect(),
            leavers,
            role_groups: groups
                .filter(|group| group.is_role_assignable())
                .map(|group| group.id)
                .collect(),
            chain: groups_of_people[10],
            groups: groups_of_people,
            an_end: tenant.created + TimeDelta::days(20_000),
            service_principals: tenant
                .service_principals
                .keys()
                .copied()
                .filter(stays)
                .collect(),
        }
    }

    /// Puts every situation into the tenant, again where the change took it out.
    pub fn take_their_places(&self, tenant: &mut Tenant) {
        for id in &self.people {
            tenant.users.get_mut(id).expect("stays").account_enabled = Some(true);
        }
        for id in &self.leavers {
            tenant.users.get_mut(id).expect("stays").account_enabled = Some(false);
        }
        for (place, id) in self.guests.iter().enumerate() {
            let guest = tenant.users.get_mut(id).expect("stays");
            guest.user_type = UserType::Guest;
            if matches!(place, 2 | 6) {
                guest.external_user_state = Some("PendingAcceptance".to_owned());
            }
        }
        self.manage_and_own(tenant);
        self.hold_roles(tenant);
        self.be_eligible(tenant);
        self.hold_app_roles(tenant);
    }

    /// The key of the role that is asked about.
    pub fn role_key(&self) -> Uuid {
        let role = self.app_role.id.to_string();
        Uuid::new_v5(&self.application, role.as_bytes())
    }

    /// Permissions that lead to everything, a role of the application that is asked about, and nobody who owns by chance
    /// what the facts give him for a while.
    fn hold_app_roles(&self, tenant: &mut Tenant) {
        for id in tenant
            .service_principals
            .keys()
            .copied()
            .collect::<Vec<Uuid>>()
        {
            tenant.service_principal_owners.remove(id, self.people[26]);
        }
        let graph = *self.service_principals.last().expect("service principals");
        let permission = |number: usize| AppRole {
            id: facts::id(facts::PERMISSION, number),
            display_name: format!("Permission {number}"),
            value: Some(facts::PERMISSIONS[number].to_owned()),
            allowed_member_types: vec!["Application".to_owned()],
            ..self.app_role.clone()
        };
        for number in 0..facts::PERMISSIONS.len() {
            offer(tenant, graph, permission(number));
        }
        offer(tenant, self.application, self.app_role.clone());
        let robot = MemberKind::ServicePrincipal;
        for (number, id) in self.service_principals.iter().enumerate().take(23) {
            let role = permission(number % facts::PERMISSIONS.len()).id;
            give(
                tenant,
                graph,
                role,
                Link {
                    id: *id,
                    kind: robot,
                },
            );
        }
        // Nested groups do not count for roles of applications.
        for (id, kind) in [
            (self.people[2], MemberKind::User),
            (self.groups[4], MemberKind::Group),
        ] {
            give(
                tenant,
                self.application,
                self.app_role.id,
                Link { id, kind },
            );
        }
    }

    fn manage_and_own(&self, tenant: &mut Tenant) {
        let (groups, people) = (&self.groups, &self.people);
        for person in &people[10..13] {
            tenant.users.get_mut(person).expect("stays").manager_id = Some(self.leavers[0]);
        }
        tenant.add_owner(groups[0], self.leavers[0]);
        tenant.add_owner(self.chain, people[3]);
        tenant.add_owner(self.role_groups[0], people[4]);
        // What packages contain: delivered to some, made by hand for others.
        for (group, person) in [
            (0, people[0]),
            (0, people[1]),
            (1, people[0]),
            (0, people[20]),
            (1, people[21]),
            (0, self.guests[0]),
            (0, self.guests[3]),
            (4, people[5]),
            (4, people[6]),
            (5, people[7]),
            (3, self.guests[2]),
        ] {
            tenant.add_member(groups[group], person);
        }
        // Nested: whoever is in 5 is in 4.
        tenant.add_member(groups[4], groups[5]);
        tenant.add_member(groups[1], people[4]);
        for group in [groups[6], groups[14]] {
            tenant.members.set(group, Vec::new());
            tenant.owners.set(group, Vec::new());
        }
        tenant.add_owner(groups[14], people[3]);
        // Invited, and nothing else.
        for group in tenant.groups.keys().copied().collect::<Vec<Uuid>>() {
            tenant.remove_member(group, self.guests[6]);
            tenant.remove_owner(group, self.guests[6]);
        }
        // Who will be gone as an owner.
        tenant.owners.set(groups[15], Vec::new());
        tenant.add_owner(groups[15], self.leavers[2]);
        tenant.add_owner(self.chain, people[27]);
        tenant.add_owner(self.role_groups[0], people[27]);
        for place in 10..13 {
            tenant.add_member(groups[place], groups[place + 1]);
            tenant.add_member(groups[place + 1], self.member_of_chain);
        }
        tenant.add_member(self.chain, self.colleagues[0]);
        tenant.add_member(self.chain, self.guests[4]);
    }

    fn hold_roles(&self, tenant: &mut Tenant) {
        let role_group = self.role_groups[0];
        for person in [self.people[8], self.colleagues[1], self.colleagues[2]] {
            tenant.add_member(role_group, person);
        }
        tenant.add_member(role_group, self.groups[7]);
        tenant.add_member(self.groups[7], self.people[9]);
        tenant.add_member(self.groups[7], self.colleagues[3]);
        tenant.add_owner(role_group, self.colleagues[1]);
        let helpdesk = role_named(tenant, "Helpdesk Administrator");
        let users = role_named(tenant, "User Administrator");
        let unit = *tenant.administrative_units.keys().next().expect("a unit");
        let unit = format!("/administrativeUnits/{unit}");
        let user = MemberKind::User;
        for (number, holder, kind, role, scope) in [
            (1, role_group, MemberKind::Group, GLOBAL_ADMINISTRATOR, "/"),
            (2, self.people[14], user, GLOBAL_ADMINISTRATOR, "/"),
            (3, self.guests[1], user, helpdesk, "/"),
            (4, self.leavers[1], user, users, "/"),
            (5, self.people[15], user, users, unit.as_str()),
            (
                6,
                self.service_principals[3],
                MemberKind::ServicePrincipal,
                users,
                "/",
            ),
        ] {
            hold(tenant, number, Link { id: holder, kind }, role, scope);
        }
        for (number, person, is_activated) in [(8, 28, true), (9, 29, false)] {
            let holder = Link {
                id: self.people[person],
                kind: user,
            };
            let held = hold(tenant, number, holder, users, "/");
            if is_activated {
                held.assignment_type = AssignmentType::Activated;
            } else {
                held.end = Some(self.an_end);
            }
        }
    }

    fn be_eligible(&self, tenant: &mut Tenant) {
        let user = |id: Uuid| Link {
            id,
            kind: MemberKind::User,
        };
        let users = role_named(tenant, "User Administrator");
        may(tenant, 1, user(self.people[16]), GLOBAL_ADMINISTRATOR);
        may(tenant, 2, user(self.guests[1]), users);
        // Eligible, and active at the same time.
        may(tenant, 3, user(self.people[15]), users);
        let mut held = tenant.group_eligibilities.values();
        let known = held.next().cloned().expect("an eligibility");
        let (role_group, user) = (self.role_groups[0], MemberKind::User);
        for (group, access, id, kind) in [
            (role_group, GroupAccess::Owner, self.people[17], user),
            (self.groups[6], GroupAccess::Owner, self.people[17], user),
            (role_group, GroupAccess::Member, self.people[18], user),
            (self.chain, GroupAccess::Owner, self.people[23], user),
            (self.chain, GroupAccess::Member, self.people[24], user),
            // Whoever is in the one may activate the other.
            (
                self.chain,
                GroupAccess::Member,
                self.groups[8],
                MemberKind::Group,
            ),
        ] {
            let mut held = known.clone();
            held.id = format!("{group}_{}_asked_{id}", access.as_str());
            held.schedule_id.clone_from(&held.id);
            (held.group_id, held.access) = (group, access);
            (held.principal_id, held.principal_kind) = (id, kind);
            tenant.pim_groups.insert(group);
            tenant.group_eligibilities.insert(held.id.clone(), held);
        }
    }

    /// What happens between the two crawls, beside the change of everything.
    pub fn live_on(&self, tenant: &mut Tenant) {
        let people = &self.people;
        tenant.remove_member(self.groups[4], people[5]);
        tenant.add_member(self.groups[4], people[19]);
        tenant.add_owner(self.groups[4], people[5]);
        let user = Link {
            id: people[5],
            kind: MemberKind::User,
        };
        hold(tenant, 7, user, GLOBAL_ADMINISTRATOR, "/");
        // Privileged by joining a group that holds a role, of which some were owners before, or could be.
        for person in [people[22], people[17], people[4]] {
            tenant.add_member(self.role_groups[0], person);
        }
        tenant.remove_owner(self.groups[15], self.leavers[2]);
        tenant.remove_owner(self.chain, people[27]);
        tenant.remove_owner(self.role_groups[0], people[27]);
        // The mover loses something and is given something.
        tenant.remove_member(self.groups[0], people[20]);
        tenant.add_member(self.groups[8], people[20]);
        tenant.role_assignments.remove("asked-3-1");
        let mover = tenant.users.get_mut(&people[20]).expect("stays");
        mover.department = Some(DEPARTMENT.to_owned());
        let mut guest = tenant.users[&self.guests[0]].clone();
        guest.id = Uuid::from_u128(0x6e3f_0000_0000_4000_8000_0000_0000_0001);
        guest.user_principal_name = format!("new.{}", guest.user_principal_name);
        tenant.users.insert(guest.id, guest);
    }
}

fn is_own(one: &ServicePrincipal) -> bool {
    one.service_principal_type == ServicePrincipalType::Application
        && one
            .app_roles
            .iter()
            .all(|role| role.allowed_member_types != ["Application"])
}

/// The application offers the role, as it is.
fn offer(tenant: &mut Tenant, application: Uuid, role: AppRole) {
    let one = tenant
        .service_principals
        .get_mut(&application)
        .expect("stays");
    one.app_roles.retain(|known| known.id != role.id);
    one.app_roles.insert(0, role);
}

/// Somebody holds the role, once.
fn give(tenant: &mut Tenant, application: Uuid, role: Uuid, holder: Link) {
    let held = &mut tenant.app_access.assignments;
    held.retain(|(from, _), held| {
        *from != application || held.app_role_id != role || held.principal_id != holder.id
    });
    tenant.app_access.assign(AppRoleAssignment {
        id: format!("asked-{role}-{}", holder.id),
        app_role_id: role,
        principal_id: holder.id,
        principal_kind: holder.kind,
        resource_id: application,
        created: tenant.created,
    });
}

fn role_named(tenant: &Tenant, name: &str) -> Uuid {
    let mut roles = tenant.role_definitions.values();
    let role = roles.find(|role| role.display_name == name);
    role.expect("a built-in role").id
}

/// An assignment without an end.
fn hold<'a>(
    tenant: &'a mut Tenant,
    number: u32,
    holder: Link,
    role: Uuid,
    scope: &str,
) -> &'a mut RoleAssignment {
    let held = RoleAssignment {
        id: format!("asked-{number}-1"),
        principal_id: holder.id,
        principal_kind: holder.kind,
        role_definition_id: role,
        directory_scope_id: scope.to_owned(),
        assignment_type: AssignmentType::Assigned,
        start: None,
        end: None,
    };
    // The same role in the same scope twice would be one row.
    let is_same = |other: &RoleAssignment| {
        other.principal_id == held.principal_id
            && other.role_definition_id == role
            && other.directory_scope_id == scope
    };
    let others: BTreeMap<String, RoleAssignment> = std::mem::take(&mut tenant.role_assignments);
    tenant.role_assignments = others
        .into_iter()
        .filter(|(_, other)| !is_same(other))
        .collect();
    tenant
        .role_assignments
        .entry(held.id.clone())
        .insert_entry(held)
        .into_mut()
}

fn may(tenant: &mut Tenant, number: u128, holder: Link, role: Uuid) {
    let mut held = tenant.role_eligibilities.values();
    let known = held.next().expect("an eligibility").clone();
    let held = RoleEligibility {
        id: Uuid::from_u128(0x3a7e_0000_0000_4000_8000_0000_0000_0000 + number),
        instance_id: format!("asked-{number}-1-e"),
        principal_id: holder.id,
        principal_kind: holder.kind,
        role_definition_id: role,
        directory_scope_id: "/".to_owned(),
        ..known
    };
    tenant.role_eligibilities.insert(held.id, held);
}
