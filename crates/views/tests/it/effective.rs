use std::collections::BTreeSet;

use uuid::Uuid;

use crate::{
    model::{Effective, Model},
    random::{self, Dice},
    register::{Holder, Register, id},
};

async fn stored(register: &Register) -> BTreeSet<Effective> {
    let rows: Vec<Effective> = sqlx::query_as(
        "select resource_id, principal_id, assignment_type, role_scope, via_group_id
         from effective_access where system_id = $1",
    )
    .bind(register.system_id)
    .fetch_all(&register.pool)
    .await
    .expect("rows");
    let count = rows.len();
    let set: BTreeSet<_> = rows.into_iter().collect();
    assert_eq!(set.len(), count);
    set
}

/// Soft-deletes everything, as a load that finds nothing would.
async fn clear(register: &Register) {
    register
        .run("update resource_assignments set deleted_at = now() where deleted_at is null")
        .await;
}

#[tokio::test]
async fn effective_access_is_the_closure_of_any_graph_and_converges_from_one_to_the_next() {
    let register = Register::start().await;
    let mut dice = Dice::new(1);
    let mut seen = BTreeSet::new();
    for round in 0..60 {
        let model = random::model(&mut dice);
        clear(&register).await;
        model.store(&register).await;
        register.load_and_refresh().await;
        let expected = model.effective();
        assert_eq!(
            stored(&register).await,
            expected,
            "round {round}: {model:#?}"
        );
        seen.extend(
            expected
                .into_iter()
                .map(|(_, _, kind, _, via)| (kind, via.is_nil())),
        );
    }
    // The graphs were not too tame to show anything: every type was met, held directly and through a group.
    assert_eq!(seen.len(), 12, "{seen:?}");
}

#[tokio::test]
async fn effective_access_follows_single_changes_and_soft_removals() {
    let register = Register::start().await;
    let mut dice = Dice::new(2);
    let mut model = Model::default();
    for round in 0..60 {
        let drawn = random::assignment(&mut dice);
        if dice.below(3) == 0
            && let Some(victim) = model
                .assignments
                .iter()
                .nth(dice.below(1 + model.assignments.len() as u64) as usize)
                .cloned()
        {
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
        } else {
            register
                .hold_at(
                    register.system_id,
                    drawn.holder,
                    drawn.kind,
                    drawn.scope,
                    drawn.resource,
                )
                .await;
            model.assignments.insert(drawn);
        }
        register.load_and_refresh().await;
        assert_eq!(
            stored(&register).await,
            model.effective(),
            "round {round}: {model:#?}"
        );
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
    let row = |resource, kind: &str, via| (resource, ada, kind.to_owned(), "/".to_owned(), via);
    let expected = BTreeSet::from([
        row(inner, "Direct", Uuid::nil()),
        row(outer, "Direct", inner),
        row(role, "Direct", outer),
    ]);
    assert_eq!(stored(&register).await, expected);
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
    let row = |resource, principal, scope: &str, via| {
        (
            resource,
            principal,
            "Eligible".to_owned(),
            scope.to_owned(),
            via,
        )
    };
    let expected = BTreeSet::from([
        row(admins, ada, "/", Uuid::nil()),
        row(admins, bob, "/owner", Uuid::nil()),
        row(role, ada, "/", admins),
        row(id(202), ada, "/owner", admins),
    ]);
    assert_eq!(stored(&register).await, expected);
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
        "select principal_name, resource_name, assignment_type, access_state, is_direct, via_group_name, state,
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
