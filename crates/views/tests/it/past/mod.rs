//! The register as it was: random changes committed at known instants, and every question asked about each of them.

mod life;

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgPoolOptions, types::Json};
use uuid::Uuid;
use views::{At, Step};

use crate::{
    model::{Effective, Model, Path},
    random::{self, Dice},
    register::{DEFAULT_WORKSPACE, Register},
};
use life::Past;

async fn run(conn: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(conn)
        .await
        .expect("the statement runs");
}

const BY_VIEW: &str =
    "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
     from effective_access where system_id = $1 and $2::uuid[] is not null";
const OF_PRINCIPALS: &str =
    "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
     from effective_access_of_principals($1, $2)";
const OF_RESOURCES: &str =
    "select resource_id, principal_id, assignment_type, role_scope, via_kind, via_id
     from effective_access_of_resources($1, $2)";

async fn rows(
    conn: &mut PgConnection,
    question: &'static str,
    system_id: i32,
    ids: &[Uuid],
) -> BTreeSet<Effective> {
    let rows: Vec<Effective> = sqlx::query_as(question)
        .bind(system_id)
        .bind(ids)
        .fetch_all(conn)
        .await
        .expect("rows");
    let count = rows.len();
    let set: BTreeSet<_> = rows.into_iter().collect();
    assert_eq!(set.len(), count, "each way once");
    set
}

async fn paths(
    conn: &mut PgConnection,
    system_id: i32,
    principal: Uuid,
    resource: Uuid,
) -> BTreeSet<Path> {
    let rows: Vec<(String, String, Json<Vec<Step>>)> = sqlx::query_as(
        "select assignment_type, role_scope, steps from explain_access($1, $2, $3, 30, 20000)",
    )
    .bind(system_id)
    .bind(principal)
    .bind(resource)
    .fetch_all(conn)
    .await
    .expect("paths");
    rows.into_iter()
        .map(|(kind, scope, Json(steps))| {
            let steps = steps
                .into_iter()
                .map(|step| (step.from_id, step.relation, step.role_scope, step.to_id))
                .collect();
            (kind, scope, steps)
        })
        .collect()
}

fn everything() -> Vec<Uuid> {
    random::groups()
        .into_iter()
        .chain(random::things())
        .collect()
}

/// All questions about one instant, on a connection that is turned to it.
async fn assert_so(conn: &mut PgConnection, system_id: i32, model: &Model, about: &str) {
    let expected = model.effective();
    let by_principal = rows(conn, OF_PRINCIPALS, system_id, &random::users()).await;
    assert_eq!(by_principal, expected, "by principals, {about}");
    let by_resource = rows(conn, OF_RESOURCES, system_id, &everything()).await;
    assert_eq!(by_resource, expected, "by resources, {about}");
    let by_view = rows(conn, BY_VIEW, system_id, &[]).await;
    assert_eq!(by_view, expected, "by the view, {about}");
    for principal in random::users() {
        for resource in random::things() {
            let found = paths(conn, system_id, principal, resource).await;
            assert_eq!(found, model.paths(principal, resource), "paths, {about}");
        }
    }
}

#[tokio::test]
async fn at_every_instant_access_was_what_the_rules_say_of_that_instant() {
    let register = Register::start().await;
    let mut dice = Dice::new(12);
    let mut pasts = Vec::new();
    for round in 0..4 {
        pasts.push(Past::live(&register, &mut dice, &format!("past:{round}")).await);
    }
    // The closure is of the present, and must never answer for the past.
    views::refresh(&register.pool).await.expect("refreshes");
    let mut seen = BTreeSet::new();
    for past in &pasts {
        for (number, then) in past.thens.iter().enumerate() {
            let about = format!("instant {number} of {}: {:#?}", past.system_id, then.model);
            let mut transaction = register.pool.begin().await.expect("begins");
            run(&mut transaction, views::settings_as_of(then.at)).await;
            assert_so(&mut transaction, past.system_id, &then.model, &about).await;
            transaction.commit().await.expect("commits");
            seen.insert(then.model.effective());
        }
        // The present is not touched by what was asked on the same connections, nor is the view by the closure.
        let last = &past.thens.last().expect("the last").model;
        let mut connection = register.pool.acquire().await.expect("a connection");
        assert_so(&mut connection, past.system_id, last, "now").await;
    }
    let instants: usize = pasts.iter().map(|past| past.thens.len()).sum();
    assert!(
        seen.len() * 2 > instants,
        "the graphs were too tame: {} of {instants}",
        seen.len()
    );
}

/// The ways in which each principal has a resource, as the questions of the API answer.
async fn holders(at: At<'_>, system_id: i32, resource: Uuid) -> BTreeSet<Effective> {
    let page = views::resource_holders(at, DEFAULT_WORKSPACE, system_id, resource, None, 1000)
        .await
        .expect("holders");
    (page.items.into_iter())
        .map(|holder| {
            (
                resource,
                holder.principal_id,
                holder.access.assignment_type,
                holder.access.role_scope,
                holder.access.via_kind,
                holder.access.via_id.unwrap_or(Uuid::nil()),
            )
        })
        .collect()
}

