use std::collections::BTreeSet;

use sqlx::types::Json;
use uuid::Uuid;
use views::Step;

use crate::{
    model::Path,
    random::{self, Dice},
    register::{DEFAULT_WORKSPACE, Holder, Register, id},
};

type PathRow = (i32, String, String, Json<Vec<Step>>, bool);

/// All paths, by the SQL function itself with room for every one.
async fn all_paths(register: &Register, principal: Uuid, resource: Uuid) -> BTreeSet<Path> {
    let rows: Vec<PathRow> = sqlx::query_as(
        "select length, assignment_type, role_scope, steps, is_cut from explain_access($1, $2, $3, 30, 20000)
         order by path_number",
    )
    .bind(register.system_id)
    .bind(principal)
    .bind(resource)
    .fetch_all(&register.pool)
    .await
    .expect("an explanation");
    assert!(rows.is_sorted_by_key(|row| row.0), "shortest first");
    let count = rows.len();
    let paths: BTreeSet<Path> = rows
        .into_iter()
        .map(|(length, kind, scope, Json(steps), is_cut)| {
            assert!(!is_cut, "there was room for every path");
            assert_eq!(length as usize, steps.len());
            let steps = steps
                .into_iter()
                .map(|step| (step.from_id, step.relation, step.role_scope, step.to_id))
                .collect();
            (kind, scope, steps)
        })
        .collect();
    assert_eq!(paths.len(), count, "no path twice");
    paths
}

async fn explain(register: &Register, principal: Uuid, resource: Uuid) -> views::Explanation {
    views::explain(
        &register.pool,
        DEFAULT_WORKSPACE,
        register.system_id,
        principal,
        resource,
    )
    .await
    .expect("an explanation")
}

fn active(kinds: &BTreeSet<(String, String)>) -> BTreeSet<(String, String)> {
    let is_active = |pair: &&(String, String)| pair.0 != "Eligible";
    kinds.iter().filter(is_active).cloned().collect()
}

