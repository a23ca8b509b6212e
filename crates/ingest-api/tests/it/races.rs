//! Loads that meet: whatever the interleaving, nothing is removed that anybody knows to be there.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{TestApp, id, people};

async fn open(app: &TestApp, scope: Value) -> String {
    let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full", "scope": scope});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    )
}

async fn put(app: &TestApp, session: &str, records: Value) {
    app.put(
        &format!("{session}/batches/0"),
        &json!({"records": records}),
    )
    .await
    .expect(200);
}

fn commit() -> Value {
    json!({"batches": 1, "complete": true})
}

async fn live(app: &TestApp) -> i64 {
    app.count("select count(*) from principals where deleted_at is null")
        .await
}

/// Waits until a statement of the server waits for a lock.
async fn somebody_waits(app: &TestApp) {
    for _ in 0..500 {
        if app.count("select count(*) from pg_locks where not granted and locktype in ('transactionid', 'tuple')").await > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

#[tokio::test]
async fn a_row_that_leaves_the_scope_while_it_is_being_judged_is_not_removed() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full", "scope": {"principalType": "User"}}),
    )
    .await
    .expect(201);
    let session = open(&app, json!({"principalType": "User"})).await;
    put(&app, &session, people(0..39, "Ada")).await;

    // Number 39 turns into a guest in a transaction that is still open when the commit has found it missing.
    let mut other = app.pool.begin().await.expect("begins");
    sqlx::query("update principals set principal_type = 'ExternalUser', valid_from = clock_timestamp() where id = $1")
        .bind(id(39))
        .execute(&mut *other)
        .await
        .expect("updates");
    let (path, commit) = (format!("{session}/commit"), commit());
    let (committed, ()) = tokio::join!(app.post(&path, &commit), async {
        somebody_waits(&app).await;
        other.commit().await.expect("commits");
    });
    assert_eq!(committed.expect(200)["deleted"], 0);
    assert_eq!(live(&app).await, 40);
}

#[tokio::test]
async fn a_row_that_changes_while_its_removal_waits_is_not_removed() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let session = open(&app, json!({})).await;
    put(&app, &session, people(0..38, "Ada")).await;
    let mut other = app.pool.begin().await.expect("begins");
    sqlx::query(
        "update principals set display_name = 'Eve', valid_from = clock_timestamp() where id = $1",
    )
    .bind(id(39))
    .execute(&mut *other)
    .await
    .expect("updates");
    let (path, commit) = (format!("{session}/commit"), commit());
    let (committed, ()) = tokio::join!(app.post(&path, &commit), async {
        somebody_waits(&app).await;
        other.commit().await.expect("commits");
    });
    assert_eq!(
        committed.expect(200)["deleted"],
        1,
        "38 goes, 39 was written meanwhile"
    );
    assert_eq!(live(&app).await, 39);
}

#[tokio::test]
async fn a_session_that_is_being_committed_cannot_be_taken_for_abandoned() {
    let app = TestApp::start().await;
    let session = open(&app, json!({})).await;
    let sync_id: uuid::Uuid = session
        .rsplit('/')
        .next()
        .expect("an id")
        .parse()
        .expect("a uuid");
    let mut committing = app.pool.begin().await.expect("begins");
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text, 0))")
        .bind(sync_id)
        .execute(&mut *committing)
        .await
        .expect("held");
    sqlx::query(
        "update sync_sessions set expires_at = now() - interval '1 second' where sync_id = $1",
    )
    .bind(sync_id)
    .execute(&app.pool)
    .await
    .expect("time passes");
    let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full"});
    app.post("/api/ingest/sessions", &body).await.expect(409);
    committing.rollback().await.expect("ends");
    app.post("/api/ingest/sessions", &body).await.expect(201);
}

