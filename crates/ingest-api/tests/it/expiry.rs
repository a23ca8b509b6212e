//! Abandoned sessions end by themselves.

use std::time::Duration;

use ingest_api::{AppState, serve};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::{TestApp, people};

#[tokio::test]
async fn a_session_that_cannot_be_expired_does_not_keep_the_others_waiting() {
    let app = TestApp::start().await;
    let mut sessions: Vec<Uuid> = Vec::new();
    for _ in 0..5 {
        let body = json!({"systemId": app.system_id, "entity": "principals"});
        let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
        let sync_id = opened["syncId"].as_str().expect("an id");
        app.put(
            &format!("/api/ingest/sessions/{sync_id}/batches/0"),
            &json!({"records": people(0..3, "Ada")}),
        )
        .await
        .expect(200);
        sessions.push(sync_id.parse().expect("a uuid"));
    }
    // All but the last are overdue, the first for longest, and somebody works on that one.
    sqlx::query(
        "update sync_sessions set expires_at = now() - interval '1 hour' - array_position($1, sync_id) * interval '-1 minute' \
         where sync_id = any ($1)",
    )
    .bind(&sessions[..4])
    .execute(&app.pool)
    .await
    .expect("time passes");
    let mut working = app.pool.begin().await.expect("begins");
    sqlx::query("select pg_advisory_xact_lock_shared(hashtextextended($1::text, 0))")
        .bind(sessions[0])
        .execute(&mut *working)
        .await
        .expect("held");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let stop = CancellationToken::new();
    let state = AppState::new(app.pool.clone());
    let server = tokio::spawn(serve(listener, state, stop.clone()));
    let expired = "select count(*) from sync_sessions where state = 'expired'";
    tokio::time::timeout(Duration::from_secs(60), async {
        while app.count(expired).await < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the others expire");
    stop.cancel();
    server.await.expect("no panic").expect("serves");

    let states: Vec<String> =
        sqlx::query_scalar("select state from sync_sessions where sync_id = any ($1) order by array_position($1, sync_id)")
            .bind(&sessions)
            .fetch_all(&app.pool)
            .await
            .expect("states");
    assert_eq!(states, ["open", "expired", "expired", "expired", "open"]);
    working.rollback().await.expect("ends");
    let told = app
        .get(&format!("/api/ingest/sessions/{}", sessions[1]))
        .await
        .expect(200);
    assert_eq!(
        (&told["state"], &told["batches"]),
        (&json!("expired"), &json!(1))
    );
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        3,
        "what the batches brought stays"
    );
}
