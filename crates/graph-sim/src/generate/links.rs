//! Who is a member and who is an owner of what.

use std::collections::HashMap;

use uuid::Uuid;

use super::groups::{ALL_EMPLOYEES, CHAIN, CYCLE, SELF_NESTED, SPECIAL_GROUPS};
use crate::model::{Group, Link, MemberKind, ServicePrincipalClass, Tenant};
use crate::random::Random;

/// Spread of the log-normal group sizes: a median of about a quarter of the
/// mean and a largest group of more than a hundred times the mean.
const SIZE_SIGMA: f64 = 1.6;

/// Users to draw members from.
struct Pools {
    users: Vec<Uuid>,
    by_department: Vec<Vec<Uuid>>,
    agents: Vec<Uuid>,
    principals: Vec<Uuid>,
}

impl Pools {
    fn of(tenant: &Tenant) -> Self {
        let mut by_department: HashMap<&str, Vec<Uuid>> = HashMap::new();
        for user in tenant.users.values() {
            if let Some(department) = &user.department {
                by_department.entry(department).or_default().push(user.id);
            }
        }
        // Hash maps have no order; the draw below needs one.
        let mut by_department: Vec<(&str, Vec<Uuid>)> = by_department.into_iter().collect();
        by_department.sort_unstable_by_key(|(name, _)| *name);
        let agents = tenant
            .service_principals
            .values()
            .filter(|principal| principal.class == ServicePrincipalClass::AgentIdentity)
            .map(|principal| principal.id)
            .collect();
        Self {
            users: tenant.users.keys().copied().collect(),
            by_department: by_department.into_iter().map(|(_, users)| users).collect(),
            agents,
            principals: tenant.service_principals.keys().copied().collect(),
        }
    }

    fn user(&self, random: &mut Random, department: usize) -> Option<Uuid> {
        if self.users.is_empty() {
            return None;
        }
        let near = self.by_department.get(department);
        match near {
            Some(near) if random.chance(0.7) => Some(*random.pick(near)),
            _ => Some(*random.pick(&self.users)),
        }
    }
}

fn link(id: Uuid, kind: MemberKind) -> Link {
    Link { id, kind }
}

/// Fills `tenant.members` with about `mean × groups` memberships. `groups` lists
/// the group ids in creation order, the special ones first.
pub(crate) fn add_members(tenant: &mut Tenant, groups: &[Uuid], mean: f64, random: &mut Random) {
    let pools = Pools::of(tenant);
    let has_special = groups.len() >= SPECIAL_GROUPS;
    let mut budget = mean * groups.len() as f64;
    if has_special {
        let employees = employees(tenant, (budget / 2.0) as usize);
        budget -= employees.len() as f64;
        tenant.members.set(groups[ALL_EMPLOYEES], employees);
    }
    let weights: Vec<f64> = groups
        .iter()
        .map(|_| {
            let weight = (random.normal() * SIZE_SIGMA).exp();
            if random.chance(0.04) { 0.0 } else { weight }
        })
        .collect();
    let total: f64 = weights.iter().sum();
    for (place, group_id) in groups.iter().enumerate() {
        if has_special && place == ALL_EMPLOYEES {
            continue;
        }
        let is_chain = has_special && place < SPECIAL_GROUPS;
        let size = if is_chain {
            random.between(2, 9) as usize
        } else {
            (budget * weights[place] / total.max(f64::MIN_POSITIVE)).round() as usize
        };
        let members = draw_members(tenant, &pools, groups, (place, size), random);
        tenant.members.set(*group_id, members);
    }
    if has_special {
        nest_special_groups(tenant, groups);
    }
}

fn employees(tenant: &Tenant, limit: usize) -> Vec<Link> {
    tenant
        .users
        .values()
        .filter(|user| !user.is_guest())
        .take(limit)
        .map(|user| link(user.id, MemberKind::User))
        .collect()
}

