//! Whatever is asked, all pages together are the rows that fit, in order, each exactly once.

use contract::{Entity, Permission};
use ingest_api::{
    entity,
    query::{Filter, Kind, Name, Source},
};
use proptest::{
    option,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ask, each, generate, get, items, oracle};
use crate::{app::TestApp, size::from_environment};

const CASES: u32 = 16;
const FILTERED: &[&str] = &[
    "displayName",
    "department",
    "jobTitle",
    "accountEnabled",
    "managerId",
    "createdDateTime",
    "principalType",
    "systemId",
];
const SORTED: &[&str] = &[
    "displayName",
    "department",
    "accountEnabled",
    "managerId",
    "createdDateTime",
    "principalType",
    "systemId",
];

/// A register with a key that sees two systems of it, and the rows in them.
struct Site<'a> {
    app: &'a TestApp,
    key: String,
    rows: Vec<Value>,
}

/// A question.
struct Question {
    filter: Option<Filter>,
    sort: Vec<(Name, bool)>,
    limit: usize,
}

fn source() -> &'static Source {
    Source::of(entity::spec(Entity::Principals).expect("a specification"))
}

async fn send(request: RequestBuilder) -> Value {
    let answer = request.send().await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    assert!(status.is_success(), "{status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn bring(app: &TestApp, system_id: i32, records: &[Value]) {
    let body = json!({"systemId": system_id, "records": records, "syncMode": "delta"});
    let answer = app.post("/api/ingest/principals", &body).await.expect(201);
    assert_eq!(answer["rejected"], 0, "{answer}");
}

impl<'a> Site<'a> {
    async fn new(app: &'a TestApp, records: [Vec<Value>; 2]) -> Self {
        let mut rows = Vec::new();
        let mut systems = Vec::new();
        for records in records {
            let system_id = app.new_system(&Uuid::now_v7().to_string()).await;
            systems.push(system_id);
            let mut brought = Vec::new();
            for (number, mut record) in records.into_iter().enumerate() {
                // The same ids in both systems.
                record["id"] = json!(Uuid::from_u128(number as u128 + 1));
                brought.push(record.clone());
                record["systemId"] = json!(system_id);
                record["principalType"] = json!("User");
                rows.push(record);
            }
            bring(app, system_id, &brought).await;
        }
        let key = app.new_key(&[Permission::Read], Some(systems)).await;
        Self { app, key, rows }
    }

    fn ask(&self, base: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        ask(self.app, &self.key, base, parameters)
    }

    /// What is to come: systems and ids.
    fn expected(&self, question: &Question) -> Vec<(Value, Value)> {
        let mut rows: Vec<&Value> = self
            .rows
            .iter()
            .filter(|row| {
                question
                    .filter
                    .as_ref()
                    .is_none_or(|filter| oracle::keeps(filter, row))
            })
            .collect();
        rows.sort_by(|left, right| oracle::compare(source(), &question.sort, left, right));
        rows.into_iter().map(key).collect()
    }

    /// Walks through all pages, forward or backward, adding a row of its own after each.
    async fn walk(&self, question: &Question, is_backward: bool) -> Vec<(Value, Value)> {
        let filter = question.filter.as_ref().map(ToString::to_string);
        let sort: Vec<String> = question
            .sort
            .iter()
            .map(|(name, is_descending)| format!("{}{name}", if *is_descending { "-" } else { "" }))
            .collect();
        let (sort, limit) = (sort.join(","), question.limit.to_string());
        let (parameter, link) = if is_backward {
            ("before", "previous")
        } else {
            ("after", "next")
        };
        let mut place = is_backward.then(|| "end".to_owned());
        let mut all = Vec::new();
        loop {
            let mut parameters = vec![("limit", limit.as_str()), ("count", "exact")];
            parameters.extend(filter.as_deref().map(|filter| ("filter", filter)));
            parameters.extend((!sort.is_empty()).then_some(("sort", sort.as_str())));
            parameters.extend(place.as_deref().map(|place| (parameter, place)));
            let answer = send(self.ask("/api/register/principals", &parameters)).await;
            let page: Vec<_> = items(&answer).iter().map(key).collect();
            assert!(page.len() <= question.limit);
            let at = if is_backward { 0 } else { all.len() };
            all.splice(at..at, page);
            place = answer[link].as_str().map(str::to_owned);
            if place.is_none() {
                return all;
            }
            self.disturb().await;
        }
    }

    /// Adds a row that is none of the known ones and may fit anywhere.
    async fn disturb(&self) {
        let mut record = self.rows[self.rows.len() / 2].clone();
        record["id"] = json!(Uuid::new_v4());
        let system_id = record["systemId"].as_i64().expect("a number") as i32;
        for field in ["systemId", "principalType"] {
            record.as_object_mut().expect("an object").remove(field);
        }
        bring(self.app, system_id, &[record]).await;
    }

    fn is_known(&self, row: &(Value, Value)) -> bool {
        self.rows.iter().any(|known| key(known) == *row)
    }

    async fn check(&self, question: &Question) {
        let expected = self.expected(question);
        let about = || {
            format!(
                "{:?} {:?} {}",
                question.filter.as_ref().map(ToString::to_string),
                question.sort,
                question.limit
            )
        };
        // Before anything disturbs: count and export.
        let filter = question.filter.as_ref().map(ToString::to_string);
        let filter: Vec<(&str, &str)> = filter
            .as_deref()
            .map(|filter| ("filter", filter))
            .into_iter()
            .collect();
        let counted = [("count", "exact"), ("limit", "1")];
        let counted = send(self.ask(
            "/api/register/principals",
            &[filter.as_slice(), &counted].concat(),
        ))
        .await;
        assert_eq!(
            counted["count"],
            json!({"rows": expected.len(), "kind": "exact"}),
            "{}",
            about()
        );
        let exported = self
            .ask("/api/register/principals/export", &filter)
            .send()
            .await;
        let exported = exported.expect("an answer").text().await.expect("a body");
        let mut exported: Vec<(Value, Value)> = exported
            .lines()
            .map(|line| key(&serde_json::from_str(line).expect("JSON")))
            .collect();
        exported.sort_by_key(|key| format!("{key:?}"));
        let mut sorted = expected.clone();
        sorted.sort_by_key(|key| format!("{key:?}"));
        assert_eq!(exported, sorted, "{}", about());

        for is_backward in [false, true] {
            let mut all = self.walk(question, is_backward).await;
            all.retain(|row| self.is_known(row));
            assert_eq!(all, expected, "backward: {is_backward}, {}", about());
        }
    }
}

fn key(row: &Value) -> (Value, Value) {
    (row["systemId"].clone(), row["id"].clone())
}

#[test]
fn all_pages_together_are_the_rows_that_fit_in_order_whatever_comes_in_between() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let app = runtime.block_on(TestApp::start());
    let cases = from_environment("PROPTEST_CASES").map_or(CASES, |cases| CASES.max(cases / 8));
    let config = Config {
        cases,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let inputs = (
        generate::principals(),
        prop::collection::vec(
            (
                option::of(generate::filter(source(), FILTERED)),
                generate::sort(SORTED),
                1..12_usize,
            ),
            1..3,
        ),
    );
    TestRunner::new(config)
        .run(&inputs, |(records, questions)| {
            runtime.block_on(async {
                for (filter, sort, limit) in questions {
                    // A register of its own: the walk adds to it.
                    let site = Site::new(&app, records.clone()).await;
                    site.check(&Question {
                        filter,
                        sort,
                        limit,
                    })
                    .await;
                }
            });
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn rows_with_long_keys_of_several_columns_and_numbers_come_page_by_page() {
    let app = TestApp::start().await;
    let mut assignments = Vec::new();
    for n in 1..6 {
        for kind in ["Direct", "Owner"] {
            for scope in ["/", "/Ä", "/b"] {
                assignments.push(json!({
                    "resourceId": crate::app::id(n % 3), "principalId": crate::app::id(n), "assignmentType": kind,
                    "roleScope": scope, "state": if n % 2 == 0 { json!("On") } else { Value::Null },
                }));
            }
        }
    }
    app.ingest("resource-assignments", json!(assignments), json!({}))
        .await
        .expect(201);
    for sort in ["state", "-state", "principalId,-roleScope"] {
        let mut seen = std::collections::HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let mut parameters = vec![("sort", sort), ("limit", "4")];
            parameters.extend(after.as_deref().map(|after| ("after", after)));
            let answer = get(&app, "/api/register/resource-assignments", &parameters)
                .await
                .expect(200);
            for item in items(&answer) {
                let key = ["resourceId", "principalId", "assignmentType", "roleScope"]
                    .map(|name| item[name].to_string());
                assert!(seen.insert(key), "{item} came twice");
            }
            match answer["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(seen.len(), assignments.len(), "{sort}");
    }

    let activity: Vec<Value> = (1..9)
        .map(|n| json!({"principalId": crate::app::id(n), "activityType": "SignIn", "activityCount": n * 10}))
        .collect();
    app.ingest("principal-activity", json!(activity), json!({}))
        .await
        .expect(201);
    let wanted = [
        ("filter", "activityCount gt 25 and activityCount lt 70.5"),
        ("sort", "-activityCount"),
        ("fields", "activityCount"),
    ];
    let answer = get(&app, "/api/register/principal-activity", &wanted)
        .await
        .expect(200);
    assert_eq!(
        each(&answer, "activityCount"),
        [70, 60, 50, 40, 30].map(Value::from)
    );
}

#[tokio::test]
async fn only_the_fields_that_were_asked_for_are_answered_and_removed_rows_on_request_only() {
    let app = TestApp::start().await;
    let records = json!([
        {"id": crate::app::id(1), "displayName": "Ada", "department": "R&D", "shoe": 38, "a.b": {"c": [1, null]}},
        {"id": crate::app::id(2), "displayName": "Bo"},
    ]);
    app.ingest("principals", records, json!({}))
        .await
        .expect(201);
    app.ingest(
        "principals",
        json!([]),
        json!({"deletedIds": [crate::app::id(2)]}),
    )
    .await
    .expect(201);
    let fields = [(
        "fields",
        "displayName,ext.shoe,extendedAttributes.\"a.b\",department",
    )];
    let answer = get(&app, "/api/register/principals", &fields)
        .await
        .expect(200);
    assert_eq!(
        items(&answer),
        [
            json!({"displayName": "Ada", "department": "R&D", "extendedAttributes": {"shoe": 38, "a.b": {"c": [1, null]}}})
        ]
    );
    let all = [
        ("includeDeleted", "true"),
        ("filter", "deletedAt exists"),
        ("fields", "id,deletedAt"),
    ];
    let answer = get(&app, "/api/register/principals", &all)
        .await
        .expect(200);
    assert_eq!(each(&answer, "id"), [json!(crate::app::id(2))]);
    assert!(items(&answer)[0]["deletedAt"].is_string());
    let whole = get(&app, "/api/register/principals", &[("count", "estimated")])
        .await
        .expect(200);
    assert_eq!(whole["count"]["kind"], "estimated");
    assert_eq!(items(&whole)[0]["systemId"], app.system_id);
}

#[tokio::test]
async fn every_entity_and_view_is_listed_by_every_field_in_both_directions() {
    let app = TestApp::start().await;
    app.ingest(
        "resource-assignments",
        json!(crate::app::members(1, 1..4)),
        json!({}),
    )
    .await
    .expect(201);
    let sources = entity::ALL
        .iter()
        .map(|spec| Source::of(spec))
        .chain(ingest_api::query::views());
    for source in sources {
        let base = format!("/api/register/{}", source.name);
        for field in source
            .fields
            .iter()
            .filter(|field| field.kind != Kind::Json)
        {
            for sort in [field.wire.to_owned(), format!("-{}", field.wire)] {
                let filter = format!("{0} exists or not ({0} ne null)", field.wire);
                for more in [("count", "exact"), ("before", "end")] {
                    let parameters = [("sort", sort.as_str()), ("filter", filter.as_str()), more];
                    get(&app, &base, &parameters).await.expect(200);
                }
            }
        }
    }
    let orphans = get(
        &app,
        "/api/register/orphan-references",
        &[("limit", "2"), ("sort", "-kind")],
    )
    .await
    .expect(200);
    assert_eq!(
        each(&orphans, "kind"),
        ["assignment_resource", "assignment_resource"]
    );
    let rest = [
        ("after", orphans["next"].as_str().expect("more")),
        ("sort", "-kind"),
    ];
    let rest = get(&app, "/api/register/orphan-references", &rest)
        .await
        .expect(200);
    assert_eq!(items(&rest).len(), 4);
}

#[tokio::test]
async fn what_a_source_calls_never_null_is_so_in_the_tables() {
    let app = TestApp::start().await;
    for spec in entity::ALL {
        for field in &Source::of(spec).fields {
            let is_nullable: String = sqlx::query_scalar(
                "select is_nullable from information_schema.columns where table_schema = 'public' and table_name = $1 and column_name = $2",
            )
            .bind(spec.table)
            .bind(field.sql)
            .fetch_one(&app.pool)
            .await
            .expect(field.sql);
            // Where null is possible, a list must look for it.
            assert!(
                field.is_nullable || is_nullable == "NO",
                "{}.{}",
                spec.table,
                field.sql
            );
        }
    }
}
