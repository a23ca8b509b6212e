//! What loads leave behind goes after its time; what says where rows come from, and who decided what, stays.

use ingest_api::retention::{Keep, Retention};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{TestApp, id, people},
    retention::{purge_after, purge_with, remove, ten_days},
};

#[tokio::test]
async fn sessions_change_sets_reports_the_audit_log_and_what_is_kept_forever_are_never_purged() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..30, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    remove(&app, 0..1).await;
    let held = app
        .ingest("principals", json!([]), json!({"syncMode": "full"}))
        .await
        .expect(201)["held"]["changeSetId"]
        .clone();
    let held = held.as_str().expect("an id");
    app.post(
        &format!("/api/ingest/held/{held}/reject"),
        &json!({"reason": "it was empty"}),
    )
    .await
    .expect(200);
    let kept = [
        "select count(*) from sync_sessions",
        "select count(*) from held_change_sets",
        "select count(*) from audit_log",
        "select count(*) from history",
        "select count(*) from systems",
        "select count(*) from api_keys",
    ];
    let mut before = Vec::new();
    for sql in kept {
        before.push(app.count(sql).await);
    }
    assert!(before.iter().all(|count| *count > 0), "{before:?}");

    let forever = Retention {
        removed_rows: Keep::Forever,
        held_rows: Keep::Forever,
        ..ten_days()
    };
    let purged = purge_with(&app, 50_000, &forever, &CancellationToken::new()).await;
    assert_eq!((purged.removed_rows, purged.held_rows), (0, 0));
    let purged = purge_after(&app, 50_000).await;
    assert_eq!((purged.removed_rows, purged.held_rows), (1, 29));
    for (sql, before) in kept.iter().zip(before) {
        assert_eq!(app.count(sql).await, before, "{sql}");
    }

    // The set tells when its list went, instead of showing an empty one.
    let set = app
        .get(&format!("/api/ingest/held/{held}"))
        .await
        .expect(200);
    assert!(set["rowsPurgedAt"].is_string());
    assert_eq!(set["wouldDelete"], 29);
    app.get(&format!("/api/ingest/held/{held}/rows"))
        .await
        .expect(404);
}

#[tokio::test]
async fn a_session_tells_its_counts_after_its_batches_are_gone() {
    let app = TestApp::start().await;
    let mut sessions = Vec::new();
    for end in ["commit", "abort"] {
        let body = json!({"systemId": app.system_id, "entity": "principals"});
        let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
        let path = format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        );
        for seq in 0..7_u32 {
            let records = json!({"records": people(seq..seq + 2, end)});
            app.put(&format!("{path}/batches/{seq}"), &records)
                .await
                .expect(200);
        }
        app.post(&format!("{path}/{end}"), &json!({"batches": 7}))
            .await
            .expect(200);
        let told = app.get(&path).await.expect(200);
        assert_eq!(
            (&told["batches"], &told["totals"]["records"]),
            (&json!(7), &json!(14))
        );
        sessions.push((path, told));
    }
    let body = json!({"systemId": app.system_id, "entity": "principals"});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    let open = format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    );
    app.put(
        &format!("{open}/batches/0"),
        &json!({"records": people(0..1, "Ada")}),
    )
    .await
    .expect(200);

    assert_eq!(purge_after(&app, 9).await.session_batches, 0);
    assert_eq!(purge_after(&app, 11).await.session_batches, 14);
    assert_eq!(
        app.count("select count(*) from sync_batches").await,
        1,
        "of the open one"
    );
    for (path, told) in &sessions {
        assert_eq!(&app.get(path).await.expect(200), told);
    }
    let (committed, told) = &sessions[0];
    let again = app
        .post(&format!("{committed}/commit"), &json!({"batches": 7}))
        .await
        .expect(200);
    assert_eq!(again, told["totals"], "a commit is still answered again");
    app.post(&format!("{}/abort", sessions[1].0), &json!({}))
        .await
        .expect(200);
    app.post(&format!("{open}/commit"), &json!({"batches": 1}))
        .await
        .expect(200);
    assert_eq!(purge_after(&app, 11).await.session_batches, 1);
}

#[tokio::test]
async fn refused_records_go_with_their_time_but_not_those_of_an_open_session() {
    let app = TestApp::start().await;
    let body = json!({"systemId": app.system_id, "entity": "principals"});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    let session = opened["syncId"].as_str().expect("an id").to_owned();
    let refused: Value = (0..4).map(|n| json!({"id": id(n)})).collect();
    app.put(
        &format!("/api/ingest/sessions/{session}/batches/0"),
        &json!({"records": refused}),
    )
    .await
    .expect(200);
    app.ingest("principals", refused, json!({}))
        .await
        .expect(201);
    assert_eq!(purge_after(&app, 9).await.refused_records, 0);
    assert_eq!(purge_after(&app, 11).await.refused_records, 4);
    let left = app
        .get(&format!("/api/ingest/rejected?syncId={session}"))
        .await
        .expect(200);
    assert_eq!(left["items"].as_array().expect("a list").len(), 4);
    app.post(&format!("/api/ingest/sessions/{session}/abort"), &json!({}))
        .await
        .expect(200);
    assert_eq!(purge_after(&app, 11).await.refused_records, 4);
}

#[tokio::test]
async fn an_answer_kept_for_retries_goes_after_a_day() {
    let app = TestApp::start().await;
    for n in 0..5 {
        let body = json!({"systemId": app.system_id, "records": people(n..n + 1, "Ada")});
        let request = app
            .request(reqwest::Method::POST, "/api/ingest/principals")
            .header("Idempotency-Key", n.to_string())
            .json(&body);
        app.send(request).await.expect(201);
    }
    assert_eq!(purge_after(&app, 0).await.idempotent_answers, 0);
    assert_eq!(purge_after(&app, 2).await.idempotent_answers, 5);
    assert_eq!(app.count("select count(*) from principals").await, 5);
}
