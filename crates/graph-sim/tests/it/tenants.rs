use std::collections::{BTreeSet, HashSet};

use graph_sim::{ChangeSummary, MemberKind, Tenant, TenantSpec, Truth};
use proptest::prelude::*;

use crate::client::{id, start_default};

fn every_id(truth: &Truth) -> Vec<uuid::Uuid> {
    let users = truth.users.iter().map(|user| user.id);
    let groups = truth.groups.iter().map(|group| group.id);
    let principals = truth
        .service_principals
        .iter()
        .map(|principal| principal.id);
    let applications = truth.applications.iter().map(|application| application.id);
    users
        .chain(groups)
        .chain(principals)
        .chain(applications)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_spec_always_gives_the_same_sound_tenant_of_the_size_asked_for(
        seed: u64, users in 0_usize..80, groups in 0_usize..40, principals in 0_usize..25,
    ) {
        let spec = TenantSpec::new(seed, users, groups, principals);
        let tenant = Tenant::generate(&spec);
        prop_assert_eq!(tenant.users.len(), users);
        prop_assert_eq!(tenant.groups.len(), groups);
        prop_assert_eq!(tenant.service_principals.len(), principals);
        prop_assert_eq!(tenant.inconsistencies(), Vec::<String>::new());
        let truth = tenant.truth();
        let ids = every_id(&truth);
        prop_assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let names: HashSet<String> = truth.users.iter().map(|user| user.user_principal_name.to_lowercase()).collect();
        prop_assert_eq!(names.len(), users);
        prop_assert_eq!(Tenant::generate(&spec).truth(), truth);
    }

    #[test]
    fn changes_keep_every_link_sound_and_are_repeatable(seed: u64, rounds in 1_usize..4, fraction in 0.01_f64..0.6) {
        let spec = TenantSpec::new(seed, 60, 25, 12);
        let mut tenant = Tenant::generate(&spec);
        let mut twin = tenant.clone();
        for round in 0..rounds {
            let before = tenant.clone();
            let summary = tenant.change(seed ^ round as u64, fraction);
            prop_assert_eq!(tenant.inconsistencies(), Vec::<String>::new());
            prop_assert_eq!(&summary, &ChangeSummary::between(&before, &tenant));
            prop_assert_eq!(&summary, &twin.change(seed ^ round as u64, fraction));
        }
        prop_assert_eq!(tenant.truth(), twin.truth());
        let names: HashSet<String> = tenant.users.values().map(|user| user.user_principal_name.to_lowercase()).collect();
        prop_assert_eq!(names.len(), tenant.users.len());
    }
}

#[test]
fn other_seeds_give_other_tenants() {
    let first = Tenant::generate(&TenantSpec::new(1, 20, 20, 5));
    let second = Tenant::generate(&TenantSpec::new(2, 20, 20, 5));
    assert_ne!(first.truth().users, second.truth().users);
    assert_ne!(first.tenant_id, second.tenant_id);
}

#[test]
fn a_round_of_changes_touches_every_kind() {
    let mut tenant = Tenant::generate(&TenantSpec::default());
    let before = tenant.clone();
    let summary = tenant.change(3, 0.1);
    for (what, count) in [
        ("created users", summary.created_users.len()),
        ("updated users", summary.updated_users.len()),
        ("removed users", summary.removed_users.len()),
        ("created groups", summary.created_groups.len()),
        ("updated groups", summary.updated_groups.len()),
        ("removed groups", summary.removed_groups.len()),
        (
            "created service principals",
            summary.created_service_principals.len(),
        ),
        (
            "updated service principals",
            summary.updated_service_principals.len(),
        ),
        (
            "removed service principals",
            summary.removed_service_principals.len(),
        ),
        ("added members", summary.added_members.len()),
        ("removed members", summary.removed_members.len()),
        ("added owners", summary.added_owners.len()),
        ("removed owners", summary.removed_owners.len()),
        (
            "added role assignments",
            summary.added_role_assignments.len(),
        ),
        (
            "removed role assignments",
            summary.removed_role_assignments.len(),
        ),
        (
            "added role eligibilities",
            summary.added_role_eligibilities.len(),
        ),
        (
            "removed role eligibilities",
            summary.removed_role_eligibilities.len(),
        ),
        (
            "added group eligibilities",
            summary.added_group_eligibilities.len(),
        ),
        (
            "removed group eligibilities",
            summary.removed_group_eligibilities.len(),
        ),
        (
            "added package assignments",
            summary.added_package_assignments.len(),
        ),
        (
            "added package requests",
            summary.added_package_requests.len(),
        ),
        ("updated packages", summary.updated_packages.len()),
        ("updated reviews", summary.updated_reviews.len()),
    ] {
        assert!(count > 0, "{what}");
    }
    let disabled = summary.updated_users.iter().filter(|id| {
        before.users[id].account_enabled == Some(true)
            && tenant.users[id].account_enabled == Some(false)
    });
    assert!(disabled.count() > 0);
    let renamed = summary
        .updated_users
        .iter()
        .filter(|id| before.users[id].user_principal_name != tenant.users[id].user_principal_name);
    assert!(renamed.count() > 0);
}

