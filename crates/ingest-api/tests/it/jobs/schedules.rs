//! Schedules: what they show, and that every slot fires once.

use chrono::{DateTime, TimeDelta, Utc};
use ingest_api::schedule::fire_due;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::bench::{Bench, id_of};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a moment")
}

async fn schedule(bench: &Bench, crawler: Uuid, more: Value) -> Uuid {
    let mut body =
        json!({"crawlerId": crawler, "cron": "30 2 * * *", "timeZone": "Europe/Stockholm"});
    crate::app::merge(&mut body, more);
    let made = bench.post(0, "/api/schedules", &body).await.expect(201);
    assert_eq!(made["nextFirings"].as_array().map(Vec::len), Some(5));
    id_of(&made["scheduleId"])
}

/// Lets time pass on two servers, a look every so often; jobs end at once. Looks within `asleep` do not happen.
async fn pass(pool: &PgPool, from: &str, to: &str, asleep: Option<(&str, &str)>, ends: bool) {
    let asleep = asleep.map(|(from, to)| at(from)..at(to));
    let mut now = at(from);
    while now < at(to) {
        if !asleep.as_ref().is_some_and(|asleep| asleep.contains(&now)) {
            let (one, other) =
                tokio::join!(fire_due(pool, Some(now), 5), fire_due(pool, Some(now), 5));
            one.and(other).expect("fires");
            if ends {
                sqlx::query("update jobs set state = 'succeeded', finished_at = now() where state = 'queued'")
                    .execute(pool)
                    .await
                    .expect("ends");
            }
        }
        now += TimeDelta::minutes(10);
    }
}

async fn slots(pool: &PgPool, schedule: Uuid) -> Vec<String> {
    let slots: Vec<DateTime<Utc>> =
        sqlx::query_scalar("select slot from jobs where schedule_id = $1 order by slot, job_id")
            .bind(schedule)
            .fetch_all(pool)
            .await
            .expect("slots");
    slots
        .iter()
        .map(|slot| slot.format("%m-%d %H:%M").to_string())
        .collect()
}

