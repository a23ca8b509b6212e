//! Sessions and the writer that fills them.

use contract::{Completeness, Entity, SyncMode, session::OpenSession};
use ingest_client::{BatchLimits, BatchWriter, ClientError, OpenOptions};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::double::Double;

fn open() -> OpenSession {
    OpenSession {
        system_id: 3,
        entity: Entity::Principals,
        sync_mode: SyncMode::Full,
        scope: [("principalType".to_owned(), "User".to_owned())].into(),
        id_generation: contract::IdGeneration::Native,
        id_prefix: None,
        source_filter: Some("all".into()),
        run_id: Some(Uuid::from_u128(77)),
        read_began_ms_ago: None,
    }
}

fn complete() -> Completeness {
    Completeness {
        complete: true,
        incomplete_parents: vec![Uuid::from_u128(9)],
        complete_parents: Vec::new(),
    }
}

/// An open session of ours without a batch.
fn status_of(session: Uuid) -> Value {
    json!({"syncId": session, "state": "open", "systemId": 3, "entity": "principals", "syncMode": "full",
        "scope": {"principalType": "User"}, "runId": Uuid::from_u128(77), "openedAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2026-01-02T00:00:00Z", "batches": 0, "totals": {}})
}

fn in_the_way(sync_id: Uuid) -> Value {
    json!({"type": "/problems/conflict", "title": "Conflict", "status": 409, "detail": "open", "error": "open",
        "syncId": sync_id})
}

const SMALL: BatchLimits = BatchLimits {
    max_records: 10,
    max_bytes: 1 << 20,
    in_flight: 3,
};

#[tokio::test]
async fn every_record_is_in_exactly_one_batch_and_the_commit_counts_them() {
    let double = Double::start().await;
    let session = double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect("open");
    let mut writer = BatchWriter::new(session, SMALL);
    for number in 0..95 {
        writer.push(&json!({ "n": number })).await.expect("taken");
    }
    double.next(
        "/commit",
        200,
        json!({"table": "principals", "inserted": 95, "deleted": 2, "records": 95}),
    );
    let answer = writer.finish(complete()).await.expect("committed");
    assert_eq!((answer.inserted, answer.deleted), (95, 2));

    let seen = double.seen();
    let batches: Vec<_> = seen
        .iter()
        .filter(|s| s.path.contains("/batches/"))
        .collect();
    let mut numbers: Vec<i64> = batches
        .iter()
        .flat_map(|s| s.json()["records"].as_array().expect("records").clone())
        .map(|record| record["n"].as_i64().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..95).collect::<Vec<_>>());
    let mut seqs: Vec<u64> = batches
        .iter()
        .map(|s| {
            s.path
                .rsplit('/')
                .next()
                .expect("seq")
                .parse()
                .expect("a number")
        })
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..10).collect::<Vec<_>>());
    let commit = double.seen_at("/commit")[0].json();
    assert_eq!(commit["batches"], 10);
    assert_eq!(commit["complete"], true);
    assert_eq!(commit["incompleteParents"], json!([Uuid::from_u128(9)]));
    assert_eq!(
        seen.last().expect("a request").path,
        "/api/ingest/sessions/00000000-0000-0000-0000-000000000001/commit"
    );
}

#[tokio::test]
async fn a_batch_is_also_closed_by_its_size() {
    let double = Double::start().await;
    let session = double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect("open");
    let limits = BatchLimits {
        max_bytes: 2_000,
        ..SMALL
    };
    let mut writer = BatchWriter::new(session, limits);
    for _ in 0..9 {
        writer
            .push(&json!({"filler": "x".repeat(900)}))
            .await
            .expect("taken");
    }
    writer.flush().await.expect("landed");
    let batches = double
        .seen()
        .iter()
        .filter(|s| s.path.contains("/batches/"))
        .count();
    assert_eq!(batches, 3);
    writer.abandon().await;
    assert_eq!(double.seen_at("/abort").len(), 1);
}

#[tokio::test]
async fn a_commit_with_many_incomplete_parents_is_not_compressed() {
    let double = Double::start().await;
    let session = double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect("open");
    let completeness = Completeness {
        complete: true,
        incomplete_parents: (0..1000).map(Uuid::from_u128).collect(),
        complete_parents: Vec::new(),
    };
    session.commit(0, completeness).await.expect("committed");
    let commit = &double.seen_at("/commit")[0];
    assert_eq!(commit.header("content-encoding"), None);
    assert_eq!(
        commit.json()["incompleteParents"].as_array().map(Vec::len),
        Some(1000)
    );
}

