//! Life goes on: a seeded round of changes that keeps the tenant consistent.

mod people;

use uuid::Uuid;

use crate::change_apps::change_applications;
use crate::change_governance::govern;
use crate::generate::{
    DEFAULT_DOMAIN, DEPARTMENTS, GroupMaker, OFFICES, PrincipalMaker, RoleMaker, SKU_E5, UserMaker,
};
use crate::model::{License, Link, MemberKind, Tenant, User};
use crate::random::Random;
use crate::spec::TenantSpec;
use crate::summary::ChangeSummary;

impl Tenant {
    /// Changes about `fraction` of everything: attributes, renames, disabled
    /// accounts, new and deleted objects, memberships, owners, roles and
    /// eligibilities. At least one of each kind changes where the tenant has any,
    /// unless `fraction` is not above zero. The same tenant, seed and fraction
    /// give the same result.
    pub fn change(&mut self, seed: u64, fraction: f64) -> ChangeSummary {
        if fraction <= 0.0 {
            return ChangeSummary::default();
        }
        let before = self.clone();
        let mut round = Round {
            random: Random::labelled(seed, "change"),
            fraction: fraction.min(1.0),
            spec: TenantSpec::new(
                seed,
                self.users.len(),
                self.groups.len(),
                self.service_principals.len(),
            ),
        };
        round.remove_objects(self);
        round.create_objects(self);
        round.edit_users(self);
        round.edit_groups(self);
        round.edit_principals(self);
        round.move_members(self);
        round.move_owners(self);
        round.move_roles(self);
        change_applications(self, seed, fraction.min(1.0));
        people::change(self, seed, fraction.min(1.0));
        // Last, because it forgets what belongs to memberships and roles that are no more.
        govern(self, seed, fraction.min(1.0));
        ChangeSummary::between(&before, self)
    }
}

struct Round {
    random: Random,
    fraction: f64,
    spec: TenantSpec,
}

impl Round {
    /// How many of `total` this round touches, divided by `rarity`.
    fn share(&self, total: usize, rarity: f64) -> usize {
        let wanted = (total as f64 * self.fraction / rarity).round() as usize;
        wanted.max(1).min(total)
    }

    fn remove_objects(&mut self, tenant: &mut Tenant) {
        let mut gone = Vec::new();
        for ids in [
            keys(&tenant.users),
            keys(&tenant.groups),
            keys(&tenant.service_principals),
        ] {
            // Small tenants keep something to look at.
            if ids.len() >= 5 {
                let count = self.share(ids.len(), 5.0);
                gone.extend(self.random.sample(&ids, count));
            }
        }
        let orphaned: Vec<Uuid> = tenant
            .applications
            .values()
            .filter(|application| {
                gone.iter().any(|id| {
                    tenant
                        .service_principals
                        .get(id)
                        .is_some_and(|principal| principal.app_id == Some(application.app_id))
                })
            })
            .map(|application| application.id)
            .collect();
        gone.extend(orphaned);
        tenant.remove_objects(gone);
    }

    fn create_objects(&mut self, tenant: &mut Tenant) {
        let mut maker = UserMaker::new(&self.spec, Random::new(self.random.next()));
        maker.avoid(
            tenant
                .users
                .values()
                .map(|user| user.user_principal_name.as_str()),
        );
        let managers = keys(&tenant.users);
        for _ in 0..self.share(self.spec.users, 5.0) {
            let mut user = maker.make();
            if user.department.is_some() && !managers.is_empty() {
                user.manager_id = Some(*self.random.pick(&managers));
            }
            self.join_some_groups(tenant, &user);
            tenant.users.insert(user.id, user);
        }
        let mut maker = GroupMaker::new(&self.spec, Random::new(self.random.next()));
        for _ in 0..self.share(self.spec.groups, 5.0) {
            let group = maker.make();
            let id = group.id;
            tenant.groups.insert(id, group);
            let users = keys(&tenant.users);
            for member in self.random.sample(&users, 5) {
                tenant.add_member(id, member);
            }
        }
        let mut maker = PrincipalMaker::resume(
            tenant.tenant_id,
            Random::new(self.random.next()),
            tenant.service_principals.len(),
        );
        for _ in 0..self.share(self.spec.service_principals, 5.0) {
            let (principal, application) = maker.make();
            tenant.service_principals.insert(principal.id, principal);
            if let Some(application) = application {
                tenant.applications.insert(application.id, application);
            }
        }
    }

    fn join_some_groups(&mut self, tenant: &mut Tenant, user: &User) {
        let groups = keys(&tenant.groups);
        for group in self.random.sample(&groups, 3) {
            tenant.members.add(
                group,
                Link {
                    id: user.id,
                    kind: MemberKind::User,
                },
            );
        }
    }

    fn edit_users(&mut self, tenant: &mut Tenant) {
        let ids = keys(&tenant.users);
        let count = self.share(ids.len(), 1.0);
        for (turn, id) in self.random.sample(&ids, count).into_iter().enumerate() {
            let manager = *self.random.pick(&ids);
            if let Some(user) = tenant.users.get_mut(&id) {
                self.edit_user(user, turn, manager);
            }
        }
    }

