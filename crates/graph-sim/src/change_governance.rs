//! A seeded round of changes to what governs access.

use uuid::Uuid;

use crate::generate::{GovernanceMaker, RoleMaker, add_assignment, decide};
use crate::model::{Link, MemberKind, PackageGrant, Tenant};
use crate::random::Random;

/// Packages that a tenant keeps at least.
const KEPT_PACKAGES: usize = 5;

/// Changes about `fraction` of the tenant's packages, assignments, requests, reviews
/// and activations; at least one of each kind where the tenant has any. The random
/// stream is the round's own, so that the changes of everything else stay the same.
pub(crate) fn govern(tenant: &mut Tenant, seed: u64, fraction: f64) {
    let mut random = Random::labelled(seed, "change governance");
    let share = |total: usize| {
        ((total as f64 * fraction).round() as usize)
            .max(1)
            .min(total)
    };
    activate(tenant, &mut random);
    forget_ended(tenant);
    change_packages(tenant, &mut random, share);
    change_assignments(tenant, &mut random, share);
    go_on_reviewing(tenant, &mut random);
}

/// An eligible user becomes active, another one's time is over.
fn activate(tenant: &mut Tenant, random: &mut Random) {
    let known: Vec<String> = tenant
        .governance
        .group_assignments
        .keys()
        .cloned()
        .collect();
    if !known.is_empty() {
        let ended = random.pick(&known);
        tenant.governance.group_assignments.remove(ended);
    }
    let groups: Vec<Uuid> = tenant.pim_groups.iter().copied().collect();
    let users: Vec<Uuid> = tenant.users.keys().copied().collect();
    // A tenant without governance gets none by changing.
    if groups.is_empty() || users.is_empty() || known.is_empty() {
        return;
    }
    let mut maker = RoleMaker::new(tenant, Random::new(random.next()));
    let (group, user) = (*random.pick(&groups), *random.pick(&users));
    let member = Link {
        id: user,
        kind: MemberKind::User,
    };
    tenant.add_member(group, user);
    add_assignment(tenant, &mut maker, random, (group, member), true);
}

/// PIM keeps nothing about memberships and roles that are no more.
fn forget_ended(tenant: &mut Tenant) {
    let eligible: std::collections::HashSet<&str> = tenant
        .role_eligibilities
        .values()
        .map(|one| one.instance_id.as_str())
        .collect();
    tenant.governance.forget_ended(
        &tenant.members,
        &tenant.owners,
        |assignment, eligibility| {
            tenant.role_assignments.contains_key(assignment) && eligible.contains(eligibility)
        },
        |id| tenant.group_eligibilities.contains_key(id),
    );
}

fn change_packages(tenant: &mut Tenant, random: &mut Random, share: impl Fn(usize) -> usize) {
    let packages: Vec<Uuid> = tenant.governance.packages.keys().copied().collect();
    if packages.is_empty() {
        return;
    }
    let count = share(packages.len());
    for (turn, id) in random.sample(&packages, count).into_iter().enumerate() {
        let groups: Vec<Uuid> = tenant.groups.keys().copied().collect();
        let mark = random.below(10_000);
        let Some(package) = tenant.governance.packages.get_mut(&id) else {
            continue;
        };
        package.modified += chrono::TimeDelta::seconds(1 + mark as i64);
        match turn % 3 {
            0 => package.description = Some(format!("Reviewed, case {mark}")),
            1 => package.is_hidden = !package.is_hidden,
            _ => package.display_name = format!("Package {mark}"),
        }
        package.contents.pop();
        if let (Some(content), false) = (package.contents.first_mut(), groups.is_empty()) {
            let group = *random.pick(&groups);
            let grant = PackageGrant::Group(group, crate::GroupAccess::Member);
            // A group is in a package once.
            if !matches!(content.grant, PackageGrant::Site { .. }) {
                content.grant = grant;
                content.role_id = random.uuid();
            }
        }
        let first = package
            .contents
            .first()
            .map(|content| content.grant.clone());
        let mut place = 0;
        package.contents.retain(|content| {
            place += 1;
            place == 1 || !is_same_group(first.as_ref(), &content.grant)
        });
    }
    if packages.len() > KEPT_PACKAGES {
        tenant.governance.remove_package(*random.pick(&packages));
    }
    let mut maker = GovernanceMaker::new(tenant, Random::new(random.next()));
    maker.add_package(tenant, packages.len() + random.below(100));
}

fn is_same_group(one: Option<&PackageGrant>, other: &PackageGrant) -> bool {
    matches!((one, other), (Some(PackageGrant::Group(one, _)), PackageGrant::Group(other, _)) if one == other)
}

fn change_assignments(tenant: &mut Tenant, random: &mut Random, share: impl Fn(usize) -> usize) {
    let mut maker = GovernanceMaker::new(tenant, Random::new(random.next()));
    let users: Vec<Uuid> = tenant.users.keys().copied().collect();
    let governance = &mut tenant.governance;
    let assignments: Vec<Uuid> = governance.assignments.keys().copied().collect();
    let count = share(assignments.len());
    for (turn, id) in random.sample(&assignments, count).into_iter().enumerate() {
        if turn % 2 == 1 {
            governance.assignments.remove(&id);
        } else if let Some(held) = governance.assignments.get_mut(&id) {
            "expired".clone_into(&mut held.state);
        }
    }
    let policies: Vec<Uuid> = governance.policies.keys().copied().collect();
    for _ in 0..count {
        if policies.is_empty() || users.is_empty() {
            break;
        }
        let policy = &governance.policies[random.pick(&policies)];
        let target = Some((*random.pick(&users), MemberKind::User));
        let held = maker.assignment(policy, target, "delivered");
        let request = maker.request_for(&held);
        governance.requests.insert(request.id, request);
        governance.assignments.insert(held.id, held);
    }
    let open = governance.requests.values_mut();
    if let Some(request) = open.into_iter().find(|one| one.state == "pendingApproval") {
        "denied".clone_into(&mut request.state);
        request.completed = Some(request.created + chrono::TimeDelta::hours(50));
    }
}

/// Open reviews get decisions; one of them comes to its end.
fn go_on_reviewing(tenant: &mut Tenant, random: &mut Random) {
    if tenant.users.is_empty() {
        return;
    }
    let mut reviews = std::mem::take(&mut tenant.governance.reviews);
    let mut has_ended = false;
    for review in reviews.values_mut() {
        let open = review.instances.values_mut();
        for instance in open.filter(|one| one.status == "InProgress") {
            let undecided = instance.decisions.values_mut();
            let undecided = undecided.filter(|item| item.decision == "NotReviewed");
            for (number, item) in undecided.take(2).enumerate() {
                decide(tenant, random, item, number);
            }
            if !has_ended {
                has_ended = true;
                "Completed".clone_into(&mut instance.status);
            }
        }
    }
    tenant.governance.reviews = reviews;
}
