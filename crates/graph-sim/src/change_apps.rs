//! Life goes on around applications: their owners, roles and credentials, who holds the roles, and what was consented to.

use uuid::Uuid;

use crate::generate::{AccessMaker, is_own_application};
use crate::model::{AppRole, AppRoleAssignment, Link, MemberKind, Tenant};
use crate::random::Random;

/// One round of changes, with a random stream of its own.
pub(crate) fn change_applications(tenant: &mut Tenant, seed: u64, fraction: f64) {
    let mut round = Round {
        random: Random::labelled(seed, "change applications"),
        fraction,
    };
    let mut maker = AccessMaker::new(tenant, Random::labelled(seed, "new access"));
    round.edit_registrations(tenant, &mut maker);
    round.edit_roles(tenant);
    round.move_assignments(tenant, &mut maker);
    round.move_grants(tenant, &mut maker);
    round.move_owners(tenant);
    round.move_sponsors(tenant, &mut maker);
}

struct Round {
    random: Random,
    fraction: f64,
}

impl Round {
    /// How many of `total` this round touches: one at least, where there is one.
    fn share(&self, total: usize) -> usize {
        let wanted = (total as f64 * self.fraction / 2.0).round() as usize;
        wanted.max(1).min(total)
    }

    fn some<T: Clone>(&mut self, from: impl Iterator<Item = T>) -> Vec<T> {
        let all: Vec<T> = from.collect();
        let places: Vec<usize> = (0..all.len()).collect();
        let chosen = self.random.sample(&places, self.share(all.len()));
        chosen.into_iter().map(|place| all[place].clone()).collect()
    }

    fn edit_registrations(&mut self, tenant: &mut Tenant, maker: &mut AccessMaker) {
        for (turn, id) in self
            .some(tenant.applications.keys().copied())
            .into_iter()
            .enumerate()
        {
            let mark = self.random.below(100_000);
            let Some(application) = tenant.applications.get_mut(&id) else {
                continue;
            };
            let name = application.display_name.clone();
            match turn % 3 {
                0 => application.description = Some(format!("Reviewed, case {mark}")),
                // A secret that ran out is taken away; a new one comes with the next round.
                1 => {
                    application.password_credentials.pop();
                }
                _ => maker.trust(tenant, id, &name),
            }
        }
        let known = tenant.app_access.federated_credentials.keys().copied();
        for key in self.some(known) {
            tenant.app_access.federated_credentials.remove(&key);
        }
    }

    /// Renames a role, disables one, takes one away with all who held it, offers a new one.
    fn edit_roles(&mut self, tenant: &mut Tenant) {
        let ours = tenant
            .service_principals
            .values()
            .filter(|one| is_own_application(one));
        let chosen = self.some(ours.map(|one| one.id).collect::<Vec<_>>().into_iter());
        for (turn, id) in chosen.into_iter().enumerate() {
            let (mark, new_id) = (self.random.below(100_000), self.random.uuid());
            let Some(one) = tenant.service_principals.get_mut(&id) else {
                continue;
            };
            match (turn % 3, one.app_roles.first_mut()) {
                (0, Some(role)) => role.display_name = format!("Role {mark}"),
                (1, Some(role)) => role.is_enabled = !role.is_enabled,
                (2, Some(_)) => {
                    let gone = one.app_roles.remove(0).id;
                    let held = &mut tenant.app_access.assignments;
                    held.retain(|(from, _), held| *from != id || held.app_role_id != gone);
                }
                _ => one.app_roles.push(AppRole {
                    id: new_id,
                    display_name: format!("Role {mark}"),
                    value: Some(format!("App.Role{mark}")),
                    description: "Offered since the last change".to_owned(),
                    allowed_member_types: vec!["User".to_owned()],
                    is_enabled: true,
                }),
            }
        }
    }

    fn move_assignments(&mut self, tenant: &mut Tenant, maker: &mut AccessMaker) {
        let users: Vec<Uuid> = tenant.users.keys().copied().collect();
        let known: Vec<_> = tenant.app_access.assignments.keys().cloned().collect();
        for key in self.some(known.into_iter()) {
            let Some(old) = tenant.app_access.assignments.remove(&key) else {
                continue;
            };
            if !users.is_empty() {
                let id = *self.random.pick(&users);
                let holder = Link {
                    id,
                    kind: MemberKind::User,
                };
                // The same person may not hold the same role twice.
                let is_same = |held: &AppRoleAssignment| {
                    held.app_role_id == old.app_role_id && held.principal_id == id
                };
                let is_held = tenant
                    .app_access
                    .assigned_to(old.resource_id, None)
                    .any(is_same);
                if is_held {
                    continue;
                }
                let held = maker.assignment(old.resource_id, old.app_role_id, holder);
                tenant.app_access.assign(held);
            }
        }
    }

    fn move_grants(&mut self, tenant: &mut Tenant, maker: &mut AccessMaker) {
        let known: Vec<String> = tenant.app_access.grants.keys().cloned().collect();
        for (turn, id) in self.some(known.into_iter()).into_iter().enumerate() {
            if turn % 2 == 0 {
                tenant.app_access.grants.remove(&id);
            } else if let Some(grant) = tenant.app_access.grants.get_mut(&id) {
                grant.scope = format!(" {} Sites.Read.All", maker.scope().trim());
            }
        }
    }

    fn move_owners(&mut self, tenant: &mut Tenant) {
        let users: Vec<Uuid> = tenant.users.keys().copied().collect();
        for is_registration in [false, true] {
            let links = if is_registration {
                &mut tenant.application_owners
            } else {
                &mut tenant.service_principal_owners
            };
            let known: Vec<(Uuid, Link)> = links.iter().collect();
            for (object, owner) in self.some(known.into_iter()) {
                links.remove(object, owner.id);
                if !users.is_empty() {
                    let id = *self.random.pick(&users);
                    links.add(
                        object,
                        Link {
                            id,
                            kind: MemberKind::User,
                        },
                    );
                }
            }
        }
    }

    fn move_sponsors(&mut self, tenant: &mut Tenant, maker: &mut AccessMaker) {
        let known: Vec<(Uuid, Link)> = tenant.app_access.sponsors.iter().collect();
        for (agent, sponsor) in self.some(known.into_iter()) {
            tenant.app_access.sponsors.remove(agent, sponsor.id);
            maker.sponsor(tenant, agent);
        }
    }
}