#[tokio::test]
async fn what_another_load_met_unchanged_is_not_removed() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let session = open(&app, json!({})).await;
    put(&app, &session, people(0..38, "Ada")).await;
    // Nothing is written for 39: it is as it was. The full load learns all the same that it is there.
    let met = app
        .ingest("principals", people(39..40, "Ada"), json!({}))
        .await
        .expect(201);
    assert_eq!(met["unchanged"], 1);
    let answer = app
        .post(&format!("{session}/commit"), &commit())
        .await
        .expect(200);
    assert_eq!(answer["deleted"], 1);
    assert_eq!(live(&app).await, 39);
}

#[tokio::test]
async fn what_was_written_since_the_reading_began_is_not_removed() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    app.ingest("principals", people(40..41, "New"), json!({}))
        .await
        .expect(201);
    // The source was read before number 40 came.
    let late = json!({"syncMode": "full", "readBeganMsAgo": 3_600_000});
    let answer = app
        .ingest("principals", people(0..40, "Ada"), late)
        .await
        .expect(201);
    assert_eq!((&answer["deleted"], answer.get("held")), (&json!(0), None));
    let answer = app
        .ingest(
            "principals",
            people(0..40, "Ada"),
            json!({"syncMode": "full"}),
        )
        .await
        .expect(201);
    assert_eq!(answer["deleted"], 1);
}

#[tokio::test]
async fn what_a_newer_load_met_leaves_the_change_set_that_waits() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..100, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let held = app
        .ingest(
            "principals",
            people(0..50, "Ada"),
            json!({"syncMode": "full"}),
        )
        .await
        .expect(201);
    let held = held["held"]["changeSetId"]
        .as_str()
        .expect("an id")
        .to_owned();
    // A load that broke off met 50 to 79, all unchanged.
    let partial = json!({"syncMode": "full", "complete": false});
    app.ingest("principals", people(50..80, "Ada"), partial)
        .await
        .expect(201);
    let reason = json!({"reason": "they left"});
    app.post(&format!("/api/ingest/held/{held}/approve"), &reason)
        .await
        .expect(200);
    assert_eq!(live(&app).await, 80);
}

