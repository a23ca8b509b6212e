//! Access reviews of groups, packages, applications and roles.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::time::{days_from_today, midnight_from_today};
use crate::model::{
    AccessReview, Link, MemberKind, ReviewDecision, ReviewInstance, ReviewTarget, Tenant,
};
use crate::random::Random;

/// Tenants with fewer groups review nothing.
const SMALLEST: usize = 16;

/// The rounds of a review, by its place: how each stands.
const ROUNDS: &[&[&str]] = &[
    &["Applied", "Completed", "InProgress", "NotStarted"],
    &["InProgress"],
    &["Applied", "InProgress"],
    &["Completed"],
];

/// Fills a tenant's access reviews.
pub(super) fn add(tenant: &mut Tenant, mut random: Random) {
    if tenant.groups.len() < SMALLEST || tenant.users.is_empty() {
        return;
    }
    for place in 0..4 + tenant.groups.len() / 100 {
        let Some((target, links)) = target(tenant, &mut random, place) else {
            continue;
        };
        let review = review(tenant, &mut random, place, target, &links);
        tenant.governance.reviews.insert(review.id, review);
    }
}

/// What is reviewed, and whose access to it.
fn target(tenant: &Tenant, random: &mut Random, place: usize) -> Option<(ReviewTarget, Vec<Link>)> {
    let users: Vec<Uuid> = tenant.users.keys().copied().collect();
    let some_users = |random: &mut Random| -> Vec<Link> {
        let link = |id| Link {
            id,
            kind: MemberKind::User,
        };
        random.sample(&users, 6).into_iter().map(link).collect()
    };
    Some(match place % 4 {
        0 => {
            let groups: Vec<Uuid> = tenant.groups.keys().copied().collect();
            let full: Vec<Uuid> = groups
                .into_iter()
                .filter(|id| !tenant.members.of(*id).is_empty())
                .collect();
            if full.is_empty() {
                return None;
            }
            let id = *random.pick(&full);
            let members = tenant.members.of(id).iter().take(30).copied();
            let reviewed = members.filter(|link| link.kind != MemberKind::Group);
            (ReviewTarget::Group(id), reviewed.collect())
        }
        1 => {
            let packages: Vec<Uuid> = tenant.governance.packages.keys().copied().collect();
            if packages.is_empty() {
                return None;
            }
            (
                ReviewTarget::Package(*random.pick(&packages)),
                some_users(random),
            )
        }
        2 => {
            let principals: Vec<Uuid> = tenant.service_principals.keys().copied().collect();
            if principals.is_empty() {
                return None;
            }
            (
                ReviewTarget::Application(*random.pick(&principals)),
                some_users(random),
            )
        }
        _ => {
            let roles: Vec<Uuid> = tenant.role_definitions.keys().copied().collect();
            (ReviewTarget::Role(*random.pick(&roles)), some_users(random))
        }
    })
}

fn review(
    tenant: &Tenant,
    random: &mut Random,
    place: usize,
    target: ReviewTarget,
    links: &[Link],
) -> AccessReview {
    let rounds = ROUNDS[place % ROUNDS.len()];
    let instances: BTreeMap<Uuid, ReviewInstance> = rounds
        .iter()
        .enumerate()
        .map(|(turn, status)| {
            let instance = instance(tenant, random, (turn, rounds.len()), status, links);
            (instance.id, instance)
        })
        .collect();
    AccessReview {
        id: random.uuid(),
        display_name: format!("Review {place}"),
        target,
        created: days_from_today(random, -700, -400),
        instances,
    }
}

fn instance(
    tenant: &Tenant,
    random: &mut Random,
    (turn, rounds): (usize, usize),
    status: &str,
    links: &[Link],
) -> ReviewInstance {
    let back = (rounds - turn) as i64 * 90;
    let start = midnight_from_today(random, -back, -back + 5);
    let decisions: BTreeMap<Uuid, ReviewDecision> = links
        .iter()
        .filter(|_| status != "NotStarted")
        .enumerate()
        .map(|(number, link)| {
            let mut item = open_decision(random, *link, number);
            if status != "InProgress" || number % 2 == 0 {
                decide(tenant, random, &mut item, number);
            }
            (item.id, item)
        })
        .collect();
    ReviewInstance {
        id: random.uuid(),
        status: status.to_owned(),
        start,
        end: start + chrono::TimeDelta::days(14),
        decisions,
    }
}

fn open_decision(random: &mut Random, link: Link, number: usize) -> ReviewDecision {
    ReviewDecision {
        id: random.uuid(),
        principal_id: link.id,
        principal_kind: link.kind,
        decision: "NotReviewed".to_owned(),
        recommendation: if random.chance(0.7) {
            "Approve"
        } else {
            "Deny"
        }
        .to_owned(),
        justification: None,
        reviewer: None,
        reviewed: None,
        names_resource: number % 5 != 4,
    }
}

/// Somebody decides.
pub(crate) fn decide(
    tenant: &Tenant,
    random: &mut Random,
    item: &mut ReviewDecision,
    number: usize,
) {
    let users: Vec<Uuid> = tenant.users.keys().copied().collect();
    let reviewer = *random.pick(&users);
    ["Approve", "Deny", "DontKnow"][number % 3].clone_into(&mut item.decision);
    item.justification = number
        .is_multiple_of(2)
        .then(|| "Known to the reviewer".to_owned());
    item.reviewer = tenant
        .users
        .get(&reviewer)
        .map(|user| (reviewer, user.display_name.clone()));
    item.reviewed = Some(days_from_today(random, -60, 0));
}
