//! Access as of an instant, through the HTTP edge: what the register answered about now, it answers about then.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use contract::Permission;
use ingest_api::auth::{NewKey, create_key};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, id, people};

const PEOPLE: std::ops::Range<u32> = 1..6;
const GROUPS: std::ops::Range<u32> = 11..16;
const ROLES: std::ops::Range<u32> = 21..24;
const LOADS: usize = 10;

/// The template of Global Administrator.
const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";

async fn instant(app: &TestApp) -> DateTime<Utc> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&app.pool)
        .await
        .expect("an instant")
}

fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// The path of every question that takes `asOf`, ready for one more parameter.
fn questions(system: i32) -> Vec<String> {
    let mut all = vec![
        "/api/access/privileged?limit=50".to_owned(),
        "/api/register/orphan-references?count=exact".to_owned(),
    ];
    for (resources, principals) in [(100, 100), (2, 3)] {
        all.push(format!(
            "/api/systems/{system}/matrix?resources={resources}&principals={principals}&resourceSort=displayName"
        ));
    }
    for resource in GROUPS.chain(ROLES) {
        all.push(format!(
            "/api/systems/{system}/resources/{}/access?limit=1000",
            id(resource)
        ));
    }
    for person in PEOPLE {
        all.push(format!(
            "/api/systems/{system}/principals/{}/access?limit=1000",
            id(person)
        ));
        for role in ROLES {
            all.push(format!(
                "/api/access/explain?systemId={system}&principalId={}&resourceId={}",
                id(person),
                id(role)
            ));
        }
    }
    all
}

/// What each question is answered now.
async fn answers(app: &TestApp) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for question in questions(app.system_id) {
        let answer = app.get(&question).await.expect(200);
        answers.insert(question, answer);
    }
    answers
}

fn role(number: u32, name: &str) -> Value {
    let mut role =
        json!({"id": id(number), "displayName": name, "resourceType": "EntraDirectoryRole"});
    if number == ROLES.start {
        role["templateId"] = json!(GLOBAL_ADMINISTRATOR);
    }
    role
}

/// One load of any kind: people, groups and roles come, are renamed and go; so do assignments.
async fn load(app: &TestApp, rng: &mut StdRng) {
    let word = ["Ada", "Bo", "Cy"][rng.random_range(0..3)];
    let some = |rng: &mut StdRng, range: std::ops::Range<u32>| -> Vec<u32> {
        range.filter(|_| rng.random_bool(0.4)).collect()
    };
    let (entity, records, gone): (_, Value, Value) = match rng.random_range(0..9) {
        0 => {
            let gone: Value = some(rng, PEOPLE)
                .into_iter()
                .map(|n| json!(id(n)))
                .collect();
            ("principals", json!([]), gone)
        }
        1 => {
            let from = rng.random_range(PEOPLE);
            ("principals", people(from..PEOPLE.end, word), json!([]))
        }
        2 => {
            let roles = some(rng, ROLES);
            let records = roles.iter().map(|n| role(*n, word)).collect();
            let gone = (ROLES.filter(|n| !roles.contains(n)).take(1))
                .map(|n| json!(id(n)))
                .collect();
            ("resources", records, gone)
        }
        _ => {
            let pairs: Vec<(u32, u32, &str)> = (0..6)
                .map(|_| {
                    let holder = if rng.random_bool(0.5) {
                        rng.random_range(PEOPLE)
                    } else {
                        rng.random_range(GROUPS)
                    };
                    let held = if rng.random_bool(0.6) {
                        rng.random_range(GROUPS)
                    } else {
                        rng.random_range(ROLES)
                    };
                    let kind = ["Direct", "Direct", "Eligible"][rng.random_range(0..3)];
                    (holder, held, kind)
                })
                .collect();
            let (come, go) = pairs.split_at(4);
            let key = |(holder, held, kind): &(u32, u32, &str)| json!({"resourceId": id(*held), "principalId": id(*holder), "assignmentType": kind});
            let mut records: Vec<Value> = come.iter().map(key).collect();
            for (record, (holder, ..)) in records.iter_mut().zip(come) {
                let kind = if GROUPS.contains(holder) {
                    "Group"
                } else {
                    "User"
                };
                record["principalType"] = json!(kind);
            }
            let gone = go.iter().filter(|pair| !come.contains(pair)).map(key);
            ("resource-assignments", records.into(), gone.collect())
        }
    };
    let more = json!({"syncMode": "delta", "deletedIds": gone});
    app.ingest(entity, records, more).await.expect(201);
}

