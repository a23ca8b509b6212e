use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{
    model::{Assignment, Effective},
    random::{self, Dice},
    register::{DEFAULT_WORKSPACE, Holder, Register, id},
};

/// Ada has a package that contains a team, which she is in, and a site, which she lacks. Bob is in the team by himself.
async fn with_package() -> (Register, [Uuid; 5]) {
    let register = Register::start().await;
    let [ada, bob, package, team, site] = [id(1), id(2), id(201), id(101), id(102)];
    register
        .resource(register.system_id, package, "BusinessRole", "Starter")
        .await;
    register
        .resource(register.system_id, team, "EntraGroup", "Team")
        .await;
    register.hold(Holder::User(ada), "Governed", package).await;
    register.relate(package, "Contains", "Member", team).await;
    register.relate(package, "Contains", "Owner", site).await;
    for user in [ada, bob] {
        register.hold(Holder::User(user), "Direct", team).await;
    }
    register.load_and_refresh().await;
    (register, [ada, bob, package, team, site])
}

type GovernedRow = (Uuid, Uuid, String, bool, Option<Vec<Uuid>>);

#[tokio::test]
async fn an_assignment_is_governed_where_a_package_that_the_principal_has_gives_it() {
    let (register, [ada, bob, package, team, site]) = with_package().await;
    // Ada's ownership of the team is not what the package gives.
    register.hold(Holder::User(ada), "Owner", team).await;
    let rows: Vec<GovernedRow> = sqlx::query_as(
        "select principal_id, resource_id, assignment_type, is_governed, package_ids from governed_access
         order by principal_id, assignment_type",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows");
    let row = |principal, kind: &str, packages: Option<Vec<Uuid>>| {
        (
            principal,
            team,
            kind.to_owned(),
            packages.is_some(),
            packages,
        )
    };
    assert_eq!(
        rows,
        [
            row(ada, "Direct", Some(vec![package])),
            row(ada, "Owner", None),
            row(bob, "Direct", None),
        ]
    );
    let gaps: Vec<(Uuid, Uuid, Uuid, String)> = sqlx::query_as(
        "select package_id, principal_id, resource_id, assignment_type from package_gaps",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows");
    assert_eq!(gaps, [(package, ada, site, "Owner".to_owned())]);
}

#[tokio::test]
async fn packages_that_need_a_look_are_found() {
    let (register, [_, _, package, _, site]) = with_package().await;
    let idle = id(202);
    register
        .resource(register.system_id, idle, "BusinessRole", "Idle")
        .await;
    register
        .run(
            "insert into assignment_policies (system_id, id, display_name, resource_id, content_hash, first_seen_at,
                 valid_from, sync_id)
             values (1, gen_random_uuid(), 'All', '00000000-0000-0000-0000-0000000000c9', '\\x00', now(), now(),
                     gen_random_uuid())",
        )
        .await;
    let found: BTreeSet<(Uuid, String, Option<Uuid>)> = sqlx::query_as::<_, (_, _, _)>(
        "select package_id, finding, resource_id from package_findings",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows")
    .into_iter()
    .collect();
    let finding = |package, word: &str, resource| (package, word.to_owned(), resource);
    let expected = BTreeSet::from([
        finding(package, "content_missing", Some(site)),
        finding(idle, "no_contents", None),
        finding(idle, "no_holders", None),
        finding(idle, "no_policy", None),
    ]);
    assert_eq!(found, expected);
}

type Outcome = (Uuid, Uuid, String, String);

#[tokio::test]
async fn what_remains_without_a_package_is_what_the_rules_give_without_it() {
    let register = Register::start().await;
    let mut dice = Dice::new(7);
    let (mut lost, mut kept) = (0, 0);
    for round in 0..60 {
        let mut model = random::model(&mut dice);
        // Two people with several packages each.
        for (user, package) in [(1, 201), (1, 202), (2, 202), (2, 203)] {
            model.assignments.insert(Assignment {
                holder: Holder::User(id(user)),
                kind: "Governed",
                scope: "/",
                resource: id(package),
            });
        }
        let system = register
            .add_system(DEFAULT_WORKSPACE, &format!("without:{round}"))
            .await;
        model.store(&register, system).await;
        for package in random::things() {
            let before = model.effective();
            let holders: BTreeSet<Uuid> = before
                .iter()
                .filter(|(resource, _, kind, scope, via, _)| {
                    let is_given = kind == "Governed" && scope != "/owner";
                    *resource == package && (is_given || kind == "Direct" && via == "Package")
                })
                .map(|row| row.1)
                .collect();
            let after = model.without_package(package, &holders).effective();
            let outcome =
                |row: &Effective| -> Outcome { (row.1, row.0, row.2.clone(), row.3.clone()) };
            let left: BTreeSet<Outcome> = after.iter().map(outcome).collect();
            let expected: BTreeMap<Outcome, bool> = before
                .difference(&after)
                .filter(|row| holders.contains(&row.1))
                .map(|row| (outcome(row), left.contains(&outcome(row))))
                .collect();
            let found: BTreeMap<Outcome, bool> =
                sqlx::query_as::<_, (Uuid, Uuid, String, String, bool)>(
                    "select principal_id, resource_id, assignment_type, role_scope, remains
                 from access_without_package($1, $2)",
                )
                .bind(system)
                .bind(package)
                .fetch_all(&register.pool)
                .await
                .expect("rows")
                .into_iter()
                .map(|(principal, resource, kind, scope, remains)| {
                    ((principal, resource, kind, scope), remains)
                })
                .collect();
            assert_eq!(found, expected, "without {package}: {model:#?}");
            lost += found.values().filter(|remains| !**remains).count();
            kept += found.values().filter(|remains| **remains).count();
        }
    }
    assert!(lost > 50 && kept > 5, "too tame: {lost} lost, {kept} kept");
}

#[tokio::test]
async fn stale_principals_are_disabled_inactive_or_never_seen_and_hold_something() {
    let register = Register::start().await;
    let system = register.system_id;
    for (number, name) in [
        (1, "Active"),
        (2, "Away"),
        (3, "Never"),
        (4, "New"),
        (5, "Off"),
        (6, "Idle"),
    ] {
        register.user(system, id(number), name).await;
        if name != "Idle" {
            register
                .hold(Holder::User(id(number)), "Direct", id(101))
                .await;
        }
    }
    register
        .run(
            "update principals set account_enabled = false where display_name = 'Off';
             update principals set created_date_time = now() where display_name = 'New';",
        )
        .await;
    let stale = async || -> Vec<(String, bool, bool, bool)> {
        sqlx::query_as(
            "select display_name, is_disabled, is_inactive, was_never_active from stale_principals(1, 90)
             order by principal_id",
        )
        .fetch_all(&register.pool)
        .await
        .expect("rows")
    };
    let row = |name: &str, flags: [bool; 3]| (name.to_owned(), flags[0], flags[1], flags[2]);
    // Activity is not read: nothing is known about sign-ins.
    assert_eq!(stale().await, [row("Off", [true, false, false])]);
    register
        .run(
            "insert into principal_activity (system_id, principal_id, resource_id, activity_type,
                 last_activity_date_time, content_hash, first_seen_at, valid_from, sync_id)
             select 1, p.id, gen_random_uuid(), 'SignIn', now() - make_interval(days => d.days), '\\x00', now(), now(),
                    gen_random_uuid()
             from (values ('Active', 400), ('Active', 3), ('Away', 91), ('Off', 3), ('Idle', 400)) d (name, days)
             join principals p on p.display_name = d.name",
        )
        .await;
    assert_eq!(
        stale().await,
        [
            row("Away", [false, true, false]),
            row("Never", [false, true, true]),
            row("New", [false, false, true]),
            row("Off", [true, false, false]),
        ]
    );
}