#[tokio::test]
async fn an_empty_load_is_committed_with_no_batch() {
    let double = Double::start().await;
    let session = double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect("open");
    let writer: BatchWriter<Value> = BatchWriter::new(session, SMALL);
    writer.finish(complete()).await.expect("committed");
    assert_eq!(double.seen_at("/commit")[0].json()["batches"], 0);
}

#[tokio::test]
async fn a_refused_batch_is_never_committed() {
    let double = Double::start().await;
    let session = double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect("open");
    double.next(
        "/batches/1",
        413,
        json!({"title": "too large", "detail": "x", "error": "x"}),
    );
    let mut writer = BatchWriter::new(
        session,
        BatchLimits {
            in_flight: 8,
            ..SMALL
        },
    );
    for number in 0..40 {
        writer.push(&json!({ "n": number })).await.expect("taken");
    }
    let error = writer.finish(complete()).await.expect_err("refused");
    assert_eq!(error.status(), Some(413));
    assert!(double.seen_at("/commit").is_empty());
    assert_eq!(double.seen_at("/abort").len(), 1);
}

#[tokio::test]
async fn a_busy_register_gets_the_same_batch_again() {
    let double = Double::start().await;
    let session = double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect("open");
    double.next_after("/batches/0", 503, json!({}), Some("0.01"));
    double.next("/batches/0", 502, json!({}));
    session
        .put_batch(0, &[json!({"a": 1})])
        .await
        .expect("landed");
    let seen = double.seen_at("/batches/0");
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|s| s.method == axum::http::Method::PUT));
    assert!(seen.iter().all(|s| s.bytes == seen[0].bytes));
}

#[tokio::test]
async fn another_session_of_the_scope_is_a_typed_error_that_names_it() {
    let double = Double::start().await;
    let other = Uuid::from_u128(55);
    double.next("/sessions", 409, in_the_way(other));
    double.next(&format!("/sessions/{other}"), 200, status_of(other));
    let error = double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect_err("in the way");
    assert!(
        matches!(error, ClientError::SessionInTheWay { sync_id, .. } if sync_id == other),
        "{error:?}"
    );
    let text = error.to_string();
    for named in [&other.to_string(), "2026-01-01 00:00", "2026-01-02 00:00"] {
        assert!(text.contains(named), "{named} in {text}");
    }
    assert!(double.seen_at("/abort").is_empty());
}

#[tokio::test]
async fn a_session_in_the_way_is_aborted_when_taking_over() {
    let double = Double::start().await;
    let other = Uuid::from_u128(55);
    double.next("/sessions", 409, in_the_way(other));
    double.next(&format!("/sessions/{other}"), 200, status_of(other));
    let options = OpenOptions { take_over: true };
    let session = double
        .client()
        .open_session(&open(), options)
        .await
        .expect("taken over");
    assert_eq!(session.sync_id(), Uuid::from_u128(1));
    assert_eq!(double.seen_at(&format!("{other}/abort")).len(), 1);
}

#[tokio::test]
async fn our_own_session_whose_answer_was_lost_does_not_stand_in_the_way() {
    let double = Double::start().await;
    let lost = Uuid::from_u128(66);
    double.next("/sessions", 504, json!({}));
    double.next("/sessions", 409, in_the_way(lost));
    double.next(&format!("/sessions/{lost}"), 200, status_of(lost));
    double
        .client()
        .open_session(&open(), OpenOptions::default())
        .await
        .expect("open");
    assert_eq!(double.seen_at(&format!("{lost}/abort")).len(), 1);
}

#[tokio::test]
async fn a_session_of_another_key_is_not_taken_over() {
    let double = Double::start().await;
    let other = Uuid::from_u128(55);
    double.next("/sessions", 409, in_the_way(other));
    double.next(&format!("/sessions/{other}"), 404, json!({"title": "x"}));
    let options = OpenOptions { take_over: true };
    let error = double.client().open_session(&open(), options).await;
    let text = error.expect_err("in the way").to_string();
    assert!(
        text.contains("another API key") && text.contains(&other.to_string()),
        "{text}"
    );
    assert!(double.seen_at("/abort").is_empty());
}