#[tokio::test]
async fn every_question_about_an_instant_is_answered_as_it_was_answered_then() {
    let app = TestApp::start().await;
    let seed = 7;
    let mut rng = StdRng::seed_from_u64(seed);
    let groups: Value = GROUPS
        .map(|n| json!({"id": id(n), "displayName": format!("Group {n}"), "resourceType": "EntraGroup"}))
        .collect();
    app.ingest("resources", groups, json!({"syncMode": "delta"}))
        .await
        .expect(201);
    let roles: Value = ROLES.map(|n| role(n, "Role")).collect();
    app.ingest("resources", roles, json!({"syncMode": "delta"}))
        .await
        .expect(201);
    let mut past = Vec::new();
    for number in 0..LOADS {
        past.push((instant(&app).await, answers(&app).await));
        load(&app, &mut rng).await;
        if number == LOADS / 2 {
            // A closure that is up to date is of the present.
            views::refresh(&app.pool).await.expect("refreshes");
        }
    }
    past.push((instant(&app).await, answers(&app).await));
    for (number, (at, answers)) in past.iter().enumerate() {
        for (question, then) in answers {
            let path = format!("{question}&asOf={}", shown(*at));
            let told = app.get(&path).await.expect(200);
            assert_eq!(&told, then, "load {number} of seed {seed}: {path}");
        }
    }
    let differing = past.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    assert!(
        differing.count() > LOADS / 2,
        "the loads changed too little"
    );
    let is_there = |path: &str, field: &str| {
        let told = past.iter().flat_map(|(_, answers)| answers);
        told.filter(|(question, _)| question.starts_with(path))
            .any(|(_, answer)| {
                answer[field]
                    .as_array()
                    .is_some_and(|list| !list.is_empty())
            })
    };
    for (path, field) in [
        ("/api/access/privileged", "items"),
        ("/api/access/explain", "paths"),
        ("/api/register/orphan-references", "items"),
        ("/api/systems", "items"),
    ] {
        assert!(
            is_there(path, field),
            "{path} was never answered with anything"
        );
    }
}