    fn edit_user(&mut self, user: &mut User, turn: usize, manager: Uuid) {
        match turn % 7 {
            0 => user.account_enabled = Some(user.account_enabled != Some(true)),
            1 => rename(user, self.random.below(100_000)),
            2 => {
                let department = self.random.pick(DEPARTMENTS);
                user.department = Some(department.name.to_owned());
                user.division = Some(department.division.to_owned());
                user.job_title = Some((*self.random.pick(department.titles)).to_owned());
            }
            3 => {
                let office = self.random.pick(OFFICES);
                user.office_location = Some(format!("{}-{}", office.code, self.random.below(100)));
                user.city = Some(office.city.to_owned());
                user.country = Some(office.country.to_owned());
            }
            4 if manager != user.id => user.manager_id = Some(manager),
            5 => match user.licenses.pop() {
                Some(_) => {}
                None => user.licenses.push(License {
                    sku_id: SKU_E5,
                    assigned_by_group: None,
                }),
            },
            // Clearing a value is a change, too.
            6 if user.mobile_phone.is_some() => user.mobile_phone = None,
            _ => user.mobile_phone = Some(format!("+31 6 555 {:04}", self.random.below(10_000))),
        }
    }

    fn edit_groups(&mut self, tenant: &mut Tenant) {
        let ids = keys(&tenant.groups);
        let count = self.share(ids.len(), 1.0);
        for (turn, id) in self.random.sample(&ids, count).into_iter().enumerate() {
            let mark = self.random.below(100_000);
            if let Some(group) = tenant.groups.get_mut(&id) {
                if turn % 2 == 0 {
                    group.display_name = format!("{}-R{mark}", base_name(&group.display_name));
                } else {
                    group.description = Some(format!("Reviewed, case {mark}"));
                }
            }
        }
    }

    fn edit_principals(&mut self, tenant: &mut Tenant) {
        let ids = keys(&tenant.service_principals);
        let count = self.share(ids.len(), 2.0);
        for (turn, id) in self.random.sample(&ids, count).into_iter().enumerate() {
            let mark = self.random.below(100_000);
            if let Some(principal) = tenant.service_principals.get_mut(&id) {
                if turn % 2 == 0 {
                    principal.account_enabled = Some(principal.account_enabled != Some(true));
                } else {
                    principal.notes = Some(format!("Reviewed, case {mark}"));
                }
            }
        }
    }

    fn move_members(&mut self, tenant: &mut Tenant) {
        let links: Vec<(Uuid, Link)> = tenant.members.iter().collect();
        let groups = keys(&tenant.groups);
        let users = keys(&tenant.users);
        let principals = keys(&tenant.service_principals);
        let count = self.share(links.len(), 1.0);
        for (group, link) in self.random.sample(&links, count) {
            tenant.remove_member(group, link.id);
        }
        if groups.is_empty() {
            return;
        }
        for turn in 0..count {
            let pool = if turn % 8 == 7 { &principals } else { &users };
            if !pool.is_empty() {
                let member = *self.random.pick(pool);
                tenant.add_member(*self.random.pick(&groups), member);
            }
        }
    }

    fn move_owners(&mut self, tenant: &mut Tenant) {
        let links: Vec<(Uuid, Link)> = tenant.owners.iter().collect();
        let users = keys(&tenant.users);
        let count = self.share(links.len(), 1.0);
        for (group, link) in self.random.sample(&links, count) {
            tenant.remove_owner(group, link.id);
            if !users.is_empty() {
                tenant.add_owner(group, *self.random.pick(&users));
            }
        }
    }

    fn move_roles(&mut self, tenant: &mut Tenant) {
        let assignments: Vec<String> = tenant.role_assignments.keys().cloned().collect();
        let eligibilities = keys(&tenant.role_eligibilities);
        let group_eligibilities: Vec<String> = tenant.group_eligibilities.keys().cloned().collect();
        let users = keys(&tenant.users);
        let pim_groups: Vec<Uuid> = tenant.pim_groups.iter().copied().collect();
        let mut maker = RoleMaker::new(tenant, Random::new(self.random.next()));

        for _ in 0..self.share(assignments.len(), 2.0) {
            tenant
                .role_assignments
                .remove(self.random.pick(&assignments));
        }
        for _ in 0..self.share(eligibilities.len(), 2.0) {
            tenant
                .role_eligibilities
                .remove(self.random.pick(&eligibilities));
        }
        for _ in 0..self.share(group_eligibilities.len(), 2.0) {
            tenant
                .group_eligibilities
                .remove(self.random.pick(&group_eligibilities));
        }
        let count = self.share(assignments.len().max(1), 2.0);
        for id in self.random.sample(&users, count) {
            let holder = Link {
                id,
                kind: MemberKind::User,
            };
            let assignment = maker.assignment(holder);
            tenant
                .role_assignments
                .insert(assignment.id.clone(), assignment);
            let eligibility = maker.eligibility(holder);
            tenant
                .role_eligibilities
                .insert(eligibility.id, eligibility);
            if !pim_groups.is_empty() {
                let eligibility = maker.group_eligibility(*self.random.pick(&pim_groups), holder);
                tenant
                    .group_eligibilities
                    .insert(eligibility.id.clone(), eligibility);
            }
        }
    }
}

fn keys<T>(objects: &std::collections::BTreeMap<Uuid, T>) -> Vec<Uuid> {
    objects.keys().copied().collect()
}

/// A new surname, and with it a new name everywhere.
fn rename(user: &mut User, mark: usize) {
    let surname = format!("Renamed-{mark}");
    let given = user
        .given_name
        .clone()
        .unwrap_or_else(|| "Someone".to_owned());
    user.display_name = format!("{given} {surname}");
    user.surname = Some(surname);
    if !user.is_guest() {
        user.user_principal_name = format!("renamed.{mark}.{}@{DEFAULT_DOMAIN}", user.id.simple());
        user.mail = user.mail.as_ref().map(|_| user.user_principal_name.clone());
    }
}

/// A group's name without the mark of an earlier renaming.
fn base_name(name: &str) -> &str {
    name.rsplit_once("-R").map_or(name, |(base, _)| base)
}
