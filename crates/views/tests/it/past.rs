//! The register as it was: random changes committed at known instants, and every question asked about each of them.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgPoolOptions, types::Json};
use uuid::Uuid;
use views::{At, Step};

use crate::{
    model::{Assignment, Containment, Effective, Model, Path},
    random::{self, Dice},
    register::{DEFAULT_WORKSPACE, Register},
};

const COMMITS: usize = 14;

/// An instant, and what was so then.
struct Then {
    at: DateTime<Utc>,
    model: Model,
}

/// A system whose past is known.
struct Past {
    system_id: i32,
    thens: Vec<Then>,
}

/// The version of each row that a condition finds ends, as the engine ends it: in the same statement it goes to the
/// history, and the row is removed or becomes another one.
fn ended(table: &str, condition: &str, is_removed: bool, becomes: &str) -> String {
    let columns = format!(
        "(select string_agg(quote_ident(name), ', ') from history_columns('{table}')) as columns"
    );
    let (operation, deleted_at) = if is_removed {
        ("delete", "clock_timestamp()")
    } else {
        ("update", "null")
    };
    format!(
        "do $$
         declare
             v_columns text := (select columns from (select {columns}) c);
             v_at timestamptz := clock_timestamp();
         begin
             execute format('insert into history_{table} (%1$s, valid_to, ended_by, operation)
                 select %1$s, %2$L, gen_random_uuid(), ''{operation}'' from {table} t
                 where deleted_at is null and {escaped}', v_columns, v_at);
             update {table} set deleted_at = {deleted_at}, valid_from = v_at{becomes}
             where deleted_at is null and {condition};
         end $$",
        escaped = condition.replace('\'', "''"),
    )
}

impl Past {
    /// Random changes, some of them in one transaction, with an instant after each transaction.
    async fn live(register: &Register, dice: &mut Dice, name: &str) -> Self {
        let system_id = register.add_system(DEFAULT_WORKSPACE, name).await;
        let mut past = Self {
            system_id,
            thens: Vec::new(),
        };
        let mut model = Model::default();
        for _ in 0..COMMITS {
            past.remember(register, &model).await;
            let mut transaction = register.pool.begin().await.expect("begins");
            for _ in 0..1 + dice.below(6) {
                past.change(&mut transaction, dice, &mut model).await;
            }
            sqlx::query("insert into changes (system_id, entity, sync_id) values ($1, 'resource-assignments', gen_random_uuid())")
                .bind(system_id)
                .execute(&mut *transaction)
                .await
                .expect("a change");
            transaction.commit().await.expect("commits");
        }
        past.remember(register, &model).await;
        past
    }

    async fn remember(&mut self, register: &Register, model: &Model) {
        let at = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&register.pool)
            .await
            .expect("an instant");
        self.thens.push(Then {
            at,
            model: model.clone(),
        });
    }

    async fn change(&self, conn: &mut PgConnection, dice: &mut Dice, model: &mut Model) {
        let place = |dice: &mut Dice, count: usize| dice.below(count as u64) as usize;
        match dice.below(10) {
            0..=3 => {
                let new = random::assignment(dice);
                if model.assignments.insert(new.clone()) {
                    self.assign(conn, &new).await;
                }
            }
            4..=5 => {
                let new = random::containment(dice);
                if model.containments.insert(new.clone()) {
                    self.relate(conn, &new).await;
                }
            }
            6..=7 if !model.assignments.is_empty() => {
                let place = place(dice, model.assignments.len());
                let old = model.assignments.iter().nth(place).expect("one").clone();
                model.assignments.remove(&old);
                self.unassign(conn, &old).await;
            }
            8 if !model.containments.is_empty() => {
                let place = place(dice, model.containments.len());
                let old = model.containments.iter().nth(place).expect("one").clone();
                model.containments.remove(&old);
                self.unrelate(conn, &old).await;
            }
            _ => {
                let things = random::things();
                let thing = things[place(dice, things.len())];
                let kind = if model.app_roles.remove(&thing) {
                    "Something"
                } else {
                    model.app_roles.insert(thing);
                    "EntraAppRole"
                };
                self.call(conn, thing, kind).await;
            }
        }
    }

    async fn assign(&self, conn: &mut PgConnection, a: &Assignment) {
        sqlx::query(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
                                               principal_type, content_hash, first_seen_at, valid_from, sync_id)
             values ($1, $2, $3, $4, $5, $6, '\\x00', clock_timestamp(), clock_timestamp(), gen_random_uuid())
             on conflict (system_id, resource_id, principal_id, assignment_type, role_scope)
                 do update set deleted_at = null, valid_from = clock_timestamp()",
        )
        .bind(self.system_id)
        .bind(a.resource)
        .bind(a.holder.id())
        .bind(a.kind)
        .bind(a.scope)
        .bind(a.holder.principal_type())
        .execute(conn)
        .await
        .expect("an assignment");
    }

    async fn relate(&self, conn: &mut PgConnection, c: &Containment) {
        sqlx::query(
            "insert into resource_relationships (system_id, parent_resource_id, child_resource_id, relationship_type,
                 role_name, content_hash, first_seen_at, valid_from, sync_id)
             values ($1, $2, $3, $4, $5, '\\x00', clock_timestamp(), clock_timestamp(), gen_random_uuid())
             on conflict (system_id, parent_resource_id, child_resource_id, relationship_type, role_name)
                 do update set deleted_at = null, valid_from = clock_timestamp()",
        )
        .bind(self.system_id)
        .bind(c.parent)
        .bind(c.child)
        .bind(c.kind)
        .bind(c.role)
        .execute(conn)
        .await
        .expect("a relationship");
    }

    async fn unassign(&self, conn: &mut PgConnection, a: &Assignment) {
        let condition = format!(
            "system_id = {} and resource_id = '{}' and principal_id = '{}' and assignment_type = '{}' and role_scope = '{}'",
            self.system_id,
            a.resource,
            a.holder.id(),
            a.kind,
            a.scope
        );
        run(conn, ended("resource_assignments", &condition, true, "")).await;
    }

    async fn unrelate(&self, conn: &mut PgConnection, c: &Containment) {
        let condition = format!(
            "system_id = {} and parent_resource_id = '{}' and child_resource_id = '{}' and relationship_type = '{}'
             and role_name = '{}'",
            self.system_id, c.parent, c.child, c.kind, c.role
        );
        run(conn, ended("resource_relationships", &condition, true, "")).await;
    }

    /// The resource is of a kind from now on; it is new, or was of another.
    async fn call(&self, conn: &mut PgConnection, resource: Uuid, kind: &str) {
        let condition = format!("system_id = {} and id = '{resource}'", self.system_id);
        let becomes = format!(", resource_type = '{kind}', display_name = '{kind}'");
        run(conn, ended("resources", &condition, false, &becomes)).await;
        sqlx::query(
            "insert into resources (system_id, id, resource_type, display_name, content_hash, first_seen_at, valid_from,
                                    sync_id)
             values ($1, $2, $3, $3, '\\x00', clock_timestamp(), clock_timestamp(), gen_random_uuid())
             on conflict do nothing",
        )
        .bind(self.system_id)
        .bind(resource)
        .bind(kind)
        .execute(conn)
        .await
        .expect("a resource");
    }
}

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
    let mut dice = Dice::new(11);
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
