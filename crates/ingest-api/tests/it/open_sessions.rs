//! Sessions that are open cost nothing between their calls.

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use sqlx::Connection as _;

use crate::app::{TestApp, id, until};

/// Of the server's database, for everything.
const CONNECTIONS: u32 = 4;
/// Callers at the same time.
const CALLERS: usize = 4;

/// Opens full loads number `range`, each of a scope of its own; answers their paths.
async fn open(app: &TestApp, range: std::ops::Range<u32>) -> Vec<(u32, String)> {
    stream::iter(range)
        .map(async |n| {
            let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full",
                "scope": {"principalType": format!("Type{n}")}});
            let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
            let sync_id = opened["syncId"].as_str().expect("an id");
            (n, format!("/api/ingest/sessions/{sync_id}"))
        })
        .buffer_unordered(CALLERS)
        .collect()
        .await
}

/// No connection is taken, no transaction open, no memory for bodies held.
async fn nothing_is_held(app: &TestApp) {
    until(async || app.pool.num_idle() == app.pool.size() as usize).await;
    assert!(app.pool.size() <= CONNECTIONS);
    let in_transaction = "select count(*) from pg_stat_activity where datname = current_database() \
                          and state like 'idle in transaction%'";
    assert_eq!(app.count(in_transaction).await, 0);
    assert_eq!(app.memory.taken(), 0);
}

async fn are_all_usable(app: &TestApp, sessions: Vec<(u32, String)>) {
    let expected = sessions.len() as i64;
    stream::iter(sessions)
        .for_each_concurrent(CALLERS, async |(n, session)| {
            let record = json!({"id": id(n), "displayName": format!("Ada {n}")});
            let batch = format!("{session}/batches/0");
            let answer = app
                .put(&batch, &json!({"records": [record]}))
                .await
                .expect(200);
            assert_eq!(answer["inserted"], 1, "{answer}");
            let end = json!({"batches": 1, "complete": true});
            app.post(&format!("{session}/commit"), &end)
                .await
                .expect(200);
        })
        .await;
    let rows =
        "select count(*) from principals where deleted_at is null and principal_type like 'Type%'";
    assert_eq!(app.count(rows).await, expected);
    let open = "select count(*) from sync_sessions where state = 'open'";
    assert_eq!(app.count(open).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_open_sessions_hold_nothing_and_all_can_be_used() {
    let app = TestApp::with_connections(CONNECTIONS).await;
    let sessions = open(&app, 0..10).await;
    nothing_is_held(&app).await;
    are_all_usable(&app, sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_open_sessions_hold_nothing_and_all_can_be_used() {
    let app = TestApp::with_connections(CONNECTIONS).await;
    let sessions = open(&app, 0..1_000).await;
    nothing_is_held(&app).await;
    are_all_usable(&app, sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_among_a_thousand_open_sessions_takes_few_locks() {
    let app = TestApp::with_connections(CONNECTIONS).await;
    let record = |word: &str| json!([{"id": id(1), "displayName": word}]);
    app.ingest("principals", record("Ada"), json!({}))
        .await
        .expect(201);
    open(&app, 0..1_000).await;
    // The batch stops at its row, with all the locks that it takes: its scope overlaps all of theirs.
    let (mut watcher, mut holder) = (app.connect().await, app.connect().await);
    let mut holding = holder.begin().await.expect("begins");
    sqlx::query("select from principals for update")
        .execute(&mut *holding)
        .await
        .expect("locks");
    let (answer, locks) = tokio::join!(app.ingest("principals", record("Bo"), json!({})), async {
        let mut locks: Option<i64> = None;
        until(async || {
            locks = sqlx::query_scalar(
                "select count(*) from pg_locks l join pg_stat_activity a using (pid) where a.wait_event_type = 'Lock' \
                 and a.datname = current_database() and l.locktype = 'advisory' having count(*) > 0",
            )
            .fetch_optional(&mut watcher)
            .await
            .expect("an answer");
            locks.is_some()
        })
        .await;
        holding.rollback().await.expect("ends");
        locks
    });
    assert_eq!(answer.expect(201)["updated"], 1);
    assert!(locks.is_some_and(|locks| locks < 64), "{locks:?}");
}
