//! The sessions of a run, and going on in them.

use contract::{Completeness, Permission, SyncMode, session::SessionState};
use ingest_client::{BatchLimits, BatchWriter, IngestClient, OpenOptions};
use serde_json::json;
use uuid::Uuid;

use super::{client, client_of, foreign_key, open, refused, rotated};
use crate::app::{TestApp, id, people};

#[tokio::test]
async fn a_run_finds_its_sessions_again_with_their_gaps_and_its_own_only() {
    let app = TestApp::start().await;
    let (client, run_id) = (client(&app), Uuid::new_v4());
    let open_one = async |client: &IngestClient, run_id, mode| {
        let session = client
            .open_session(&open(&app, run_id, mode), OpenOptions::default())
            .await;
        session.expect("open").sync_id()
    };
    let holey = open_one(&client, Some(run_id), SyncMode::Full).await;
    let empty = open_one(&client, Some(run_id), SyncMode::Delta).await;
    let done = open_one(&client, Some(run_id), SyncMode::Delta).await;
    open_one(&client, Some(Uuid::new_v4()), SyncMode::Delta).await;
    open_one(&client, None, SyncMode::Delta).await;
    let stranger = app.new_key(&Permission::ALL, None).await;
    let theirs = open_one(&client_of(&app, &stranger), Some(run_id), SyncMode::Delta).await;

    for seq in [0, 3, 5] {
        let path = format!("/api/ingest/sessions/{holey}/batches/{seq}");
        app.put(&path, &json!({"records": people(seq..seq + 1, "Ada")}))
            .await
            .expect(200);
    }
    let path = format!("/api/ingest/sessions/{done}/batches/0");
    app.put(&path, &json!({"records": people(20..23, "Bo")}))
        .await
        .expect(200);
    let done_path = format!("/api/ingest/sessions/{done}/commit");
    app.post(&done_path, &json!({"batches": 1}))
        .await
        .expect(200);

    let found = client.sessions_of_run(run_id).await.expect("sessions");
    let told: Vec<_> = found
        .iter()
        .map(|s| {
            (
                s.sync_id,
                s.state,
                s.next_seq,
                s.missing.clone(),
                s.totals.inserted,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (holey, SessionState::Open, 6, vec![1, 2, 4], 3),
            (empty, SessionState::Open, 0, vec![], 0),
            (done, SessionState::Committed, 1, vec![], 3),
        ]
    );
    // Page by page it is the same.
    let first = app
        .get(&format!("/api/ingest/sessions?runId={run_id}&limit=2"))
        .await
        .expect(200);
    assert_eq!(
        (&first["items"][1]["syncId"], &first["next"]),
        (&json!(empty), &json!(empty))
    );
    let last = app
        .get(&format!(
            "/api/ingest/sessions?runId={run_id}&limit=2&after={empty}"
        ))
        .await
        .expect(200);
    assert_eq!(
        (&last["items"][0]["syncId"], last.get("next")),
        (&json!(done), None)
    );

    let seen_by = async |key: String| -> Vec<Uuid> {
        let found = client_of(&app, &key)
            .sessions_of_run(run_id)
            .await
            .expect("sessions");
        found.into_iter().map(|session| session.sync_id).collect()
    };
    assert_eq!(seen_by(stranger).await, [theirs]);
    assert!(seen_by(foreign_key(&app).await).await.is_empty());
    assert_eq!(seen_by(rotated(&app).await).await, [holey, empty, done]);
    let reader = client_of(&app, &app.new_key(&[Permission::Read], None).await);
    refused(reader.sessions_of_run(run_id).await, 403);
    app.get("/api/ingest/sessions").await.expect(400);
}

#[tokio::test]
async fn numbers_as_great_as_a_caller_likes_name_the_first_thousand_gaps() {
    let app = TestApp::start().await;
    let wanted = open(&app, Some(Uuid::new_v4()), SyncMode::Delta);
    let session = client(&app)
        .open_session(&wanted, OpenOptions::default())
        .await
        .expect("open");
    session
        .put_batch(2, &[json!({"id": id(1), "displayName": "Ada"})])
        .await
        .expect("stored");
    session
        .put_batch(
            i64::MAX as u64,
            &[json!({"id": id(2), "displayName": "Bo"})],
        )
        .await
        .expect("stored");
    let status = session.status().await.expect("a status");
    assert_eq!(status.next_seq, 1 << 63);
    let gaps: Vec<u64> = [0, 1].into_iter().chain(3..1001).collect();
    assert_eq!(status.missing, gaps);
}

#[tokio::test]
async fn a_crawl_goes_on_in_a_full_session_of_another_process_and_key_and_removes_what_neither_brought()
 {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..30, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let run_id = Uuid::new_v4();
    let wanted = open(&app, Some(run_id), SyncMode::Full);
    let first = client(&app)
        .open_session(&wanted, OpenOptions::default())
        .await
        .expect("open");
    let record = |n: u32| json!({"id": id(n), "displayName": format!("Ada {n}")});
    let some = |range: std::ops::Range<u32>| range.map(record).collect::<Vec<_>>();
    first.put_batch(0, &some(0..5)).await.expect("stored");
    // Number 1 is lost on its way.
    first.put_batch(2, &some(10..15)).await.expect("stored");

    let successor = client_of(&app, &rotated(&app).await);
    let found = successor.sessions_of_run(run_id).await.expect("sessions");
    let session = successor.session(found[0].sync_id);
    let limits = BatchLimits {
        max_records: 4,
        ..BatchLimits::default()
    };
    let mut writer = BatchWriter::resume(session, limits).await.expect("goes on");
    // What the first process still sends under the lost number is refused.
    refused(first.put_batch(1, &some(5..10)).await, 409);
    for n in (5..10).chain(15..28) {
        writer.push(&record(n)).await.expect("taken");
    }
    let complete = Completeness {
        complete: true,
        ..Completeness::default()
    };
    let answer = writer.finish(complete).await.expect("committed");
    assert_eq!(
        (answer.records, answer.unchanged, answer.deleted),
        (28, 28, 2)
    );
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        28
    );
}
