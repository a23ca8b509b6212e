//! How long the views take on a large tenant: the refresh after a load and after a change, and the questions about one
//! principal, one resource and a page of the matrix, now and as of some days ago. `make bench-views`; docs/performance.md has the figures.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a program that nobody calls, which stops at the first error"
)]

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use embedded_postgres::{Server, Settings};
use secrecy::ExposeSecret;
use sqlx::{PgPool, postgres::PgPoolOptions};
use uuid::Uuid;
use views::At;

const PEOPLE: i64 = 100_000;
const GROUPS: i64 = 25_000;
/// Ten days are only written for tenants up to this size: that takes longer than all questions.
const MOST_WITH_A_PAST: i64 = 1_000_000;
/// How often each question is asked, each time about something else.
const QUESTIONS: i64 = 200;

#[tokio::main]
async fn main() {
    let numbers: Vec<i64> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let assignments = numbers.first().copied().unwrap_or(500_000);
    let (people, groups) = if assignments < 100_000 {
        (PEOPLE / 10, GROUPS / 10)
    } else {
        (PEOPLE, GROUPS)
    };
    let folder = tempfile::tempdir().unwrap();
    // The account that PostgreSQL runs as must be able to come here.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let server = Server::start(Settings::new(folder.path().join("postgres")))
        .await
        .unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .connect(server.url().expose_secret())
        .await
        .unwrap();
    load(&pool, people, groups, assignments).await;
    refreshes(&pool, people, groups, assignments).await;
    questions(&pool, people, groups).await;
    whole(&pool).await;
    if assignments <= MOST_WITH_A_PAST {
        past(&pool, people, groups).await;
    }
    pool.close().await;
    server.stop().await.unwrap();
}

async fn load(pool: &PgPool, people: i64, groups: i64, assignments: i64) {
    sqlx::migrate!("../../migrations").run(pool).await.unwrap();
    views::install(&mut pool.acquire().await.unwrap())
        .await
        .unwrap();
    run(
        pool,
        "insert into systems (workspace_id, system_key, system_type, display_name, content_hash, first_seen_at,
                              valid_from, sync_id)
         values (1, 'bench', 'EntraID', 'bench', '\\x00', now(), now(), gen_random_uuid())",
    )
    .await;
    let began = Instant::now();
    sqlx::query(include_str!("tenant.sql"))
        .bind(people)
        .bind(groups)
        .bind(assignments)
        .execute(pool)
        .await
        .unwrap();
    run(pool, "analyze").await;
    let rows: (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where principal_type = 'Group') from resource_assignments",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    println!(
        "{people} principals, {groups} groups, {} assignments ({} by groups), written in {:.1} s",
        rows.0,
        rows.1,
        began.elapsed().as_secs_f64()
    );
}

async fn refreshes(pool: &PgPool, people: i64, groups: i64, assignments: i64) {
    refresh(pool, "refresh after the load").await;
    sqlx::query(
        "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
             principal_type, content_hash, first_seen_at, valid_from, sync_id)
         select 1, md5('g' || 1 + (n * 7) % $2)::uuid, md5('p' || 1 + (n * 31) % $1)::uuid, 'Direct', '/', 'User',
                '\\x00', now(), now(), gen_random_uuid()
         from generate_series(1, $3::bigint / 100) n
         on conflict do nothing",
    )
    .bind(people)
    .bind(groups)
    .bind(assignments)
    .execute(pool)
    .await
    .unwrap();
    refresh(pool, "refresh after 1 % more memberships of people").await;
    run(
        pool,
        "update resource_assignments set deleted_at = now()
         where principal_type = 'Group' and hashtext(principal_id::text) % 100 = 0",
    )
    .await;
    refresh(pool, "refresh after 1 % fewer assignments of groups").await;
}

async fn refresh(pool: &PgPool, what: &str) {
    run(
        pool,
        "insert into changes (system_id, entity, sync_id) values (1, 'resource-assignments', gen_random_uuid())",
    )
    .await;
    let began = Instant::now();
    let outcome = views::refresh(pool).await.unwrap();
    println!(
        "{what}: {:.0} ms, {} of {} pairs changed",
        began.elapsed().as_secs_f64() * 1000.0,
        outcome.refreshed[0].rows_changed,
        outcome.refreshed[0].rows_total
    );
}

