//! What PIM knows about who is active: standing and activated memberships, and the
//! eligibility that each activation came out of.

use uuid::Uuid;

use super::roles::RoleMaker;
use super::time::{days_from_today, midnight_from_today};
use crate::model::{
    AssignmentType, GroupAccess, GroupAssignment, Link, MemberKind, RoleEligibility, Tenant,
};
use crate::random::Random;

/// Gives activated role assignments their eligibility, and members of PIM groups
/// their assignment. Adds eligibilities, but no member and no owner.
pub(super) fn add(tenant: &mut Tenant, roles: &mut RoleMaker, random: &mut Random) {
    let activated: Vec<_> = tenant
        .role_assignments
        .values()
        .filter(|held| held.assignment_type == AssignmentType::Activated)
        .cloned()
        .collect();
    for held in activated {
        let holder = Link {
            id: held.principal_id,
            kind: held.principal_kind,
        };
        let eligibility = RoleEligibility {
            role_definition_id: held.role_definition_id,
            directory_scope_id: held.directory_scope_id,
            ..roles.eligibility(holder)
        };
        let eligible = (held.id, eligibility.instance_id.clone());
        tenant
            .governance
            .role_activations
            .insert(eligible.0, eligible.1);
        tenant
            .role_eligibilities
            .insert(eligibility.id, eligibility);
    }
    let groups: Vec<Uuid> = tenant.pim_groups.iter().copied().collect();
    for (place, group_id) in groups.into_iter().enumerate() {
        let members: Vec<Link> = users_among(tenant.members.of(group_id));
        for (turn, member) in random.sample(&members, 2).into_iter().enumerate() {
            // Some groups keep nobody who is eligible.
            let has_eligible = tenant.eligibilities_of_group(group_id).next().is_some();
            let is_activated = has_eligible && (place + turn).is_multiple_of(2);
            add_assignment(tenant, roles, random, (group_id, member), is_activated);
        }
        let owners = users_among(tenant.owners.of(group_id));
        if let Some(owner) = owners.first() {
            let id = instance_id(random, group_id, GroupAccess::Owner);
            let held = GroupAssignment {
                id: id.clone(),
                schedule_id: id,
                group_id,
                principal_id: owner.id,
                principal_kind: owner.kind,
                access: GroupAccess::Owner,
                assignment_type: AssignmentType::Assigned,
                start: None,
                end: None,
                activated_using: None,
            };
            tenant
                .governance
                .group_assignments
                .insert(held.id.clone(), held);
        }
    }
}

fn users_among(links: &[Link]) -> Vec<Link> {
    let users = links.iter().filter(|link| link.kind == MemberKind::User);
    users.copied().collect()
}

fn instance_id(random: &mut Random, group_id: Uuid, access: GroupAccess) -> String {
    format!("{group_id}_{}_{}", access.as_str(), random.uuid())
}

/// PIM's side of a membership that is there already.
pub(crate) fn add_assignment(
    tenant: &mut Tenant,
    roles: &mut RoleMaker,
    random: &mut Random,
    (group_id, member): (Uuid, Link),
    is_activated: bool,
) {
    let activated_using = is_activated.then(|| {
        let mut eligibility = roles.group_eligibility(group_id, member);
        eligibility.access = GroupAccess::Member;
        eligibility.id = instance_id(random, group_id, GroupAccess::Member);
        let id = eligibility.id.clone();
        tenant.group_eligibilities.insert(id.clone(), eligibility);
        id
    });
    let held = GroupAssignment {
        id: instance_id(random, group_id, GroupAccess::Member),
        schedule_id: instance_id(random, group_id, GroupAccess::Member),
        group_id,
        principal_id: member.id,
        principal_kind: member.kind,
        access: GroupAccess::Member,
        assignment_type: if is_activated {
            AssignmentType::Activated
        } else {
            AssignmentType::Assigned
        },
        start: Some(days_from_today(random, -100, -1)),
        end: (is_activated || random.chance(0.5)).then(|| midnight_from_today(random, 30, 300)),
        activated_using,
    };
    tenant
        .governance
        .group_assignments
        .insert(held.id.clone(), held);
}