#[test]
fn nothing_changes_for_nothing() {
    let mut tenant = Tenant::generate(&TenantSpec::default());
    let before = tenant.clone();
    assert!(tenant.change(3, 0.0).is_empty());
    assert_eq!(tenant, before);
}

#[test]
fn a_tenant_holds_the_situations_that_break_crawlers() {
    let tenant = Tenant::generate(&TenantSpec::default());
    let truth = tenant.truth();
    let group = |name: &str| {
        truth
            .groups
            .iter()
            .find(|group| group.display_name == name)
            .expect("it exists")
            .id
    };
    let (a, b) = (
        group("SG-Warehouse-Planners"),
        group("SG-Warehouse-Dispatchers"),
    );
    assert!(tenant.members.contains(a, b) && tenant.members.contains(b, a));
    let own = group("SG-Legacy-Fileshare");
    assert!(tenant.members.contains(own, own));
    let chain = [
        "Everyone",
        "Contributors",
        "Maintainers",
        "Release",
        "Production",
        "OnCall",
        "BreakGlass",
    ];
    for pair in chain.windows(2) {
        let [outer, inner] = [pair[0], pair[1]].map(|name| group(&format!("SG-Platform-{name}")));
        assert!(tenant.members.contains(outer, inner));
    }
    let has_name =
        |wanted: fn(&str) -> bool| truth.users.iter().any(|user| wanted(&user.display_name));
    assert!(has_name(|name| name.chars().count() == 256));
    assert!(has_name(|name| name.contains('\u{202e}')), "right to left");
    assert!(
        has_name(|name| name.contains('🚀')),
        "beyond the basic plane"
    );
    assert!(
        truth
            .users
            .iter()
            .any(|user| user.is_guest() && user.user_principal_name.contains("#EXT#"))
    );
    assert!(
        truth
            .users
            .iter()
            .any(|user| user.account_enabled.is_none())
    );
    assert!(
        truth
            .role_assignments
            .iter()
            .any(|held| held.principal_kind == MemberKind::Group)
    );
    assert!(
        truth
            .role_assignments
            .iter()
            .any(|held| held.directory_scope_id != "/")
    );
    assert!(
        truth
            .members
            .iter()
            .any(|link| link.member_kind == MemberKind::ServicePrincipal)
    );
    assert!(truth.roles.iter().filter(|role| role.is_built_in).count() >= 20);
    let with_eligibility: BTreeSet<_> = truth
        .group_eligibilities
        .iter()
        .map(|held| held.group_id)
        .collect();
    assert!(
        with_eligibility.len() < truth.pim_groups.len(),
        "an onboarded group may have nobody eligible"
    );
}

#[test]
fn memberships_add_up_to_the_mean_with_a_heavy_tail() {
    let spec = TenantSpec::new(1, 4_000, 1_000, 100);
    let tenant = Tenant::generate(&spec);
    let count = tenant.members.count() as f64;
    assert!((27_000.0..33_000.0).contains(&count), "{count}");
    let mut sizes: Vec<usize> = tenant
        .groups
        .keys()
        .map(|id| tenant.members.of(*id).len())
        .collect();
    sizes.sort_unstable();
    assert!(
        sizes[500] < 15 && sizes[998] > 200,
        "median {}, second largest {}",
        sizes[500],
        sizes[998]
    );
    assert!(sizes.contains(&0));
}

#[tokio::test]
async fn a_running_simulator_shows_its_changes() {
    let (simulator, client) = start_default().await;
    let summary = simulator.change(9, 0.1);
    let users: HashSet<uuid::Uuid> = client
        .all("/v1.0/users?$select=id&$top=999")
        .await
        .iter()
        .map(id)
        .collect();
    assert!(
        summary
            .created_users
            .iter()
            .all(|created| users.contains(created))
    );
    assert!(
        summary
            .removed_users
            .iter()
            .all(|removed| !users.contains(removed))
    );
    let group = summary.removed_groups[0];
    assert_eq!(
        client
            .get(&format!("/v1.0/groups/{group}/members"))
            .await
            .status,
        404
    );
    simulator.stop().await;
}
