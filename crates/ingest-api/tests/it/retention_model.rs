//! Random loads, removals, days and purges against a model: nothing goes but removed rows whose time has come, and the
//! past stays as it was.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use ingest_api::retention::{Keep, Pace, Retention, purge};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{TestApp, id};

/// Days that a removed row is kept.
const KEPT: u32 = 10;
const PEOPLE: u32 = 30;

/// What a person's row is: `None` while it lives, else the days since its removal. One that was purged, or never came,
/// is not there.
type Model = BTreeMap<u32, Option<u32>>;

async fn rows(app: &TestApp) -> BTreeMap<u32, bool> {
    let rows: Vec<(uuid::Uuid, bool)> =
        sqlx::query_as("select id, deleted_at is null from principals")
            .fetch_all(&app.pool)
            .await
            .expect("rows");
    rows.into_iter()
        .map(|(row, is_live)| ((row.as_u128() & 0xFFFF_FFFF) as u32, is_live))
        .collect()
}

/// Everything that can be said about the past and the present: versions that ended, and live rows.
async fn register(app: &TestApp) -> Vec<Value> {
    sqlx::query_scalar(
        "select * from (select to_jsonb(h) as row from history h union all select to_jsonb(p) from principals p where deleted_at is null) r \
         order by row",
    )
    .fetch_all(&app.pool)
    .await
    .expect("the register")
}

/// Lets days pass: everything in the register becomes so much older.
async fn pass(app: &TestApp, days: u32) {
    for sql in [
        "update principals set first_seen_at = first_seen_at - $1 * interval '1 day', \
         valid_from = valid_from - $1 * interval '1 day', deleted_at = deleted_at - $1 * interval '1 day'",
        "update history_principals set valid_from = valid_from - $1 * interval '1 day', valid_to = valid_to - $1 * interval '1 day'",
        "update removed_rows_known set oldest_removed_at = oldest_removed_at - $1 * interval '1 day'",
    ] {
        sqlx::query(sql)
            .bind(f64::from(days))
            .execute(&app.pool)
            .await
            .expect("time passes");
    }
}

async fn bring(app: &TestApp, expected: &mut Model, keys: &[u32], word: u32) {
    let records: Value = keys
        .iter()
        .map(|n| json!({"id": id(*n), "displayName": format!("Ada {word}")}))
        .collect();
    let answer = app
        .ingest("principals", records, json!({}))
        .await
        .expect(201);
    let new = keys.iter().filter(|n| !expected.contains_key(n)).count();
    assert_eq!(
        answer["inserted"], new,
        "new is who never was or was purged; who was removed is restored"
    );
    for n in keys {
        expected.insert(*n, None);
    }
}

async fn remove(app: &TestApp, expected: &mut Model, keys: &[u32]) {
    let ids: Vec<_> = keys.iter().map(|n| id(*n)).collect();
    let answer = app
        .ingest("principals", json!([]), json!({"deletedIds": ids}))
        .await
        .expect(201);
    let mut count = 0;
    for n in keys {
        if let Some(age @ None) = expected.get_mut(n) {
            *age = Some(0);
            count += 1;
        }
    }
    assert_eq!(answer["deleted"], count);
}

async fn purge_now(app: &TestApp, expected: &mut Model, step: i64) {
    let retention = Retention {
        removed_rows: Keep::Days(KEPT as u16),
        pace: Pace {
            step,
            pause: Duration::ZERO,
            ..Pace::default()
        },
        ..Retention::default()
    };
    let before = register(app).await;
    let now: DateTime<Utc> = sqlx::query_scalar("select now()")
        .fetch_one(&app.pool)
        .await
        .expect("a moment");
    let purged = purge(&app.pool, &retention, now, &CancellationToken::new()).await;
    let is_old = |age: &Option<u32>| age.is_some_and(|days| days >= KEPT);
    let due = expected.values().filter(|age| is_old(age)).count();
    assert_eq!((purged.removed_rows, purged.failed), (due as u64, 0));
    expected.retain(|_, age| !is_old(age));
    assert_eq!(register(app).await, before, "live rows and history stay");
}

#[tokio::test]
async fn whatever_happens_only_removed_rows_whose_time_has_come_are_purged() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let mut expected = Model::new();
    for _ in 0..80 {
        let keys: Vec<u32> = (0..PEOPLE).filter(|_| rng.random_bool(0.3)).collect();
        match rng.random_range(0..5) {
            0 => bring(&app, &mut expected, &keys, rng.random_range(0..3)).await,
            1 => remove(&app, &mut expected, &keys).await,
            2 | 3 => {
                let days = rng.random_range(1..7);
                pass(&app, days).await;
                for age in expected.values_mut().flatten() {
                    *age += days;
                }
            }
            _ => purge_now(&app, &mut expected, rng.random_range(1..8)).await,
        }
        let live: BTreeMap<u32, bool> = expected
            .iter()
            .map(|(n, age)| (*n, age.is_none()))
            .collect();
        assert_eq!(rows(&app).await, live);
    }
}