#[tokio::test]
async fn one_connection_answers_about_now_and_then_in_turns() {
    let register = Register::start().await;
    let past = Past::live(&register, &mut Dice::new(12), "turns").await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with((*register.pool.connect_options()).clone())
        .await
        .expect("connects");
    let now = &past.thens.last().expect("the last").model.effective();
    for then in &past.thens {
        let effective = then.model.effective();
        for (expected, instant) in [(&effective, Some(then.at)), (now, None)] {
            for resource in everything() {
                let mut expected = expected.clone();
                expected.retain(|row| row.0 == resource);
                let at = At::new(&pool, instant);
                let found = holders(at, past.system_id, resource).await;
                assert_eq!(found, expected, "{resource} at {instant:?}");
                // A principal of these has it in the matrix, and a way to it.
                if let Some((_, principal, ..)) = expected.first() {
                    let (workspace, system) = (DEFAULT_WORKSPACE, past.system_id);
                    let axes = ([resource], [*principal]);
                    let cells =
                        views::permission_matrix(at, workspace, system, &axes.0, &axes.1).await;
                    assert_eq!(cells.expect("cells").len(), 1);
                    let why = views::explain(at, workspace, system, *principal, resource).await;
                    let why = why.expect("an explanation");
                    assert!(!why.paths.is_empty() || why.is_truncated);
                }
            }
        }
    }
}

#[tokio::test]
async fn before_a_system_was_known_nobody_had_anything_in_it() {
    let register = Register::start().await;
    let past = Past::live(&register, &mut Dice::new(13), "young").await;
    let before = past.thens[0].at - TimeDelta::days(400);
    for resource in everything() {
        let at = At::new(&register.pool, Some(before));
        assert!(holders(at, past.system_id, resource).await.is_empty());
    }
}

#[tokio::test]
async fn what_has_no_past_is_refused_and_never_answered_from_the_present() {
    let register = Register::start().await;
    for (question, why) in [
        ("select * from stale_principals(1)", "only the present"),
        ("select * from principal_sign_ins", "only the present"),
        ("select * from principal_activity", "only the present"),
    ] {
        let mut transaction = register.pool.begin().await.expect("begins");
        register
            .user(register.system_id, Uuid::from_u128(1), "Ada")
            .await;
        run(&mut transaction, views::settings_as_of(Utc::now())).await;
        let refused = sqlx::raw_sql(question)
            .execute(&mut *transaction)
            .await
            .expect_err(question);
        assert!(refused.to_string().contains(why), "{question}: {refused}");
        register.run("delete from principals").await;
    }
    // Without an instant there is no answer, be it that none was ever set or that its transaction is over.
    let mut connection = register.pool.acquire().await.expect("a connection");
    for question in [
        "select * from past.effective_access",
        "select * from past.effective_access_of_resources(1, '{}')",
        "select * from past.explain_access(1, gen_random_uuid(), gen_random_uuid())",
    ] {
        sqlx::raw_sql(question)
            .execute(&mut *connection)
            .await
            .expect_err(question);
    }
}

#[tokio::test]
async fn whatever_the_search_path_is_the_past_is_built_on_the_past_only() {
    let register = Register::start().await;
    // What rules and bodies were bound to: relations and functions of public.
    let found: Vec<String> = sqlx::query_scalar(
        "with ours as (
             select c.oid, c.relname::text as name from pg_class c where c.relnamespace = 'past'::regnamespace
             union all
             select p.oid, p.proname::text from pg_proc p where p.pronamespace = 'past'::regnamespace
         ), uses as (
             select coalesce(r.ev_class, d.objid) as user_id, d.refclassid, d.refobjid
             from pg_depend d
             left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
         )
         select distinct o.name || ' reads ' || coalesce(c.relname, p.proname)
         from ours o
         join uses u on u.user_id = o.oid
         left join pg_class c
           on u.refclassid = 'pg_class'::regclass and c.oid = u.refobjid and c.relnamespace = 'public'::regnamespace
         left join pg_proc p
           on u.refclassid = 'pg_proc'::regclass and p.oid = u.refobjid and p.pronamespace = 'public'::regnamespace
         where (c.oid is not null or p.oid is not null)
           and not exists (
               select from governed_tables() g
               where o.name = g.name and c.relname in (g.name, 'history_' || g.name)
           )",
    )
    .fetch_all(&register.pool)
    .await
    .expect("what it reads");
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    // Both are empty, and are there for their columns.
    let expected = [
        "access_closure reads access_closure",
        "access_closure_systems reads access_closure_systems",
    ];
    assert_eq!(found, BTreeSet::from(expected));
    let unbound: Vec<String> = sqlx::query_scalar(
        "select p.proname::text from pg_proc p
         where p.pronamespace = 'past'::regnamespace and p.prosqlbody is null
           and not 'search_path=past, public' = any (coalesce(p.proconfig, '{}'))",
    )
    .fetch_all(&register.pool)
    .await
    .expect("functions");
    // It reads nothing.
    assert_eq!(unbound, ["principal_activity_as_of"]);
}
