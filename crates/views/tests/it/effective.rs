use std::collections::BTreeSet;

use uuid::Uuid;

use crate::{
    model::{Effective, Model},
    random::{self, Dice},
    register::{DEFAULT_WORKSPACE, Holder, Register, id},
};

pub async fn read(
    register: &Register,
    statement: &'static str,
    system_id: i32,
    ids: &[Uuid],
) -> BTreeSet<Effective> {
    let rows: Vec<Effective> = sqlx::query_as(statement)
        .bind(system_id)
        .bind(ids)
        .fetch_all(&register.pool)
        .await
        .expect("rows");
    let count = rows.len();
    let set: BTreeSet<_> = rows.into_iter().collect();
    assert_eq!(set.len(), count, "each way once");
    set
}

async fn by_view(register: &Register, system_id: i32) -> BTreeSet<Effective> {
    let statement =
        "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
                     from effective_access where system_id = $1 and $2::uuid[] is not null";
    read(register, statement, system_id, &[]).await
}

pub async fn of_principals(
    register: &Register,
    system_id: i32,
    ids: &[Uuid],
) -> BTreeSet<Effective> {
    let statement =
        "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
                     from effective_access_of_principals($1, $2)";
    read(register, statement, system_id, ids).await
}

pub async fn of_resources(
    register: &Register,
    system_id: i32,
    ids: &[Uuid],
) -> BTreeSet<Effective> {
    let statement =
        "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
                     from effective_access_of_resources($1, $2)";
    read(register, statement, system_id, ids).await
}

async fn between(
    register: &Register,
    system_id: i32,
    principals: &[Uuid],
    resources: &[Uuid],
) -> BTreeSet<Effective> {
    sqlx::query_as(
        "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
         from effective_access_between($1, $2, $3)",
    )
    .bind(system_id)
    .bind(principals)
    .bind(resources)
    .fetch_all(&register.pool)
    .await
    .expect("rows")
    .into_iter()
    .collect()
}

/// All that one comes to by asking for the next few rows again and again.
async fn page_by_page(
    register: &Register,
    system_id: i32,
    resource: Uuid,
    rows_wanted: i64,
) -> BTreeSet<Effective> {
    let mut all = BTreeSet::new();
    let mut after = Uuid::nil();
    loop {
        let page: Vec<Effective> = sqlx::query_as(
            "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
             from effective_access_after($1, $2, $3, $4)",
        )
        .bind(system_id)
        .bind(resource)
        .bind(after)
        .bind(rows_wanted)
        .fetch_all(&register.pool)
        .await
        .expect("rows");
        let Some(last) = page.iter().map(|row| row.1).max() else {
            return all;
        };
        after = last;
        for row in page {
            assert!(all.insert(row.clone()), "it comes twice: {row:?}");
        }
    }
}

fn everything() -> Vec<Uuid> {
    random::groups()
        .into_iter()
        .chain(random::things())
        .collect()
}

/// What the functions answer about single objects, which never lags behind.
async fn assert_functions(
    register: &Register,
    system_id: i32,
    expected: &BTreeSet<Effective>,
    about: &str,
) {
    for user in random::users() {
        let theirs: BTreeSet<Effective> = expected
            .iter()
            .filter(|row| row.1 == user)
            .cloned()
            .collect();
        assert_eq!(
            of_principals(register, system_id, &[user]).await,
            theirs,
            "{about}"
        );
    }
    let all = of_principals(register, system_id, &random::users()).await;
    assert_eq!(&all, expected, "{about}");
    for resource in everything() {
        let of_it: BTreeSet<Effective> = expected
            .iter()
            .filter(|row| row.0 == resource)
            .cloned()
            .collect();
        assert_eq!(
            of_resources(register, system_id, &[resource]).await,
            of_it,
            "{about}"
        );
        for rows_wanted in [1, 4] {
            let paged = page_by_page(register, system_id, resource, rows_wanted).await;
            assert_eq!(paged, of_it, "{about}");
        }
    }
    let all = of_resources(register, system_id, &everything()).await;
    assert_eq!(&all, expected, "{about}");
    let all = between(register, system_id, &random::users(), &everything()).await;
    assert_eq!(&all, expected, "{about}");
    let (some_users, some_things) = (&random::users()[1..], &random::things()[1..]);
    let some: BTreeSet<Effective> = expected
        .iter()
        .filter(|row| some_users.contains(&row.1) && some_things.contains(&row.0))
        .cloned()
        .collect();
    let found = between(register, system_id, some_users, some_things).await;
    assert_eq!(found, some, "{about}");
}