#[tokio::test]
async fn pages_of_an_instant_go_on_with_what_was_there_then() {
    let app = TestApp::start().await;
    let members: Value = PEOPLE
        .map(|n| json!({"resourceId": id(11), "principalId": id(n), "assignmentType": "Direct"}))
        .collect();
    let keys = members.clone();
    app.ingest("resource-assignments", members, json!({}))
        .await
        .expect(201);
    let at = shown(instant(&app).await);
    let path = format!(
        "/api/systems/{}/resources/{}/access?limit=2&asOf={at}",
        app.system_id,
        id(11)
    );
    let mut page = app.get(&path).await.expect(200);
    app.ingest(
        "resource-assignments",
        json!([]),
        json!({"deletedIds": keys}),
    )
    .await
    .expect(201);
    let mut found = Vec::new();
    loop {
        let items = page["items"].as_array().expect("items");
        found.extend(items.iter().map(|item| item["principalId"].clone()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        page = app.get(&format!("{path}&after={next}")).await.expect(200);
    }
    let expected: Vec<Value> = PEOPLE.map(|n| json!(id(n))).collect();
    assert_eq!(found, expected);
}

fn pointer(answer: &Answer) -> &Value {
    &answer.body["errors"][0]["pointer"]
}

#[tokio::test]
async fn instants_that_are_none_or_to_come_or_no_longer_kept_are_refused_by_name() {
    let app = TestApp::start().await;
    let since = instant(&app).await - TimeDelta::days(30);
    sqlx::query("update history_kept set since = $1")
        .bind(since)
        .execute(&app.pool)
        .await
        .expect("retention");
    for question in questions(app.system_id) {
        for (at, why) in [
            ("2026-01-31".to_owned(), "time zone"),
            (
                shown(instant(&app).await + TimeDelta::days(1)),
                "in the future",
            ),
            (shown(since - TimeDelta::days(1)), "is kept since"),
        ] {
            let path = format!("{question}&asOf={at}");
            let refused = app.get(&path).await;
            assert_eq!(refused.status, 400, "{path}: {}", refused.body);
            assert_eq!(pointer(&refused), "/asOf", "{path}: {}", refused.body);
            let detail = refused.body["errors"][0].to_string();
            assert!(detail.contains(why), "{path}: {detail}");
        }
        app.get(&format!("{question}&asOf={}", shown(since)))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn the_past_of_other_systems_and_workspaces_is_not_to_be_seen() {
    let app = TestApp::start().await;
    app.ingest("principals", people(PEOPLE, "Ada"), json!({}))
        .await
        .expect(201);
    let roles: Value = ROLES.map(|n| role(n, "Role")).collect();
    app.ingest("resources", roles, json!({})).await.expect(201);
    let held = json!([
        {"resourceId": id(ROLES.start), "principalId": id(1), "assignmentType": "Direct", "principalType": "User"},
        {"resourceId": id(999), "principalId": id(1), "assignmentType": "Direct", "principalType": "User"},
    ]);
    app.ingest("resource-assignments", held, json!({}))
        .await
        .expect(201);
    let at = shown(instant(&app).await);
    let other = app.new_system("Other").await;
    let limited = app.new_key(&[Permission::Read], Some(vec![other])).await;
    let foreign = foreign_key(&app).await;
    let mut told = 0;
    for question in questions(app.system_id) {
        let path = format!("{question}&asOf={at}");
        let ours = app.get(&path).await.expect(200);
        told += usize::from(names_somebody(&ours));
        for key in [&limited, &foreign] {
            let request = reqwest::Client::new().get(format!("{}{path}", app.base()));
            let answer = app.send(request.bearer_auth(key)).await;
            assert!(
                matches!(answer.status.as_u16(), 200 | 403 | 404),
                "{path}: {}",
                answer.body
            );
            assert!(!names_somebody(&answer.body), "{path}: {}", answer.body);
        }
    }
    assert!(told > 3, "{told} questions had an answer");
    // A system that went to another workspace since takes its past along.
    sqlx::query(
        "with w as (insert into workspaces (name) values ('else') returning workspace_id)
         update systems set workspace_id = (select workspace_id from w) where system_id = $1",
    )
    .bind(app.system_id)
    .execute(&app.pool)
    .await
    .expect("moves");
    for question in questions(app.system_id) {
        let answer = app.get(&format!("{question}&asOf={at}")).await;
        assert!(!names_somebody(&answer.body), "{question}: {}", answer.body);
    }
}

/// Does an answer tell anything of the register?
fn names_somebody(answer: &Value) -> bool {
    ["items", "paths"]
        .iter()
        .any(|list| answer[list].as_array().is_some_and(|list| !list.is_empty()))
        || answer["principalName"].is_string()
        || answer["resourceName"].is_string()
}

/// A key of another workspace.
async fn foreign_key(app: &TestApp) -> String {
    let workspace_id = sqlx::query_scalar(
        "insert into workspaces (name) values ('foreign') returning workspace_id",
    )
    .fetch_one(&app.pool)
    .await
    .expect("a workspace");
    let new = NewKey {
        workspace_id,
        name: "foreign".into(),
        permissions: Permission::ALL.to_vec(),
        system_ids: None,
        expires_at: None,
        created_by: "test".into(),
    };
    let mut connection = app.pool.acquire().await.expect("a connection");
    let (generated, _) = create_key(&mut connection, &new).await.expect("a key");
    generated.key.expose_secret().to_owned()
}

#[tokio::test]
async fn of_what_is_not_kept_only_the_present_is_answered() {
    let app = TestApp::start().await;
    let at = shown(instant(&app).await);
    let refused = app
        .get(&format!("/api/register/principal-activity?asOf={at}"))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert_eq!(pointer(&refused), "/asOf");
}
