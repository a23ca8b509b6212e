//! Random loads, removals, decisions and purges against a model: at every moment the register was what the model was.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use contract::SystemId;
use ingest_api::retention::{Keep, Pace, Retention, purge};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    all_pages,
    expected::{expected_differences, expected_version, in_columns, row_key},
    model::{ENTITIES, Load, Model, contents, key},
    shown,
};
use crate::app::{TestApp, merge};

const ROWS: u32 = 24;
const LOADS: usize = 30;

/// A server, the model of what it should know, and the moments between the loads.
struct Past {
    app: TestApp,
    systems: [SystemId; 2],
    model: Model,
    /// One before each load, and one after the last.
    moments: Vec<DateTime<Utc>>,
    rng: StdRng,
}

impl Past {
    async fn moment(&self) -> DateTime<Utc> {
        sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&self.app.pool)
            .await
            .expect("a moment")
    }

    /// The load that was opened last.
    async fn latest_load(&self) -> Uuid {
        sqlx::query_scalar("select sync_id from sync_sessions order by opened_at desc limit 1")
            .fetch_one(&self.app.pool)
            .await
            .expect("a load")
    }

    fn some_rows(&mut self, share: f64) -> Vec<u32> {
        (0..ROWS).filter(|_| self.rng.random_bool(share)).collect()
    }

    /// Records of some rows, and what the register will hold.
    fn records(&mut self, entity: usize, rows: &[u32]) -> (Vec<Value>, Vec<Value>) {
        rows.iter()
            .map(|row| {
                let words = [0; 3].map(|_: u8| self.rng.random_range(0..3));
                let (mut record, values) = contents(entity, words);
                let Value::Object(fields) = key(entity, *row) else {
                    panic!("an object")
                };
                record.as_object_mut().expect("an object").extend(fields);
                (record, values)
            })
            .unzip()
    }

    async fn step(&mut self) {
        let number = self.moments.len();
        self.moments.push(self.moment().await);
        let (system, entity) = (self.rng.random_range(0..2), self.rng.random_range(0..2));
        match self.rng.random_range(0..8) {
            0..3 => self.delta(number, system, entity).await,
            3..7 => self.full(number, system, entity).await,
            _ => self.purge().await,
        }
    }

    async fn ingest(&self, system: usize, entity: usize, records: Value, more: Value) -> Value {
        let mut all = json!({"systemId": self.systems[system]});
        merge(&mut all, more);
        self.app
            .ingest(ENTITIES[entity].0, records, all)
            .await
            .expect(201)
    }

    async fn delta(&mut self, number: usize, system: usize, entity: usize) {
        let rows = self.some_rows(0.2);
        let (records, values) = self.records(entity, &rows);
        let gone: Vec<u32> = (self.some_rows(0.15).into_iter())
            .filter(|row| !rows.contains(row))
            .collect();
        let keys: Vec<Value> = gone.iter().map(|row| key(entity, *row)).collect();
        let more = json!({"syncMode": "delta", "deletedIds": keys});
        self.ingest(system, entity, records.into(), more).await;
        let load = Load {
            number,
            sync_id: self.latest_load().await,
            is_approved: false,
        };
        for (row, values) in rows.iter().zip(values) {
            self.model.write((system, entity, *row), values, load);
        }
        for row in gone {
            self.model.remove((system, entity, row), load);
        }
    }

    /// Most of what lives, some of it otherwise, and some that is new. What is missing goes, or is held and decided.
    async fn full(&mut self, number: usize, system: usize, entity: usize) {
        let share = [0.05, 0.3, 0.8][self.rng.random_range(0..3)];
        let mut rows = self.some_rows(share);
        rows.extend(
            (self.model.live_rows(system, entity).into_iter())
                .filter(|row| !rows.contains(row))
                .filter(|_| self.rng.random_bool(share))
                .collect::<Vec<_>>(),
        );
        let (records, values) = self.records(entity, &rows);
        let more = json!({"syncMode": "full"});
        let answer = self.ingest(system, entity, records.into(), more).await;
        let mut load = Load {
            number,
            sync_id: self.latest_load().await,
            is_approved: false,
        };
        let missing: Vec<u32> = (self.model.live_rows(system, entity).into_iter())
            .filter(|row| !rows.contains(row))
            .collect();
        for (row, values) in rows.iter().zip(values) {
            self.model.write((system, entity, *row), values, load);
        }
        if let Some(held) = answer["held"]["changeSetId"].as_str() {
            assert_eq!(answer["held"]["wouldDelete"], missing.len());
            load.is_approved = self.rng.random_bool(0.7);
            let decision = if load.is_approved {
                "approve"
            } else {
                "reject"
            };
            let path = format!("/api/ingest/held/{held}/{decision}");
            let reason = json!({"reason": "ticket 4711"});
            self.app.post(&path, &reason).await.expect(200);
            if !load.is_approved {
                return;
            }
        }
        for row in missing {
            self.model.remove((system, entity, row), load);
        }
    }

    /// Retention, as it would be two days from now.
    async fn purge(&mut self) {
        let retention = Retention {
            removed_rows: Keep::Days(1),
            pace: Pace {
                pause: Duration::ZERO,
                ..Pace::default()
            },
            ..Retention::default()
        };
        let now = self.moment().await + TimeDelta::days(2);
        let purged = purge(&self.app.pool, &retention, now, &CancellationToken::new()).await;
        assert_eq!(purged.failed, 0);
        self.model.purge();
    }

    /// `X_as_of` at a moment, by row.
    async fn read_as_of(&self, system: usize, entity: usize, at: DateTime<Utc>) -> Vec<Value> {
        let sql = format!(
            "select jsonb_strip_nulls(to_jsonb(t) - 'extended_attributes' - 'row_id' - 'system_id' - 'first_seen_at' - 'valid_from' \
             - 'sync_id') || jsonb_build_object('extended_attributes', t.extended_attributes) \
             from {}_as_of($1) t where t.system_id = $2",
            ENTITIES[entity].1
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(at)
            .bind(self.systems[system])
            .fetch_all(&self.app.pool)
            .await
            .expect("rows")
    }

    async fn check_as_of(&self, loads: usize) {
        for (system, entity) in TABLES {
            let was = self.model.as_of(system, entity, loads);
            let mut expected: Vec<Value> = was
                .iter()
                .map(|(row, version)| in_columns(key(entity, *row), version.values.clone()))
                .collect();
            let mut read = self.read_as_of(system, entity, self.moments[loads]).await;
            expected.sort_by_key(Value::to_string);
            read.sort_by_key(Value::to_string);
            assert_eq!(read, expected, "after {loads} loads");
        }
    }

    async fn check_difference(&self, from: usize, to: usize) {
        for (system, entity) in TABLES {
            let expected = expected_differences(&self.model, system, entity, from, to);
            let path = format!(
                "/api/history/{}/diff?systemId={}&from={}&to={}&limit=7",
                ENTITIES[entity].0,
                self.systems[system],
                shown(self.moments[from]),
                shown(self.moments[to])
            );
            let told = all_pages(&self.app, &path).await;
            let told: Vec<Value> = told.iter().map(|item| self.plain(item)).collect();
            assert_same(&told, &expected);

            let counts = self.app.get(&path).await.expect(200)["counts"].clone();
            let count = |change: &str| {
                expected
                    .iter()
                    .filter(|item| item["change"] == change)
                    .count()
            };
            let counted = json!({"added": count("added"), "removed": count("removed"), "changed": count("changed")});
            assert_eq!(counts, counted);
            self.check_function(system, entity, (from, to), &expected)
                .await;
        }
    }

    /// The SQL function says the same.
    async fn check_function(
        &self,
        system: usize,
        entity: usize,
        (from, to): (usize, usize),
        expected: &[Value],
    ) {
        let sql = format!(
            "select jsonb_strip_nulls(jsonb_build_object('key', row_key, 'change', change, 'by', changed_by)) || \
             jsonb_build_object('before', before, 'after', after, 'at', changed_at) from {}_diff($1, $2) where system_id = $3",
            ENTITIES[entity].1
        );
        let told: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(self.moments[from])
            .bind(self.moments[to])
            .bind(self.systems[system])
            .fetch_all(&self.app.pool)
            .await
            .expect("differences");
        let mut told: Vec<Value> = told
            .into_iter()
            .map(|mut item| {
                item["load"] = self.load_of(&item["at"]).into();
                item.as_object_mut().expect("an object").remove("at");
                item
            })
            .collect();
        let mut expected: Vec<Value> = expected
            .iter()
            .map(|item| {
                json!({
                    "key": row_key(entity, &item["key"]), "change": item["change"], "by": item["by"], "load": item["load"],
                    "before": item["before"], "after": item["after"],
                })
            })
            .collect();
        told.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
        assert_same(&told, &expected);
    }

    /// Which load happened at a moment.
    fn load_of(&self, at: &Value) -> usize {
        let at: DateTime<Utc> = at.as_str().expect("a moment").parse().expect("a moment");
        self.moments.partition_point(|moment| *moment < at) - 1
    }

    /// A difference as the model says it.
    fn plain(&self, item: &Value) -> Value {
        json!({
            "key": item["key"], "change": item["change"], "load": self.load_of(&item["at"]), "by": item["by"]["syncId"],
            "is_approved": item["by"]["approval"].is_object(),
            "before": item["before"], "after": item["after"], "differences": item["differences"],
        })
    }

    /// Every row's versions, through the API.
    async fn check_versions(&self) {
        let mut replayed: BTreeMap<String, Value> = BTreeMap::new();
        for ((system, entity, row), versions) in &self.model.rows {
            let expected: Vec<Value> = (0..versions.len())
                .rev()
                .map(|place| expected_version(versions, place))
                .collect();
            let path = self.path_of(*system, *entity, &key(*entity, *row));
            let told = all_pages(&self.app, &path).await;
            assert_no_overlap(&told);
            // Replaying the versions, oldest first, ends in what is.
            for version in told.iter().rev() {
                replayed.insert(path.clone(), version["values"].clone());
                if version["endedAs"] == "removed" {
                    replayed.remove(&path);
                }
            }
            assert_eq!(
                replayed.get(&path),
                self.model.live((*system, *entity, *row))
            );
            let plain: Vec<Value> = told.iter().map(|item| self.plain_version(item)).collect();
            assert_same(&plain, &expected);
        }
    }

    /// All that a principal ever held, by its id alone.
    async fn check_holdings(&self, principal: u32) {
        for system in 0..2 {
            let principal = json!({"principalId": crate::app::id(principal)});
            let told = all_pages(&self.app, &self.path_of(system, 1, &principal)).await;
            let mut plain: Vec<Value> = told.iter().map(|item| self.plain_version(item)).collect();
            let mut expected: Vec<Value> = (self.model.rows.iter())
                .filter(|(place, _)| {
                    (place.0, place.1) == (system, 1)
                        && key(1, place.2)["principalId"] == principal["principalId"]
                })
                .flat_map(|(_, versions)| {
                    (0..versions.len()).map(|place| expected_version(versions, place))
                })
                .collect();
            let newest_first = told.windows(2).all(|pair| {
                pair[0]["from"].as_str().expect("a moment")
                    >= pair[1]["from"].as_str().expect("a moment")
            });
            assert!(newest_first, "{told:#?}");
            plain.sort_by_key(Value::to_string);
            expected.sort_by_key(Value::to_string);
            assert_same(&plain, &expected);
        }
    }

    fn path_of(&self, system: usize, entity: usize, key: &Value) -> String {
        let fields = key.as_object().expect("an object").iter();
        fields.fold(
            format!(
                "/api/history/{}?systemId={}&limit=2",
                ENTITIES[entity].0, self.systems[system]
            ),
            |path, (name, value)| format!("{path}&{name}={}", value.as_str().expect("a text")),
        )
    }

    fn plain_version(&self, item: &Value) -> Value {
        assert_eq!(item["beganBy"]["actor"]["kind"], "key");
        assert!(item["beganBy"]["actor"]["keyId"].is_string());
        json!({
            "from": self.load_of(&item["from"]), "beganAs": item["beganAs"], "beganBy": item["beganBy"]["syncId"],
            "until": item.get("until").map(|at| self.load_of(at)), "endedAs": item["endedAs"],
            "endedBy": item["endedBy"]["syncId"], "is_approved": item["endedBy"]["approval"]["reason"] == "ticket 4711",
            "differences": item["differences"], "values": item["values"],
        })
    }
}

