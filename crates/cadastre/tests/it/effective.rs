//! Who holds what in effect, worked out from the ground truth by walking, against what the register's views say.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use contract::RunOutcome;
use graph_sim::{
    Governance, GroupAccess, MemberKind, SimOptions, TenantSpec, Truth, TruthAppRoleAssignment,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::register::{Register, seed};

/// Resource, principal, type, scope, and the group that holds it (none when the principal does).
type Access = (Uuid, Uuid, String, String, Uuid);

/// A group that somebody is in, and whether something on the way there must be activated first.
type Membership = (Uuid, bool);

/// Every group of every user and service principal, however deep.
fn memberships(truth: &Truth) -> HashMap<Uuid, HashSet<Membership>> {
    let mut ways: HashMap<Uuid, Vec<Membership>> = HashMap::new();
    for link in &truth.members {
        let groups = ways.entry(link.member_id).or_default();
        groups.push((link.group_id, false));
    }
    let eligible = truth.group_eligibilities.iter();
    for held in eligible.filter(|held| held.access == GroupAccess::Member) {
        let groups = ways.entry(held.principal_id).or_default();
        groups.push((held.group_id, true));
    }
    let users = truth.users.iter().map(|user| user.id);
    let principals = users.chain(truth.service_principals.iter().map(|one| one.id));
    let walk = |id: Uuid| {
        let mut found = HashSet::new();
        let mut open = vec![(id, false)];
        while let Some((at, is_eligible)) = open.pop() {
            for (group, needs_activation) in ways.get(&at).into_iter().flatten() {
                let next = (*group, is_eligible || *needs_activation);
                if found.insert(next) {
                    open.push(next);
                }
            }
        }
        (id, found)
    };
    principals.map(walk).collect()
}

/// Every assignment, with what its holder is.
fn assignments(truth: &Truth) -> Vec<(Uuid, (Uuid, MemberKind), &'static str, String)> {
    let mut all = Vec::new();
    let root = || "/".to_owned();
    for (links, kind) in [(&truth.members, "Direct"), (&truth.owners, "Owner")] {
        let rows = links.iter().map(|link| {
            let holder = (link.member_id, link.member_kind);
            (link.group_id, holder, kind, root())
        });
        all.extend(rows);
    }
    for held in &truth.role_assignments {
        let holder = (held.principal_id, held.principal_kind);
        let scope = held.directory_scope_id.clone();
        all.push((held.role_definition_id, holder, "Direct", scope));
    }
    for held in &truth.role_eligibilities {
        let holder = (held.principal_id, held.principal_kind);
        let scope = held.directory_scope_id.clone();
        all.push((held.role_definition_id, holder, "Eligible", scope));
    }
    for held in &truth.group_eligibilities {
        let scope = match held.access {
            GroupAccess::Member => root(),
            GroupAccess::Owner => "/owner".to_owned(),
        };
        let holder = (held.principal_id, held.principal_kind);
        all.push((held.group_id, holder, "Eligible", scope));
    }
    for (owners, kind) in [
        (&truth.service_principal_owners, "Owner"),
        (&truth.application_owners, "Owner"),
        (&truth.sponsors, "Sponsor"),
    ] {
        let rows = owners.iter().map(|owner| {
            let holder = (owner.owner_id, owner.owner_kind);
            (owner.object_id, holder, kind, root())
        });
        all.extend(rows);
    }
    for grant in &truth.permission_grants {
        if let Some(user) = grant.principal_id {
            let holder = (user, MemberKind::User);
            let scope = format!("/{}", grant.client_id);
            all.push((grant.resource_id, holder, "OAuth2Grant", scope));
        }
    }
    for held in &truth.app_role_assignments {
        let holder = (held.principal_id, held.principal_kind);
        all.push((role_of(held), holder, "Direct", root()));
    }
    all
}

/// The key of an app role: its id in the name space of its application.
fn role_of(held: &TruthAppRoleAssignment) -> Uuid {
    let role = held.app_role_id.to_string();
    Uuid::new_v5(&held.resource_id, role.as_bytes())
}

/// What nested groups do not pass on: roles of applications, and applications.
fn only_for_own_members(truth: &Truth) -> HashSet<Uuid> {
    let roles = truth.app_role_assignments.iter().map(role_of);
    let applications = truth.service_principals.iter().map(|one| one.id);
    roles.chain(applications).collect()
}

/// The members of each group without those of the groups in it.
fn own_members(truth: &Truth) -> HashSet<(Uuid, Membership)> {
    let members = truth.members.iter();
    let members = members.map(|link| (link.member_id, (link.group_id, false)));
    let eligible = truth.group_eligibilities.iter();
    let eligible = eligible.filter(|held| held.access == GroupAccess::Member);
    let eligible = eligible.map(|held| (held.principal_id, (held.group_id, true)));
    members.chain(eligible).collect()
}

/// What `docs/views.md` promises of `effective_access`.
fn expected(truth: &Truth) -> BTreeSet<Access> {
    let mut members: HashMap<Uuid, Vec<(Uuid, bool)>> = HashMap::new();
    for (principal, groups) in memberships(truth) {
        for (group, is_eligible) in groups {
            let members = members.entry(group).or_default();
            members.push((principal, is_eligible));
        }
    }
    let (only_own, own) = (only_for_own_members(truth), own_members(truth));
    let mut all = BTreeSet::new();
    for (resource, (holder, kind), assignment_type, scope) in assignments(truth) {
        if kind != MemberKind::Group {
            all.insert((resource, holder, assignment_type.into(), scope, Uuid::nil()));
            continue;
        }
        for (principal, is_eligible) in members.get(&holder).into_iter().flatten() {
            let is_own = own.contains(&(*principal, (holder, *is_eligible)));
            if only_own.contains(&resource) && !is_own {
                continue;
            }
            let (assignment_type, scope) = match (is_eligible, assignment_type) {
                (false, kind) => (kind, scope.clone()),
                (true, "Owner") => ("Eligible", "/owner".to_owned()),
                (true, _) => ("Eligible", scope.clone()),
            };
            all.insert((resource, *principal, assignment_type.into(), scope, holder));
        }
    }
    all
}

#[derive(Deserialize)]
struct Views {
    views: Vec<View>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    is_stale: bool,
    is_running: bool,
}

/// Until no view is behind what it depends on.
pub async fn wait_for_views(register: &Register) {
    for _ in 0..600 {
        let status: Views = register.get("/api/ingest/refresh-views").await;
        let is_fresh = |view: &View| !view.is_stale && !view.is_running;
        if status.views.iter().all(is_fresh) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the views did not catch up in a minute");
}

async fn assert_effective_access(register: &Register) {
    wait_for_views(register).await;
    let found: Vec<Access> = sqlx::query_as(
        "select resource_id, principal_id, assignment_type, role_scope, via_id from effective_access",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows");
    let count = found.len();
    let found = BTreeSet::from_iter(found);
    assert_eq!(count, found.len(), "each way once");
    let expected = expected(&register.simulator.truth());
    let missing: Vec<&Access> = expected.difference(&found).take(5).collect();
    let invented: Vec<&Access> = found.difference(&expected).take(5).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:#?}\ninvented {invented:#?}"
    );
    for kind in ["Direct", "Owner", "Eligible"] {
        let is_passed_on = |access: &&Access| access.2 == kind && !access.4.is_nil();
        assert!(
            found.iter().any(|access| is_passed_on(&access)),
            "{kind} through a group"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn effective_access_is_what_walking_through_the_groups_finds() {
    let seed = seed();
    let spec = TenantSpec::new(seed, 300, 80, 60);
    let register = Register::start(&spec, SimOptions::default()).await;
    // Groups as owners, and eligible for a role: each kind of assignment is passed on by some group.
    // Packages give access, too, and the catalogue of questions looks at that. What PIM keeps about active memberships stays:
    // it gives nobody anything a second time.
    register.simulator.with_tenant(|tenant| {
        tenant.governance = Governance {
            group_assignments: std::mem::take(&mut tenant.governance.group_assignments),
            role_activations: std::mem::take(&mut tenant.governance.role_activations),
            ..Governance::default()
        };
        assert!(!tenant.governance.group_assignments.is_empty());
        let groups: Vec<Uuid> = tenant.groups.keys().copied().collect();
        tenant.add_owner(groups[20], groups[21]);
        let mut held = tenant.role_eligibilities.values_mut();
        let held = held.next().expect("an eligibility");
        (held.principal_id, held.principal_kind) = (groups[22], MemberKind::Group);
    });
    let report = register.crawl_with(register.ungoverned()).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_effective_access(&register).await;

    register.simulator.change(seed, 0.05);
    register.crawl_with(register.ungoverned()).await;
    register.approve_all().await;
    register.assert_equals_truth().await;
    assert_effective_access(&register).await;
}