#[tokio::test]
async fn a_change_set_is_void_once_an_overlapping_load_was_complete() {
    let app = TestApp::start().await;
    let users = json!({"syncMode": "full", "scope": {"principalType": "User"}});
    app.ingest("principals", people(0..100, "Ada"), users.clone())
        .await
        .expect(201);
    let held = app
        .ingest("principals", people(0..50, "Ada"), users)
        .await
        .expect(201);
    let held = held["held"]["changeSetId"]
        .as_str()
        .expect("an id")
        .to_owned();
    app.ingest(
        "principals",
        people(0..100, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    app.post(
        &format!("/api/ingest/held/{held}/approve"),
        &json!({"reason": "too late"}),
    )
    .await
    .expect(409);
    assert_eq!(live(&app).await, 100);
}

#[tokio::test]
async fn a_first_load_of_another_scope_removes_nothing_unasked() {
    let app = TestApp::start().await;
    let scoped = |kind: &str| json!({"syncMode": "full", "scope": {"principalType": kind}});
    app.ingest("principals", people(0..960, "Ada"), scoped("User"))
        .await
        .expect(201);
    app.ingest(
        "principals",
        people(1000..1040, "App"),
        scoped("ServicePrincipal"),
    )
    .await
    .expect(201);
    // A caller that lost its scope speaks of users only, but seems to speak of everything.
    let answer = app
        .ingest(
            "principals",
            people(0..960, "Ada"),
            json!({"syncMode": "full"}),
        )
        .await
        .expect(201);
    assert_eq!(answer["held"]["reason"], "scope_changed");
    assert_eq!(live(&app).await, 1000);
}

#[tokio::test]
async fn a_request_is_bounded_whatever_it_claims() {
    let app = TestApp::start().await;
    let session = open(&app, json!({})).await;
    put(&app, &session, people(0..1, "Ada")).await;
    let claim = json!({"batches": 9_000_000_000_000_000_000_u64, "complete": true});
    let refused = app
        .post(&format!("{session}/commit"), &claim)
        .await
        .expect(409);
    assert!(
        refused["detail"].as_str().expect("text").contains("[1, 2"),
        "{refused}"
    );
    let many: Vec<u8> = [
        format!("{{\"systemId\":{},\"records\":[", app.system_id).into_bytes(),
        b"1,".repeat(2_000_000),
        b"1]}".to_vec(),
    ]
    .concat();
    let request = app
        .request(reqwest::Method::POST, "/api/ingest/principals")
        .header("Content-Type", "application/json")
        .body(many);
    app.send(request).await.expect(413);
    let lines = [
        format!("{{\"systemId\":{}}}\n", app.system_id).into_bytes(),
        b"1\n".repeat(200_000),
    ]
    .concat();
    let request = app
        .request(reqwest::Method::POST, "/api/ingest/principals")
        .header("Content-Type", "application/x-ndjson")
        .body(lines);
    app.send(request).await.expect(413);
    let twice = format!("{{\"systemId\":{0},\"systemId\":{0}}}\n", app.system_id);
    let request = app
        .request(reqwest::Method::POST, "/api/ingest/principals")
        .header("Content-Type", "application/x-ndjson")
        .body(twice);
    app.send(request).await.expect(400);
}

#[tokio::test]
async fn a_chunked_load_that_lost_its_start_can_start_again_and_one_that_lost_a_chunk_removes_nothing()
 {
    let app = TestApp::start().await;
    let start = json!({"syncMode": "full", "syncSession": "start"});
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let lost = app
        .ingest("principals", people(0..10, "Ada"), start.clone())
        .await
        .expect(201)["syncId"]
        .clone();
    let again = app
        .ingest("principals", people(0..38, "Ada"), start)
        .await
        .expect(201)["syncId"]
        .clone();
    let step = |sync_id: &Value, word: &str| json!({"syncMode": "full", "syncSession": word, "syncId": sync_id});
    app.ingest("principals", people(10..20, "Ada"), step(&lost, "continue"))
        .await
        .expect(409);

    // A chunk that does not arrive whole: its session cannot be sure of anything.
    let mut broken = app.pool.begin().await.expect("begins");
    sqlx::query("lock table sync_batches in access exclusive mode")
        .execute(&mut *broken)
        .await
        .expect("locks");
    let (refused, ()) = tokio::join!(
        app.ingest(
            "principals",
            people(38..39, "Ada"),
            step(&again, "continue")
        ),
        async {
            tokio::time::sleep(Duration::from_secs(12)).await;
            broken.rollback().await.expect("ends");
        }
    );
    assert_eq!(refused.status.as_u16(), 503);
    let ended = app
        .ingest("principals", json!([]), step(&again, "end"))
        .await
        .expect(200);
    assert_eq!(ended["deleted"], 0);
    assert!(ended["removalsSkipped"].is_string());
    assert_eq!(live(&app).await, 40);
}

#[tokio::test]
async fn sources_with_the_same_type_are_told_apart_by_tenant_and_by_name() {
    let app = TestApp::start().await;
    let records = json!({"records": [
        {"systemType": "HR", "tenantId": "a", "displayName": "one"},
        {"systemType": "HR", "displayName": "a"},
        {"systemType": "HR", "tenantId": "", "displayName": "b"},
        {"systemType": "HR", "tenantId": "", "displayName": "c"},
        {"systemType": "HR", "displayName": "名".repeat(1000)},
        {"systemType": "HR", "displayName": "b"},
    ]});
    let answer = app.post("/api/ingest/systems", &records).await.expect(201);
    let ids: Vec<i64> = answer["systemIds"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    assert_eq!(ids[5], ids[2], "the same source again");
    assert_eq!(
        ids[..5]
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        5
    );
}
