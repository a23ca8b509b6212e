//! What other loads know is found by a commit, though retention purged, the clock was set back, or it was written by a
//! transaction that was still under way.

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::{
    app::{TestApp, id, people, until},
    newer_knowledge::{live, somebody_waits},
    retention::purge_after,
};

/// Opens a full load of all people that has brought all but number 39; answers its path.
async fn without_the_last(app: &TestApp) -> String {
    let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full"});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    let sync_id = opened["syncId"].as_str().expect("an id");
    let session = format!("/api/ingest/sessions/{sync_id}");
    app.put(
        &format!("{session}/batches/0"),
        &json!({"records": people(0..39, "Ada")}),
    )
    .await
    .expect(200);
    session
}

async fn commit(app: &TestApp, session: &str) -> Value {
    app.post(
        &format!("{session}/commit"),
        &json!({"batches": 1, "complete": true}),
    )
    .await
    .expect(200)
}

async fn run(app: &TestApp, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&app.pool).await.expect(sql);
}

#[tokio::test]
async fn what_another_load_met_days_ago_is_not_removed_by_one_that_is_open_since() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..40, "Ada"), json!({}))
        .await
        .expect(201);
    let session = without_the_last(&app).await;
    app.ingest("principals", people(39..40, "Ada"), json!({}))
        .await
        .expect(201);
    // Retention comes by while the load goes on, a batch a day.
    purge_after(&app, 3).await;
    assert_eq!(commit(&app, &session).await["deleted"], 0);
    assert_eq!(live(&app).await, 40);
    let purged = purge_after(&app, 3).await;
    assert_eq!(purged.batches_met, 2, "needed no more");
}

#[tokio::test]
async fn a_reading_that_began_before_what_is_still_known_removes_nothing() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..40, "Ada"), json!({}))
        .await
        .expect(201);
    run(
        &app,
        "update principals set valid_from = valid_from - interval '9 days', first_seen_at = first_seen_at - interval '9 days'",
    )
    .await;
    app.ingest("principals", people(39..40, "Ada"), json!({}))
        .await
        .expect(201);
    assert_eq!(purge_after(&app, 3).await.batches_met, 1);
    let late = json!({"syncMode": "full", "readBeganMsAgo": 5 * 24 * 3_600_000});
    let late = app
        .ingest("principals", people(0..39, "Ada"), late)
        .await
        .expect(201);
    assert_eq!(live(&app).await, 40);
    assert!(late["removalsSkipped"].is_string(), "{late}");
}

#[tokio::test]
async fn what_is_written_or_met_after_the_clock_was_set_back_is_not_removed_by_a_load_from_before()
{
    let app = TestApp::start().await;
    app.ingest("principals", people(0..40, "Ada"), json!({}))
        .await
        .expect(201);
    let session = without_the_last(&app).await;
    // The clock went back by an hour: what it told before lies in the future.
    run(
        &app,
        "update sync_sessions set opened_at = opened_at + interval '1 hour', read_since = read_since + interval '1 hour' \
         where state = 'open'; update rows_met set met_at = met_at + interval '1 hour'",
    )
    .await;
    let others =
        json!([{"id": id(39), "displayName": "Ada 39"}, {"id": id(40), "displayName": "New"}]);
    let written = app
        .ingest("principals", others, json!({}))
        .await
        .expect(201);
    let counts = (&written["inserted"], &written["unchanged"]);
    assert_eq!(counts, (&json!(1), &json!(1)));
    assert_eq!(commit(&app, &session).await["deleted"], 0);
    assert_eq!(live(&app).await, 41);
}

#[tokio::test]
async fn transactions_see_what_was_committed_while_they_waited_whatever_the_databases_default() {
    let app = TestApp::over(12, async |url| {
        let mut connection = PgConnection::connect(url).await.expect("connects");
        sqlx::raw_sql(
            "do $$ begin execute format('alter database %I set default_transaction_isolation = serializable', \
             current_database()); end $$",
        )
        .execute(&mut connection)
        .await
        .expect("set");
        url.to_owned()
    })
    .await;
    let isolation: String = sqlx::query_scalar("show transaction_isolation")
        .fetch_one(&app.pool)
        .await
        .expect("an answer");
    assert_eq!(isolation, "read committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_keeps_its_row_that_another_load_was_still_writing() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let open = async |mode: &str| {
        let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": mode});
        let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
        opened["syncId"].as_str().expect("an id").to_owned()
    };
    let batch = |sync_id: &str| format!("/api/ingest/sessions/{sync_id}/batches/0");
    let (mut watcher, mut holder) = (app.connect().await, app.connect().await);

    // A batch has written number 40, and stops at its end.
    let writing = open("delta").await;
    let mut holding = holder.begin().await.expect("begins");
    sqlx::query("select from sync_sessions where sync_id = $1::uuid for no key update")
        .bind(&writing)
        .execute(&mut *holding)
        .await
        .expect("locks");
    let (path, new) = (batch(&writing), json!({"records": people(40..41, "New")}));
    let write = async { app.put(&path, &new).await.expect(200) };
    let load = async {
        somebody_waits(&mut watcher).await;
        let sync_id = open("full").await;
        let mut records = people(0..40, "Ada");
        let odd = json!({"id": id(40), "displayName": 40});
        records.as_array_mut().expect("a list").push(odd);
        let (path, records) = (batch(&sync_id), json!({"records": records}));
        let read = app.put(&path, &records).await.expect(200);
        assert_eq!(read["rejected"], 1);
        sync_id
    };
    let release = async {
        // The load waits for the batch, or is through without it.
        until(async || {
            let through = "select count(*) from rejected_records";
            let waiting =
                "select count(*) from pg_locks where not granted and locktype = 'advisory' \
                 and database = (select oid from pg_database where datname = current_database())";
            app.count(through).await + app.count(waiting).await > 0
        })
        .await;
        holding.rollback().await.expect("ends");
    };
    let (_, sync_id, ()) = tokio::join!(write, load, release);
    let session = format!("/api/ingest/sessions/{sync_id}");
    assert_eq!(commit(&app, &session).await["deleted"], 0);
    assert_eq!(live(&app).await, 41);
}