fn draw_members(
    tenant: &Tenant,
    pools: &Pools,
    groups: &[Uuid],
    (place, size): (usize, usize),
    random: &mut Random,
) -> Vec<Link> {
    let department = random.below(pools.by_department.len());
    let size = size.min(pools.users.len());
    let mut ids: Vec<Uuid> = Vec::with_capacity(size);
    // Duplicates are dropped and drawn again, a few times at most.
    for _ in 0..4 {
        let missing = size - ids.len();
        ids.extend((0..missing).filter_map(|_| pools.user(random, department)));
        ids.sort_unstable();
        ids.dedup();
    }
    let mut members: Vec<Link> = ids
        .into_iter()
        .map(|id| link(id, MemberKind::User))
        .collect();
    let is_dynamic = tenant
        .groups
        .get(&groups[place])
        .is_some_and(Group::is_dynamic);
    if is_dynamic {
        return members;
    }
    if place % 9 == 6 {
        for _ in 0..=random.below(3) {
            let nested = *random.pick(groups);
            members.push(link(nested, MemberKind::Group));
        }
    }
    if place % 7 == 5 && !pools.principals.is_empty() {
        for _ in 0..=random.below(3) {
            let member = *random.pick(&pools.principals);
            members.push(link(member, MemberKind::ServicePrincipal));
        }
        if !pools.agents.is_empty() {
            let agent = *random.pick(&pools.agents);
            members.push(link(agent, MemberKind::ServicePrincipal));
        }
    }
    members
}

fn nest_special_groups(tenant: &mut Tenant, groups: &[Uuid]) {
    let mut nest = |outer: usize, inner: usize| {
        tenant
            .members
            .add(groups[outer], link(groups[inner], MemberKind::Group));
    };
    nest(CYCLE.0, CYCLE.1);
    nest(CYCLE.1, CYCLE.0);
    nest(SELF_NESTED, SELF_NESTED);
    for place in *CHAIN.start()..*CHAIN.end() {
        nest(place, place + 1);
    }
}

/// Gives owners to groups, service principals and applications.
pub(crate) fn add_owners(tenant: &mut Tenant, groups: &[Uuid], random: &mut Random) {
    let pools = Pools::of(tenant);
    for (place, id) in groups.iter().enumerate() {
        let can_have_owners = tenant.groups.get(id).is_some_and(|group| {
            group.on_premises.is_none() && (group.security_enabled || group.is_unified())
        });
        if can_have_owners {
            let owners = draw_owners(&pools, place, random);
            tenant.owners.set(*id, owners);
        }
    }
    let principals = pools.principals.clone();
    for (place, id) in principals
        .iter()
        .enumerate()
        .filter(|(place, _)| place % 2 == 0)
    {
        let owners = draw_owners(&pools, place, random);
        tenant.service_principal_owners.set(*id, owners);
    }
    let applications: Vec<Uuid> = tenant.applications.keys().copied().collect();
    for (place, id) in applications.iter().enumerate() {
        let owners = draw_owners(&pools, place, random);
        tenant.application_owners.set(*id, owners);
    }
}

/// One to three users; every sixth object also has a service principal as owner,
/// every twelfth an agent; one in ten objects has no owner at all.
fn draw_owners(pools: &Pools, place: usize, random: &mut Random) -> Vec<Link> {
    if random.chance(0.1) {
        return Vec::new();
    }
    let mut owners: Vec<Link> = (0..=random.below(3))
        .filter_map(|_| pools.user(random, usize::MAX))
        .map(|id| link(id, MemberKind::User))
        .collect();
    let robots = if place.is_multiple_of(12) && !pools.agents.is_empty() {
        &pools.agents
    } else {
        &pools.principals
    };
    if place.is_multiple_of(6) && !robots.is_empty() {
        owners.push(link(*random.pick(robots), MemberKind::ServicePrincipal));
    }
    owners
}
