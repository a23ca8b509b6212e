//! Random loads against a model: what is live, what was ever so, and what the counts say.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::app::{TestApp, id};

type Model = BTreeMap<u32, BTreeMap<String, Value>>;

fn record(n: u32, fields: &BTreeMap<String, Value>) -> Value {
    let mut record = json!({"id": id(n)});
    record
        .as_object_mut()
        .expect("an object")
        .extend(fields.clone());
    record
}

fn random_fields(rng: &mut StdRng) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::from([(
        "displayName".to_owned(),
        json!(format!("Name {}", rng.random_range(0..4))),
    )]);
    for (name, values) in [("jobTitle", 3), ("department", 2), ("shoe", 4), ("hat", 3)] {
        if rng.random_bool(0.5) {
            fields.insert(
                name.into(),
                json!(format!("{name} {}", rng.random_range(0..values))),
            );
        }
    }
    fields
}

async fn live(app: &TestApp) -> Model {
    let rows: Vec<(uuid::Uuid, Value)> = sqlx::query_as(
        "select id, jsonb_strip_nulls(jsonb_build_object('displayName', display_name, 'jobTitle', job_title, 'department', department)) \
         || extended_attributes from principals where deleted_at is null",
    )
    .fetch_all(&app.pool)
    .await
    .expect("rows");
    model(rows)
}

/// The register as of a moment, from live rows and history.
async fn as_of(app: &TestApp, moment: DateTime<Utc>) -> Model {
    let rows: Vec<(uuid::Uuid, Value)> = sqlx::query_as(
        "select id, jsonb_strip_nulls(jsonb_build_object('displayName', display_name, 'jobTitle', job_title, 'department', department)) \
         || extended_attributes from principals where deleted_at is null and valid_from <= $1 \
         union all \
         select row_key::uuid, (image - array['extendedAttributes', 'principalType']) || (image -> 'extendedAttributes') from history \
         where entity = 'principals' and valid_from <= $1 and valid_to > $1",
    )
    .bind(moment)
    .fetch_all(&app.pool)
    .await
    .expect("rows");
    let count = rows.len();
    let model = model(rows);
    assert_eq!(model.len(), count, "one version of a row at a time");
    model
}

fn model(rows: Vec<(uuid::Uuid, Value)>) -> Model {
    rows.into_iter()
        .map(|(row, fields)| {
            let n = (row.as_u128() & 0xFFFF_FFFF) as u32;
            (
                n,
                fields
                    .as_object()
                    .expect("an object")
                    .clone()
                    .into_iter()
                    .collect(),
            )
        })
        .collect()
}

#[tokio::test]
async fn random_loads_leave_exactly_what_the_model_says_now_and_at_every_earlier_moment() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let mut expected = Model::new();
    let mut moments: Vec<(DateTime<Utc>, Model)> = Vec::new();

    for _ in 0..60 {
        let keys: Vec<u32> = (0..40).filter(|_| rng.random_bool(0.5)).collect();
        match rng.random_range(0..4) {
            0 => full_load(&app, &mut rng, &mut expected).await,
            1 => {
                let gone: Vec<_> = keys.iter().map(|n| id(*n)).collect();
                let deleted = app
                    .ingest("principals", json!([]), json!({"deletedIds": gone}))
                    .await
                    .expect(201)["deleted"]
                    .as_u64();
                let before = expected.len();
                expected.retain(|n, _| !keys.contains(n));
                assert_eq!(deleted, Some((before - expected.len()) as u64));
            }
            _ => delta_load(&app, &mut rng, &mut expected, &keys).await,
        }
        assert_eq!(live(&app).await, expected);
        let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&app.pool)
            .await
            .expect("a moment");
        moments.push((now, expected.clone()));
    }
    for (moment, then) in moments {
        assert_eq!(as_of(&app, moment).await, then, "as of {moment}");
    }
}

/// A full load that drops a few rows, few enough for the guard.
async fn full_load(app: &TestApp, rng: &mut StdRng, expected: &mut Model) {
    let mut next: Model = (0..40).map(|n| (n, random_fields(rng))).collect();
    for (n, fields) in expected.iter() {
        if rng.random_bool(0.7) {
            next.insert(*n, fields.clone());
        }
    }
    for n in 0..8 {
        next.remove(&(n * 5 + rng.random_range(0..5)));
    }
    let records: Value = next.iter().map(|(n, fields)| record(*n, fields)).collect();
    let answer = app
        .ingest("principals", records, json!({"syncMode": "full"}))
        .await
        .expect(201);
    assert_eq!(answer.get("held"), None, "{answer}");
    let unchanged = next
        .iter()
        .filter(|(n, fields)| expected.get(n) == Some(fields))
        .count();
    assert_eq!(answer["unchanged"].as_u64(), Some(unchanged as u64));
    assert_eq!(
        answer["deleted"].as_u64(),
        Some(expected.keys().filter(|n| !next.contains_key(n)).count() as u64)
    );
    *expected = next;
}

async fn delta_load(app: &TestApp, rng: &mut StdRng, expected: &mut Model, keys: &[u32]) {
    let mut records = Vec::new();
    for n in keys {
        let mut change = random_fields(rng);
        if expected.contains_key(n) {
            if rng.random_bool(0.5) {
                change.remove("displayName");
            }
            for name in ["jobTitle", "shoe"] {
                if rng.random_bool(0.2) {
                    change.insert(name.into(), Value::Null);
                }
            }
        }
        records.push((*n, change));
    }
    let body: Value = records
        .iter()
        .map(|(n, change)| record(*n, change))
        .collect();
    let answer = app.ingest("principals", body, json!({})).await.expect(201);
    assert_eq!(answer["rejected"], 0);
    // What a removed row was is no longer the source's word once it comes back; the model forgets it, the register
    // restores it. So a returning row is sent whole.
    let restored: Vec<u32> = keys
        .iter()
        .copied()
        .filter(|n| !expected.contains_key(n))
        .collect();
    for (n, change) in records {
        let row = expected.entry(n).or_default();
        for (name, value) in change {
            if value.is_null() {
                row.remove(&name);
            } else {
                row.insert(name, value);
            }
        }
    }
    if !restored.is_empty() {
        let whole: Value = restored
            .iter()
            .map(|n| {
                let mut whole = record(*n, &expected[n]);
                for name in ["jobTitle", "department", "shoe", "hat"] {
                    whole
                        .as_object_mut()
                        .expect("an object")
                        .entry(name)
                        .or_insert(Value::Null);
                }
                whole
            })
            .collect();
        app.ingest("principals", whole, json!({})).await.expect(201);
    }
}