/// From now on a test tells the time.
async fn set(bench: &mut Bench, schedule: Uuid, next: &str) {
    bench.stop_waiting();
    bench.app.stop().await;
    bench.wait_for_other().await;
    sqlx::query("update schedules set next_at = $2 where schedule_id = $1")
        .bind(schedule)
        .bind(at(next))
        .execute(&bench.app.pool)
        .await
        .expect("sets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_fires_once_on_every_local_day_over_both_changes_of_the_clocks() {
    let mut bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    let id = schedule(&bench, crawler, json!({})).await;
    set(&mut bench, id, "2026-10-24T00:30:00Z").await;
    let pool = bench.app.pool.clone();
    pass(
        &pool,
        "2026-10-24T00:00:00Z",
        "2026-10-27T12:00:00Z",
        None,
        true,
    )
    .await;
    let autumn = ["10-24 00:30", "10-25 00:30", "10-26 01:30", "10-27 01:30"];
    assert_eq!(slots(&pool, id).await, autumn);
    sqlx::query("delete from jobs")
        .execute(&pool)
        .await
        .expect("deletes");
    sqlx::query("update schedules set next_at = '2027-03-27T01:30:00Z'")
        .execute(&pool)
        .await
        .expect("sets");
    pass(
        &pool,
        "2027-03-27T00:00:00Z",
        "2027-03-30T12:00:00Z",
        None,
        true,
    )
    .await;
    let spring = ["03-27 01:30", "03-28 01:00", "03-29 00:30", "03-30 00:30"];
    assert_eq!(slots(&pool, id).await, spring);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_passed_while_no_server_ran_are_made_up_for_once_or_not_at_all() {
    let mut bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    let quarter = json!({"cron": "*/15 * * * *"});
    let id = schedule(&bench, crawler, quarter.clone()).await;
    let mut not_at_all = quarter;
    crate::app::merge(&mut not_at_all, json!({"catchUp": false}));
    let other = schedule(&bench, crawler, not_at_all).await;
    set(&mut bench, id, "2026-05-01T10:00:00Z").await;
    set(&mut bench, other, "2026-05-01T10:00:00Z").await;
    let pool = bench.app.pool.clone();
    let asleep = ("2026-05-01T10:10:00Z", "2026-05-01T11:10:00Z");
    pass(
        &pool,
        "2026-05-01T10:00:00Z",
        "2026-05-01T11:50:00Z",
        Some(asleep),
        true,
    )
    .await;
    let once = ["05-01 10:00", "05-01 11:00", "05-01 11:15", "05-01 11:30"];
    assert_eq!(slots(&pool, id).await, once);
    // A look comes up to five minutes after its slot at the latest: 11:20 for 11:15, 11:30 for 11:30.
    assert_eq!(
        slots(&pool, other).await,
        ["05-01 10:00", "05-01 11:15", "05-01 11:30"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_does_not_overlap_itself() {
    let mut bench = Bench::start().await;
    let skip = schedule(
        &bench,
        bench.crawler("one").await,
        json!({"cron": "*/30 * * * *"}),
    )
    .await;
    let queue = json!({"cron": "*/30 * * * *", "overlap": "queue"});
    let queue = schedule(&bench, bench.crawler("two").await, queue).await;
    set(&mut bench, skip, "2026-05-01T10:00:00Z").await;
    set(&mut bench, queue, "2026-05-01T10:00:00Z").await;
    let pool = bench.app.pool.clone();
    pass(
        &pool,
        "2026-05-01T10:00:00Z",
        "2026-05-01T10:30:00Z",
        None,
        false,
    )
    .await;
    // Both jobs run from now on, and do not end.
    sqlx::query("update jobs set state = 'running', lease_until = now() + interval '1 day'")
        .execute(&pool)
        .await
        .expect("runs");
    pass(
        &pool,
        "2026-05-01T10:30:00Z",
        "2026-05-01T12:20:00Z",
        None,
        false,
    )
    .await;
    assert_eq!(slots(&pool, skip).await, ["05-01 10:00"]);
    assert_eq!(slots(&pool, queue).await, ["05-01 10:00", "05-01 10:30"]);
    let last: String =
        sqlx::query_scalar("select last_outcome from schedules where schedule_id = $1")
            .bind(skip)
            .fetch_one(&pool)
            .await
            .expect("an outcome");
    assert_eq!(last, "overlapped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_shown_changed_and_removed_and_what_is_wrong_is_named() {
    let bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    for (field, more) in [
        ("/cron", json!({"cron": "every day"})),
        ("/cron", json!({"cron": "0 0 30 2 *"})),
        ("/cron", json!({"cron": "0 0 0 * * *"})),
        ("/timeZone", json!({"timeZone": "Mars/Olympus"})),
    ] {
        let mut body = json!({"crawlerId": crawler, "cron": "30 2 * * *"});
        crate::app::merge(&mut body, more);
        let refused = bench.post(0, "/api/schedules", &body).await.expect(400);
        assert_eq!(refused["errors"][0]["pointer"], field, "{refused}");
    }
    let nobody = json!({"crawlerId": Uuid::new_v4(), "cron": "30 2 * * *"});
    bench.post(0, "/api/schedules", &nobody).await.expect(404);

    let id = schedule(&bench, crawler, json!({"mode": "full"})).await;
    let path = format!("/api/schedules/{id}");
    let off = json!({"crawlerId": crawler, "cron": "0 4 * * *", "enabled": false});
    let changed = bench.app.put(&path, &off).await.expect(200);
    assert_eq!(
        (&changed["cron"], &changed["nextFirings"]),
        (&json!("0 4 * * *"), &json!([]))
    );
    assert_eq!(bench.get(&path).await, changed);
    let listed = bench
        .get(&format!("/api/schedules?crawlerId={crawler}"))
        .await;
    assert_eq!(listed["items"], json!([changed]));
    let remove = async || {
        bench
            .app
            .send(bench.app.request(Method::DELETE, &path))
            .await
    };
    remove().await.expect(204);
    remove().await.expect(404);
}