async fn assert_everywhere(
    register: &Register,
    system_id: i32,
    expected: &BTreeSet<Effective>,
    about: &str,
) {
    assert_functions(register, system_id, expected, about).await;
    assert_eq!(&by_view(register, system_id).await, expected, "{about}");
}

pub fn row(
    resource: Uuid,
    principal: Uuid,
    kind: &str,
    scope: &str,
    via_kind: &str,
    via: Uuid,
) -> Effective {
    let [kind, scope, via_kind] = [kind, scope, via_kind].map(str::to_owned);
    (resource, principal, kind, scope, via_kind, via)
}

#[tokio::test]
async fn effective_access_is_what_the_rules_say_on_any_graph() {
    let register = Register::start().await;
    let mut dice = Dice::new(1);
    let mut seen = BTreeSet::new();
    let mut systems = Vec::new();
    for round in 0..200 {
        let model = random::model(&mut dice);
        let system = register
            .add_system(DEFAULT_WORKSPACE, &format!("random:{round}"))
            .await;
        model.store(&register, system).await;
        systems.push((system, model));
    }
    // Before the closure is known the walks answer, and the view by them; afterwards they agree with the closure.
    for (system, model) in systems.iter().step_by(4) {
        let expected = model.effective();
        assert_everywhere(&register, *system, &expected, &format!("{model:#?}")).await;
    }
    views::refresh(&register.pool).await.expect("refreshes");
    for (system, model) in &systems {
        let expected = model.effective();
        assert_everywhere(&register, *system, &expected, &format!("{model:#?}")).await;
        seen.extend(
            expected
                .into_iter()
                .map(|(_, _, kind, _, via, _)| (kind, via)),
        );
    }
    // The graphs were not too tame to show anything: every type was met by every way that it can come.
    assert_eq!(seen.len(), 6 + 6 + 3 + 3, "{seen:?}");
}

#[tokio::test]
async fn answers_follow_every_change_at_once_and_the_view_with_the_next_refresh() {
    let register = Register::start().await;
    let mut dice = Dice::new(2);
    let mut model = random::model(&mut dice);
    let system = register.system_id;
    model.store(&register, system).await;
    register.load_and_refresh().await;
    for round in 0..60 {
        change(&register, &mut dice, &mut model).await;
        register.note_load(system).await;
        let expected = model.effective();
        let about = format!("round {round}: {model:#?}");
        assert_functions(&register, system, &expected, &about).await;
        views::refresh(&register.pool).await.expect("refreshes");
        assert_everywhere(&register, system, &expected, &about).await;
    }
    let kept = closure(&register).await;
    assert!(!kept.is_empty());
    // A refresh from nothing comes to the same.
    register
        .run("delete from access_closure; delete from access_closure_systems; delete from view_refreshes;")
        .await;
    views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(closure(&register).await, kept);
}

type ClosureRow = (Uuid, Uuid, bool, bool, bool, bool);

