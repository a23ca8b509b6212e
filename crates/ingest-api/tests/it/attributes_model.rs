//! After any sequence of loads, promotions and demotions a column holds just what the attributes cast to, a core field has an
//! index just where that is asked for, and its values in any case.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::{
    app::{TestApp, id, until},
    attributes::{at_once, demote, path, promote, server},
    size::from_environment,
};

const PEOPLE: u32 = 12;
const NAMES: [&str; 4] = ["a", "department", "it's \"c\"", "d\\"];
/// A core field, also where an attribute has its name.
const FIELDS: [(&str, &str); 3] = [
    ("department", "department"),
    ("createdDateTime", "created_date_time"),
    ("syncId", "sync_id"),
];
const TYPES: [&str; 4] = ["text", "number", "boolean", "timestamp"];

/// Values, and what they are as text, number, truth and moment, told independently of the casts.
fn values() -> Vec<(Value, [Option<&'static str>; 4])> {
    let day = "2026-03-01 00:00:00+00";
    let moment = "2026-03-01 12:30:45.25+00";
    vec![
        (Value::Null, [None; 4]),
        (json!("x"), [Some("x"), None, None, None]),
        (json!(""), [Some(""), None, None, None]),
        (json!("it's"), [Some("it's"), None, None, None]),
        (json!(7), [Some("7"), Some("7"), None, None]),
        (json!(-0.5), [Some("-0.5"), Some("-0.5"), None, None]),
        (json!("007"), [Some("007"), Some("7"), None, None]),
        (json!("1e3"), [Some("1e3"), Some("1000"), None, None]),
        (json!("1e999"), [Some("1e999"), None, None, None]),
        (json!("NaN"), [Some("NaN"), None, None, None]),
        (json!("١"), [Some("١"), None, None, None]),
        (json!(true), [Some("true"), None, Some("true"), None]),
        (json!("FALSE"), [Some("FALSE"), None, Some("false"), None]),
        (json!([1, 2]), [Some("[1, 2]"), None, None, None]),
        (
            json!({"k": true}),
            [Some("{\"k\": true}"), None, None, None],
        ),
        (
            json!("2026-03-01"),
            [Some("2026-03-01"), None, None, Some(day)],
        ),
        (
            json!("2026-03-01T12:30:45.25Z"),
            [Some("2026-03-01T12:30:45.25Z"), None, None, Some(moment)],
        ),
        (
            json!("2026-03-01T14:30:45.250+02:00"),
            [
                Some("2026-03-01T14:30:45.250+02:00"),
                None,
                None,
                Some(moment),
            ],
        ),
        (
            json!("2026-03-01 12:30:45.25"),
            [Some("2026-03-01 12:30:45.25"), None, None, Some(moment)],
        ),
        (
            json!("2026-02-29T00:00:00Z"),
            [Some("2026-02-29T00:00:00Z"), None, None, None],
        ),
        (
            json!("2024-02-29"),
            [
                Some("2024-02-29"),
                None,
                None,
                Some("2024-02-29 00:00:00+00"),
            ],
        ),
        (json!("0000-01-01"), [Some("0000-01-01"), None, None, None]),
        (json!("now"), [Some("now"), None, None, None]),
        (json!("infinity"), [Some("infinity"), None, None, None]),
    ]
}

#[derive(Debug, Clone)]
enum Action {
    /// Person, and a value for each name; a full load brings everybody whom the model knows.
    Load(Vec<(u32, [usize; 4])>, bool),
    Remove(Vec<u32>),
    Promote(usize, usize),
    Demote(usize),
    Index(usize),
    TakeBack(usize),
    /// Lets the background work come to its end.
    Settle,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let value = 0..values().len();
    let person = (
        0..PEOPLE,
        [value.clone(), value.clone(), value.clone(), value],
    );
    let action = prop_oneof![
        5 => (proptest::collection::vec(person, 1..8), any::<bool>()).prop_map(|(people, is_full)| Action::Load(people, is_full)),
        1 => proptest::collection::vec(0..PEOPLE, 1..4).prop_map(Action::Remove),
        4 => (0..NAMES.len(), 0..TYPES.len()).prop_map(|(name, kind)| Action::Promote(name, kind)),
        3 => (0..NAMES.len()).prop_map(Action::Demote),
        3 => (0..FIELDS.len()).prop_map(Action::Index),
        2 => (0..FIELDS.len()).prop_map(Action::TakeBack),
        2 => Just(Action::Settle),
    ];
    proptest::collection::vec(action, 1..14)
}

struct Run<'a> {
    app: &'a TestApp,
    /// The latest promotion of each name.
    promotions: [Option<Value>; 4],
    /// The latest of each core field.
    indexes: [Option<Value>; 3],
}