/// The ids that each path goes through.
fn routes(explanation: &views::Explanation) -> Vec<Vec<Uuid>> {
    explanation
        .paths
        .iter()
        .map(|path| {
            let start = path.steps.first().map(|step| step.from_id);
            start
                .into_iter()
                .chain(path.steps.iter().map(|step| step.to_id))
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn explain_lists_exactly_the_simple_paths_of_any_graph_before_any_refresh() {
    let register = Register::start().await;
    let mut dice = Dice::new(3);
    let mut found = 0;
    for round in 0..40 {
        register
            .run("truncate resource_assignments, resource_relationships, resources")
            .await;
        let model = random::model(&mut dice);
        model.store(&register, register.system_id).await;
        let groups = random::groups();
        let principals = random::users()
            .into_iter()
            .chain(groups.iter().copied().take(1));
        for principal in principals {
            for resource in random::things().into_iter().chain(groups.iter().copied()) {
                // A group's way to itself is a cycle, which the walk in memory does not list.
                if principal == resource {
                    continue;
                }
                let expected = model.paths(principal, resource);
                let actual = all_paths(&register, principal, resource).await;
                assert_eq!(
                    actual, expected,
                    "round {round}, {principal} to {resource}: {model:#?}"
                );
                found += expected.len();
            }
        }
    }
    assert!(found > 200, "the graphs were too tame: {found}");
}

#[tokio::test]
async fn explain_agrees_with_effective_access_where_no_package_is_involved() {
    let register = Register::start().await;
    let mut dice = Dice::new(4);
    for round in 0..10 {
        register
            .run("truncate resource_assignments, resources")
            .await;
        let mut model = random::model(&mut dice);
        model.containments.clear();
        model.store(&register, register.system_id).await;
        register.load_and_refresh().await;
        for principal in random::users() {
            for resource in random::things().into_iter().chain(random::groups()) {
                let effective: BTreeSet<(String, String)> = sqlx::query_as::<_, (String, String)>(
                    "select assignment_type, role_scope from effective_access
                     where principal_id = $1 and resource_id = $2",
                )
                .bind(principal)
                .bind(resource)
                .fetch_all(&register.pool)
                .await
                .expect("rows")
                .into_iter()
                .collect();
                let explained: BTreeSet<(String, String)> =
                    all_paths(&register, principal, resource)
                        .await
                        .into_iter()
                        .map(|(kind, scope, _)| (kind, scope))
                        .collect();
                assert!(explained.is_subset(&effective), "round {round}: {model:#?}");
                // A walk around a cycle can add eligibility for what is held anyway, and what a group holds of itself.
                if random::things().contains(&resource) {
                    assert_eq!(
                        active(&explained),
                        active(&effective),
                        "round {round}: {model:#?}"
                    );
                }
                assert_eq!(
                    explained.is_empty(),
                    effective.is_empty(),
                    "round {round}: {model:#?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn explain_on_a_cycle_ends_and_shows_only_simple_paths() {
    let register = Register::start().await;
    let (ada, a, b, role) = (id(1), id(101), id(102), id(201));
    for (inner, outer) in [(a, b), (b, a), (a, a)] {
        register.hold(Holder::Group(inner), "Direct", outer).await;
    }
    register.hold(Holder::User(ada), "Direct", a).await;
    register.hold(Holder::User(ada), "Direct", b).await;
    register.hold(Holder::Group(b), "Direct", role).await;
    let explanation = explain(&register, ada, role).await;
    assert_eq!(
        routes(&explanation),
        [vec![ada, b, role], vec![ada, a, b, role]]
    );
    assert!(!explanation.is_truncated);
}

#[tokio::test]
async fn a_dense_tangle_of_groups_is_answered_with_the_shortest_paths() {
    let register = Register::start().await;
    register
        .run(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
                 principal_type, content_hash, first_seen_at, valid_from, sync_id)
             select 1, lpad(to_hex(o), 32, '0')::uuid, lpad(to_hex(i), 32, '0')::uuid, 'Direct', '/', 'Group', '\\x00',
                    now(), now(), gen_random_uuid()
             from generate_series(256, 285) o, generate_series(256, 285) i",
        )
        .await;
    let (ada, entrance, exit, role) = (id(1), id(256), id(285), id(5000));
    register.hold(Holder::User(ada), "Direct", entrance).await;
    register.hold(Holder::Group(exit), "Direct", role).await;
    let explanation = explain(&register, ada, role).await;
    let routes = routes(&explanation);
    assert_eq!(routes[0], [ada, entrance, exit, role]);
    assert!(routes[1..29].iter().all(|route| route.len() == 5));
    assert!(routes[29..].iter().all(|route| route.len() == 6));
    assert_eq!(routes.len(), 50);
    assert!(explanation.is_truncated);
}

#[tokio::test]
async fn a_long_chain_of_groups_is_followed_to_its_end() {
    let register = Register::start().await;
    let (ada, role) = (id(1), id(201));
    register.hold(Holder::User(ada), "Direct", id(101)).await;
    for group in 101..130 {
        register
            .hold(Holder::Group(id(group)), "Direct", id(group + 1))
            .await;
    }
    register.hold(Holder::Group(id(130)), "Direct", role).await;
    let explanation = explain(&register, ada, role).await;
    assert_eq!(explanation.paths.len(), 1);
    assert_eq!(explanation.paths[0].length, 31);
}

#[tokio::test]
async fn steps_carry_names_kinds_dates_and_the_load() {
    let register = Register::start().await;
    let (ada, admins, role) = (id(1), id(101), id(201));
    register.user(register.system_id, ada, "Ada").await;
    register
        .resource(register.system_id, admins, "EntraGroup", "Admins")
        .await;
    register
        .resource(register.system_id, role, "EntraDirectoryRole", "Reader")
        .await;
    register.hold(Holder::User(ada), "Eligible", admins).await;
    register
        .hold_at(
            register.system_id,
            Holder::Group(admins),
            "Direct",
            "/administrativeUnits/x",
            role,
        )
        .await;
    register
        .run(
            "update resource_assignments
             set start_date_time = '2026-02-03T04:05:06Z', expiration_date_time = '2027-01-01Z',
                 sync_id = '00000000-0000-0000-0000-0000000000aa'
             where principal_type = 'User'",
        )
        .await;
    let explanation = explain(&register, ada, role).await;
    assert_eq!(explanation.principal_name.as_deref(), Some("Ada"));
    assert_eq!(
        explanation.resource_type.as_deref(),
        Some("EntraDirectoryRole")
    );
    let path = &explanation.paths[0];
    assert_eq!(
        (path.assignment_type.as_str(), path.access_state.as_str()),
        ("Eligible", "Eligible")
    );
    assert_eq!(path.role_scope, "/administrativeUnits/x");
    let expected = Step {
        from_id: ada,
        from_name: Some("Ada".to_owned()),
        from_kind: Some("User".to_owned()),
        relation: "Eligible".to_owned(),
        role_scope: "/".to_owned(),
        to_id: admins,
        to_name: Some("Admins".to_owned()),
        to_type: Some("EntraGroup".to_owned()),
        since: "2026-02-03T04:05:06Z".parse().ok(),
        first_seen_at: path.steps[0].first_seen_at,
        expires: "2027-01-01T00:00:00Z".parse().ok(),
        sync_id: id(0xaa),
    };
    assert_eq!(path.steps[0], expected);
    let second = &path.steps[1];
    assert_eq!(second.from_kind.as_deref(), Some("EntraGroup"));
    assert_eq!(second.since, None, "the source does not say");
    assert!(second.first_seen_at <= chrono::Utc::now());
    assert_eq!(second.expires, None);
}

#[tokio::test]
async fn a_package_conveys_what_it_contains_in_the_role_that_it_says() {
    let register = Register::start().await;
    let (ada, package, team, owned, app) = (id(1), id(201), id(101), id(102), id(202));
    register.hold(Holder::User(ada), "Governed", package).await;
    register.relate(package, "Contains", "Member", team).await;
    register.relate(package, "Contains", "Owner", owned).await;
    register.hold(Holder::Group(team), "Direct", app).await;
    register.hold(Holder::Group(owned), "Direct", id(203)).await;
    let explanation = explain(&register, ada, app).await;
    assert_eq!(routes(&explanation), [vec![ada, package, team, app]]);
    assert_eq!(explanation.paths[0].steps[1].relation, "Contains");
    assert_eq!(explanation.paths[0].assignment_type, "Direct");
    let through_package = explain(&register, ada, team).await;
    assert_eq!(through_package.paths[0].assignment_type, "Direct");
    assert_eq!(explain(&register, ada, owned).await.paths.len(), 1);
    assert!(explain(&register, ada, id(203)).await.paths.is_empty());
    // As a member of her own, she reaches it, but not by the package that makes her an owner.
    register.hold(Holder::User(ada), "Direct", owned).await;
    let as_member = explain(&register, ada, id(203)).await;
    assert_eq!(routes(&as_member), [vec![ada, owned, id(203)]]);
}

#[tokio::test]
async fn an_explanation_reads_back_from_its_camel_case_json() {
    let register = Register::start().await;
    register.hold(Holder::User(id(1)), "Direct", id(201)).await;
    let explanation = explain(&register, id(1), id(201)).await;
    let json = serde_json::to_value(&explanation).expect("serialises");
    assert_eq!(json["paths"][0]["steps"][0]["fromId"], id(1).to_string());
    assert_eq!(json["paths"][0]["accessState"], "Active");
    let back: views::Explanation = serde_json::from_value(json).expect("reads back");
    assert_eq!(back, explanation);
}
