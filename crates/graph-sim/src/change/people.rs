//! What changes around the users: sign-ins, administrative units, security attributes, policies. It draws from a stream
//! of its own, so that it does not shift what else a round changes.

use serde_json::json;
use uuid::Uuid;

use super::keys;
use crate::generate::{UnitMaker, days_from_today};
use crate::model::{Link, MemberKind, SignInActivity, Tenant};
use crate::random::Random;

pub(super) fn change(tenant: &mut Tenant, seed: u64, fraction: f64) {
    let mut random = Random::labelled(seed, "change around people");
    let share =
        |total: usize| ((total as f64 * fraction).round() as usize).clamp(1.min(total), total);
    let users = keys(&tenant.users);
    for (turn, id) in random
        .sample(&users, share(users.len()))
        .into_iter()
        .enumerate()
    {
        if let Some(user) = tenant.users.get_mut(&id) {
            user.sign_in = (turn % 6 != 5).then(|| SignInActivity {
                last_sign_in: Some(days_from_today(&mut random, 0, 1)),
                last_non_interactive_sign_in: None,
                last_successful_sign_in: Some(days_from_today(&mut random, 0, 1)),
            });
            match turn % 3 {
                0 => user.security_attributes.clear(),
                1 => {
                    let set = user.security_attributes.entry("Clearance".to_owned());
                    set.or_default().insert("Level".to_owned(), json!("C5"));
                }
                _ => {}
            }
        }
    }
    change_units(tenant, &mut random, share(tenant.unit_members.count()));
    change_policies(tenant, &mut random);
}

/// A unit goes and one comes, one gets another name, and members move.
fn change_units(tenant: &mut Tenant, random: &mut Random, moves: usize) {
    let units = keys(&tenant.administrative_units);
    if units.len() > 3 {
        tenant.remove_unit(*random.pick(&units));
    }
    let mut maker = UnitMaker::new(Random::new(random.next()), units.len());
    let unit = maker.make();
    let new = unit.id;
    tenant.administrative_units.insert(new, unit);
    let units = keys(&tenant.administrative_units);
    let mark = random.below(100_000);
    if let Some(unit) = tenant.administrative_units.get_mut(random.pick(&units)) {
        unit.description = Some(format!("Reviewed, case {mark}"));
        unit.devices.pop();
    }
    let links: Vec<(Uuid, Link)> = tenant.unit_members.iter().collect();
    for (unit, link) in random.sample(&links, moves) {
        tenant.unit_members.remove(unit, link.id);
    }
    for (kind, pool) in [
        (MemberKind::User, keys(&tenant.users)),
        (MemberKind::Group, keys(&tenant.groups)),
    ] {
        for id in random.sample(&pool, moves.div_ceil(2)) {
            let unit = if random.chance(0.1) {
                new
            } else {
                *random.pick(&units)
            };
            tenant.unit_members.add(unit, Link { id, kind });
        }
    }
}

fn change_policies(tenant: &mut Tenant, random: &mut Random) {
    let policies = keys(&tenant.conditional_access_policies);
    if policies.is_empty() {
        return;
    }
    let id = *random.pick(&policies);
    if let Some(policy) = tenant.conditional_access_policies.get_mut(&id) {
        let is_enabled = policy.state == "enabled";
        policy.state = String::from(if is_enabled { "disabled" } else { "enabled" });
        policy.modified = Some(days_from_today(random, 0, 1));
    }
}