/// Numbers of system and entity.
const TABLES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

#[track_caller]
fn assert_same(told: &[Value], expected: &[Value]) {
    for (told, expected) in told.iter().zip(expected) {
        assert_eq!(told, expected);
    }
    assert_eq!(told.len(), expected.len());
}

/// Versions of one row, newest first: each began when the one before had ended, or later.
fn assert_no_overlap(versions: &[Value]) {
    let at = |value: &Value| -> DateTime<Utc> {
        value.as_str().expect("a moment").parse().expect("a moment")
    };
    for pair in versions.windows(2) {
        let ended = at(&pair[1]["until"]);
        assert!(at(&pair[1]["from"]) < ended, "{pair:#?}");
        assert!(ended <= at(&pair[0]["from"]), "{pair:#?}");
        assert_eq!(
            ended == at(&pair[0]["from"]),
            pair[1]["endedAs"] == "changed",
            "{pair:#?}"
        );
    }
}

#[tokio::test]
async fn at_every_moment_between_any_two_and_for_every_row_the_past_is_what_the_model_says() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let app = TestApp::start().await;
    let mut past = Past {
        systems: [app.system_id, app.new_system("Another").await],
        app,
        model: Model::default(),
        moments: Vec::new(),
        rng: StdRng::seed_from_u64(seed),
    };
    for _ in 0..LOADS {
        past.step().await;
    }
    past.moments.push(past.moment().await);

    for loads in 0..=LOADS {
        past.check_as_of(loads).await;
    }
    for _ in 0..30 {
        let (one, other) = (
            past.rng.random_range(0..=LOADS),
            past.rng.random_range(0..=LOADS),
        );
        past.check_difference(one.min(other), one.max(other)).await;
    }
    past.check_difference(0, LOADS).await;
    past.check_versions().await;
    for principal in 0..4 {
        past.check_holdings(principal).await;
    }
}