async fn closure(register: &Register) -> BTreeSet<ClosureRow> {
    sqlx::query_as::<_, ClosureRow>(
        "select from_id, to_id, from_is_package, to_is_package, is_eligible, is_direct from access_closure",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows")
    .into_iter()
    .collect()
}

/// One more, or one less, assignment or relationship.
async fn change(register: &Register, dice: &mut Dice, model: &mut Model) {
    let system = register.system_id;
    let place = |dice: &mut Dice, count: usize| dice.below(1 + count as u64) as usize;
    match dice.below(4) {
        0 => {
            let place = place(dice, model.assignments.len());
            let Some(victim) = model.assignments.iter().nth(place).cloned() else {
                return;
            };
            sqlx::query(
                "update resource_assignments set deleted_at = now()
                 where resource_id = $1 and principal_id = $2 and assignment_type = $3 and role_scope = $4",
            )
            .bind(victim.resource)
            .bind(victim.holder.id())
            .bind(victim.kind)
            .bind(victim.scope)
            .execute(&register.pool)
            .await
            .expect("removes");
            model.assignments.remove(&victim);
        }
        1 => {
            let place = place(dice, model.containments.len());
            let Some(victim) = model.containments.iter().nth(place).cloned() else {
                return;
            };
            sqlx::query(
                "update resource_relationships set deleted_at = now()
                 where parent_resource_id = $1 and child_resource_id = $2 and relationship_type = $3
                   and role_name = $4",
            )
            .bind(victim.parent)
            .bind(victim.child)
            .bind(victim.kind)
            .bind(victim.role)
            .execute(&register.pool)
            .await
            .expect("removes");
            model.containments.remove(&victim);
        }
        2 => {
            let drawn = random::containment(dice);
            register
                .relate_in(system, drawn.parent, drawn.kind, drawn.role, drawn.child)
                .await;
            model.containments.insert(drawn);
        }
        _ => {
            let drawn = random::assignment(dice);
            register
                .hold_at(
                    system,
                    drawn.holder,
                    drawn.kind,
                    drawn.scope,
                    drawn.resource,
                )
                .await;
            model.assignments.insert(drawn);
        }
    }
}

#[tokio::test]
async fn a_member_of_a_group_in_a_group_has_what_the_outer_group_holds() {
    let register = Register::start().await;
    let (ada, inner, outer, role) = (id(1), id(101), id(102), id(201));
    register.hold(Holder::User(ada), "Direct", inner).await;
    register.hold(Holder::Group(inner), "Direct", outer).await;
    register.hold(Holder::Group(outer), "Direct", role).await;
    register.load_and_refresh().await;
    let expected = BTreeSet::from([
        row(inner, ada, "Direct", "/", "Direct", Uuid::nil()),
        row(outer, ada, "Direct", "/", "Group", inner),
        row(role, ada, "Direct", "/", "Group", outer),
    ]);
    assert_everywhere(&register, register.system_id, &expected, "chain").await;
}

#[tokio::test]
async fn eligible_membership_makes_eligible_and_eligible_ownership_makes_no_member() {
    let register = Register::start().await;
    let (ada, bob, admins, role) = (id(1), id(2), id(101), id(201));
    register.hold(Holder::User(ada), "Eligible", admins).await;
    register
        .hold_at(
            register.system_id,
            Holder::User(bob),
            "Eligible",
            "/owner",
            admins,
        )
        .await;
    register.hold(Holder::Group(admins), "Direct", role).await;
    register.hold(Holder::Group(admins), "Owner", id(202)).await;
    register.load_and_refresh().await;
    let expected = BTreeSet::from([
        row(admins, ada, "Eligible", "/", "Direct", Uuid::nil()),
        row(admins, bob, "Eligible", "/owner", "Direct", Uuid::nil()),
        row(role, ada, "Eligible", "/", "Group", admins),
        row(id(202), ada, "Eligible", "/owner", "Group", admins),
    ]);
    assert_everywhere(&register, register.system_id, &expected, "eligible").await;
}

#[tokio::test]
async fn a_role_of_an_application_goes_to_direct_members_and_to_whom_a_package_makes_one() {
    let register = Register::start().await;
    let (ada, bob, eve) = (id(1), id(2), id(3));
    let (inner, outer, package, app_role) = (id(101), id(102), id(201), id(202));
    register.hold(Holder::User(ada), "Direct", inner).await;
    register.hold(Holder::User(bob), "Direct", outer).await;
    register.hold(Holder::User(eve), "Governed", package).await;
    register.hold(Holder::Group(inner), "Direct", outer).await;
    register.relate(package, "Contains", "Member", outer).await;
    register
        .hold(Holder::Group(outer), "Direct", app_role)
        .await;
    // The assignment says what it is of; the resource itself is not here yet.
    register
        .run(
            "update resource_assignments set resource_type = 'EntraAppRole'
             where resource_id = '00000000-0000-0000-0000-0000000000ca'",
        )
        .await;
    register.load_and_refresh().await;
    let expected = BTreeSet::from([
        row(inner, ada, "Direct", "/", "Direct", Uuid::nil()),
        row(outer, bob, "Direct", "/", "Direct", Uuid::nil()),
        row(package, eve, "Governed", "/", "Direct", Uuid::nil()),
        row(outer, ada, "Direct", "/", "Group", inner),
        row(outer, eve, "Direct", "/", "Package", package),
        row(app_role, bob, "Direct", "/", "Group", outer),
        row(app_role, eve, "Direct", "/", "Group", outer),
    ]);
    assert_everywhere(&register, register.system_id, &expected, "app role").await;
}

#[tokio::test]
async fn owner_eligibility_told_by_its_access_id_makes_no_member() {
    let register = Register::start().await;
    register
        .hold(Holder::User(id(1)), "Eligible", id(101))
        .await;
    register
        .run("update resource_assignments set extended_attributes = '{\"accessId\": \"owner\"}'")
        .await;
    register
        .hold(Holder::Group(id(101)), "Direct", id(201))
        .await;
    register.load_and_refresh().await;
    let reached: Vec<Uuid> = sqlx::query_scalar("select resource_id from effective_access")
        .fetch_all(&register.pool)
        .await
        .expect("rows");
    assert_eq!(reached, [id(101)]);
}

#[tokio::test]
async fn group_nesting_includes_each_group_itself_and_ends_on_cycles() {
    let register = Register::start().await;
    let (a, b, alone) = (id(101), id(102), id(103));
    register.hold(Holder::Group(a), "Direct", b).await;
    register.hold(Holder::Group(b), "Eligible", a).await;
    register
        .resource(register.system_id, alone, "EntraGroup", "Alone")
        .await;
    let nesting: BTreeSet<(Uuid, Uuid, bool)> = sqlx::query_as::<_, (Uuid, Uuid, bool)>(
        "select group_id, nested_group_id, is_eligible from group_nesting",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows")
    .into_iter()
    .collect();
    let expected = BTreeSet::from([
        (a, a, false),
        (a, a, true),
        (a, b, true),
        (b, a, false),
        (b, a, true),
        (b, b, false),
        (b, b, true),
        (alone, alone, false),
    ]);
    assert_eq!(nesting, expected);
}

#[tokio::test]
async fn resource_access_shows_names_and_the_assignment_behind_each_row() {
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
    register.hold(Holder::Group(admins), "Direct", role).await;
    register
        .run(
            "update resource_assignments set state = 'Provisioned', expiration_date_time = '2031-01-01Z'
             where principal_type = 'Group'",
        )
        .await;
    register.load_and_refresh().await;
    let row: (String, String, String, String, bool, String, String, bool) = sqlx::query_as(
        "select principal_name, resource_name, assignment_type, access_state, is_direct, via_name, state,
                expiration_date_time = '2031-01-01Z'
         from resource_access where resource_type = 'EntraDirectoryRole'",
    )
    .fetch_one(&register.pool)
    .await
    .expect("one row");
    let text = |word: &str| word.to_owned();
    let expected = (
        text("Ada"),
        text("Reader"),
        text("Eligible"),
        text("Eligible"),
        false,
        text("Admins"),
        text("Provisioned"),
        true,
    );
    assert_eq!(row, expected);
}

#[tokio::test]
async fn orphan_references_names_each_end_that_points_nowhere_or_at_something_removed() {
    let register = Register::start().await;
    register.user(register.system_id, id(1), "Ada").await;
    register.user(register.system_id, id(2), "Gone").await;
    register
        .resource(register.system_id, id(101), "EntraGroup", "Known")
        .await;
    register.hold(Holder::User(id(1)), "Direct", id(101)).await;
    register.hold(Holder::User(id(2)), "Direct", id(101)).await;
    register
        .hold(Holder::Group(id(199)), "Direct", id(101))
        .await;
    register
        .hold(Holder::Group(id(101)), "Direct", id(299))
        .await;
    register.relate(id(101), "Contains", "", id(298)).await;
    register.relate(id(297), "Contains", "", id(101)).await;
    register
        .run("update principals set deleted_at = now() where display_name = 'Gone'")
        .await;
    let orphans: Vec<(String, Uuid, Uuid)> = sqlx::query_as(
        "select kind, missing_id, referring_id from orphan_references order by kind, missing_id",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows");
    let expected = [
        ("assignment_group", 199, 101),
        ("assignment_principal", 2, 101),
        ("assignment_resource", 299, 101),
        ("relationship_child", 298, 101),
        ("relationship_parent", 297, 101),
    ]
    .map(|(kind, missing, referring)| (kind.to_owned(), id(missing), id(referring)));
    assert_eq!(orphans, expected);
}