async fn questions(pool: &PgPool, people: i64, groups: i64) {
    let person = |n: i64| named(pool, "p", 1 + n * 7919 % people);
    let group = |n: i64| named(pool, "g", 1 + n * 7919 % groups);
    let thing = |n: i64| named(pool, "r", 1 + n * 7 % 2000);
    let mut took = Vec::new();
    for n in 0..QUESTIONS {
        let id = person(n).await;
        took.push(holdings(pool, id).await);
    }
    print("effective access of a principal", &mut took);
    for (what, is_group) in [("group", true), ("role or package", false)] {
        for n in 0..QUESTIONS {
            let id = if is_group {
                group(n).await
            } else {
                thing(n).await
            };
            took.push(holders(pool, id).await);
        }
        print(&format!("effective access of a {what}"), &mut took);
    }
    for n in 0..QUESTIONS {
        let (mut resources, mut principals) = (Vec::new(), Vec::new());
        for k in 0..50 {
            let n = n * 50 + k;
            resources.push(if n % 2 == 0 {
                group(n).await
            } else {
                thing(n).await
            });
            principals.push(person(n).await);
        }
        let began = Instant::now();
        views::permission_matrix(pool, 1, 1, &resources, &principals)
            .await
            .unwrap();
        took.push(began.elapsed());
    }
    print("a matrix page of 50 x 50", &mut took);
    // The same without an up-to-date closure.
    run(
        pool,
        "insert into changes (system_id, entity, sync_id) values (1, 'resource-assignments', gen_random_uuid())",
    )
    .await;
    for n in 0..QUESTIONS {
        let id = if n % 2 == 0 {
            group(n).await
        } else {
            thing(n).await
        };
        took.push(holders(pool, id).await);
    }
    print(
        "effective access of a resource before the refresh",
        &mut took,
    );
}

/// The same questions about five days ago, with two years of months to look through.
async fn past(pool: &PgPool, people: i64, groups: i64) {
    run(pool, include_str!("days.sql")).await;
    run(
        pool,
        "call make_history_partitions(now() - interval '24 months', 24)",
    )
    .await;
    run(pool, "vacuum analyze").await;
    let ended: i64 = sqlx::query_scalar("select count(*) from history_resource_assignments")
        .fetch_one(pool)
        .await
        .unwrap();
    println!("ten days later: {ended} versions of assignments ended");
    let at = At::new(pool, Some(chrono::Utc::now() - chrono::TimeDelta::days(5)));
    let mut took = Vec::new();
    for n in 0..QUESTIONS {
        let id = named(pool, "p", 1 + n * 7919 % people).await;
        took.push(holdings(at, id).await);
    }
    print("effective access of a principal as of then", &mut took);
    for (what, kind, count) in [("group", "g", groups), ("role or package", "r", 2000)] {
        for n in 0..QUESTIONS {
            let id = named(pool, kind, 1 + n * 7919 % count).await;
            took.push(holders(at, id).await);
        }
        print(
            &format!("effective access of a {what} as of then"),
            &mut took,
        );
    }
    for n in 0..QUESTIONS {
        let person = named(pool, "p", 1 + n * 7919 % people).await;
        let thing = named(pool, "r", 1 + n * 7 % 2000).await;
        let began = Instant::now();
        views::explain(at, 1, 1, person, thing).await.unwrap();
        took.push(began.elapsed());
    }
    print("an explanation as of then", &mut took);
    for _ in 0..5 {
        let began = Instant::now();
        views::privileged_principals(at, 1, 100).await.unwrap();
        took.push(began.elapsed());
    }
    print("the most privileged as of then", &mut took);
}

async fn holdings<'a>(at: impl Into<At<'a>>, id: Uuid) -> Duration {
    let began = Instant::now();
    views::principal_holdings(at, 1, 1, id, None, 1000)
        .await
        .unwrap();
    began.elapsed()
}

async fn holders<'a>(at: impl Into<At<'a>>, id: Uuid) -> Duration {
    let began = Instant::now();
    views::resource_holders(at, 1, 1, id, None, 1000)
        .await
        .unwrap();
    began.elapsed()
}

async fn whole(pool: &PgPool) {
    for (what, statement) in [
        (
            "count of effective_access",
            "select count(*) from effective_access where system_id = 1",
        ),
        (
            "count of privileged_principals",
            "select count(*) from privileged_principals where system_id = 1",
        ),
        (
            "count of package_gaps",
            "select count(*) from package_gaps where system_id = 1",
        ),
        (
            "count of ungoverned access",
            "select count(*) from governed_access where system_id = 1 and not is_governed",
        ),
    ] {
        let began = Instant::now();
        let rows: i64 = sqlx::query_scalar(statement).fetch_one(pool).await.unwrap();
        println!(
            "{what}: {rows} in {:.0} ms",
            began.elapsed().as_secs_f64() * 1000.0
        );
    }
}

/// The id that `tenant.sql` gives to the nth of a kind.
async fn named(pool: &PgPool, kind: &str, number: i64) -> Uuid {
    sqlx::query_scalar("select md5($1 || $2::bigint)::uuid")
        .bind(kind)
        .bind(number)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn run(pool: &PgPool, statement: &'static str) {
    sqlx::raw_sql(statement).execute(pool).await.unwrap();
}

fn print(what: &str, took: &mut Vec<Duration>) {
    took.sort_unstable();
    let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1000.0;
    println!(
        "{what}: p50 {:.1} ms, p95 {:.1} ms, longest {:.1} ms ({} questions)",
        at(50),
        at(95),
        at(99).max(took[took.len() - 1].as_secs_f64() * 1000.0),
        took.len()
    );
    took.clear();
}