impl Run<'_> {
    async fn act(&mut self, action: &Action) {
        match action {
            Action::Load(people, is_full) => self.load(people, *is_full).await,
            Action::Remove(people) => {
                let keys: Vec<Value> = people.iter().map(|n| json!(id(*n))).collect();
                let more = json!({"syncMode": "delta", "deletedIds": keys});
                self.app
                    .ingest("principals", json!([]), more)
                    .await
                    .expect(201);
            }
            Action::Promote(name, kind) => {
                let answer = promote(self.app, NAMES[*name], TYPES[*kind]).await;
                match answer.status.as_u16() {
                    200 | 201 => self.promotions[*name] = Some(answer.body),
                    // It has a column of another type.
                    409 => assert!(self.promotions[*name].is_some(), "{}", answer.body),
                    other => panic!("{other}: {}", answer.body),
                }
            }
            Action::Demote(name) => {
                if let Some(promotion) = self.promotions[*name].take() {
                    demote(self.app, &promotion).await;
                }
            }
            Action::Index(field) => {
                let body = json!({"entity": "principals", "field": FIELDS[*field].0});
                let answer = self.app.post("/api/attributes/promotions", &body).await;
                let is_new = self.indexes[*field].is_none();
                let asked = answer.expect(if is_new { 201 } else { 200 });
                self.indexes[*field] = Some(asked);
            }
            Action::TakeBack(field) => {
                if let Some(promotion) = self.indexes[*field].take() {
                    demote(self.app, &promotion).await;
                }
            }
            Action::Settle => self.settle().await,
        }
    }

    async fn load(&self, people: &[(u32, [usize; 4])], is_full: bool) {
        let values = values();
        let records: Vec<Value> = people
            .iter()
            .map(|(n, chosen)| {
                let attributes: Map<String, Value> = NAMES
                    .iter()
                    .zip(chosen)
                    .map(|(name, value)| ((*name).to_owned(), values[*value].0.clone()))
                    .collect();
                json!({"id": id(*n), "displayName": "Ada", "department": format!("Department {}", id(*n)),
                    "extendedAttributes": attributes})
            })
            .collect();
        // An incomplete full load removes nothing, and replaces all of what it brings.
        let more = if is_full {
            json!({"syncMode": "full", "complete": false})
        } else {
            json!({"syncMode": "delta"})
        };
        let answer = self
            .app
            .ingest("principals", records.into(), more)
            .await
            .expect(201);
        assert_eq!(answer["rejected"], 0, "{answer}");
    }

    async fn settle(&self) {
        let busy =
            "select count(*) from promoted_attributes where state not in ('ready', 'demoted')";
        until(async || self.app.count(busy).await == 0).await;
    }

    /// Every row of every column, removed rows included.
    async fn check(&self) {
        self.settle().await;
        let known = values();
        for (name, promotion) in NAMES.iter().zip(&self.promotions) {
            let Some(promotion) = promotion else { continue };
            let promotion = self.app.get(&path(promotion)).await.expect(200);
            assert_eq!(promotion["state"], "ready");
            let kind = TYPES
                .iter()
                .position(|kind| promotion["type"] == *kind)
                .expect("a type");
            let column = promotion["column"].as_str().expect("a name");
            let sql = format!("select extended_attributes -> $1, {column}::text from principals");
            let rows: Vec<(Option<Value>, Option<String>)> =
                sqlx::query_as(sqlx::AssertSqlSafe(sql))
                    .bind(name)
                    .fetch_all(&self.app.pool)
                    .await
                    .expect("rows");
            for (value, found) in rows {
                let value = value.unwrap_or(Value::Null);
                let (_, casts) = known
                    .iter()
                    .find(|(known, _)| *known == value)
                    .expect("one of them");
                assert_eq!(
                    found.as_deref(),
                    casts[kind],
                    "{name} = {value} as {}",
                    TYPES[kind]
                );
            }
        }
        self.check_fields().await;
        let columns = "select count(*) from information_schema.columns where table_name = 'principals' and column_name like 'attr%'";
        assert!(
            self.app.count(columns).await <= 4 * 8,
            "columns are used again"
        );
    }

    /// Every index of a core field, whole or not there, and every value of one.
    async fn check_fields(&self) {
        for ((_, column), promotion) in FIELDS.iter().zip(&self.indexes) {
            let index: Option<bool> = sqlx::query_scalar(
                "select indisvalid from pg_index where indexrelid = to_regclass('principals_' || $1)",
            )
            .bind(column)
            .fetch_optional(&self.app.pool)
            .await
            .expect("an answer");
            assert_eq!(index, promotion.as_ref().map(|_| true), "{column}");
        }
        let wrong =
            "select count(*) from principals where department is distinct from 'Department ' || id";
        assert_eq!(self.app.count(wrong).await, 0);
    }
}

#[test]
fn whatever_was_loaded_promoted_and_taken_back_columns_hold_what_attributes_cast_to_and_fields_are_as_sent()
 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let app = runtime.block_on(server(at_once()));
    let cases = from_environment("PROPTEST_CASES").map_or(12, |cases| 12.max(cases / 32));
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&actions(), |actions| {
        runtime.block_on(async {
            let mut run = Run {
                app: &app,
                promotions: [const { None }; 4],
                indexes: [const { None }; 3],
            };
            for action in &actions {
                run.act(action).await;
            }
            run.check().await;
            // The next case begins without promotions.
            for promotion in run.promotions.iter().chain(&run.indexes).flatten() {
                demote(&app, promotion).await;
            }
        });
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
