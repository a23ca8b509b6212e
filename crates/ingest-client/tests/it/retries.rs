//! What is sent again, how, and what is not.

use contract::{Entity, IngestRequest, SyncMode, records::System};
use ingest_client::{ClientError, IngestClient};
use serde_json::{Value, json};

use crate::double::{Double, KEY};

fn request() -> IngestRequest<Value> {
    serde_json::from_value(
        json!({"systemId": 3, "records": [{"id": "x", "filler": "y".repeat(3000)}]}),
    )
    .expect("a request")
}

fn refusal() -> Value {
    json!({"type": "/problems/unknown-system", "title": "Unknown system", "status": 404, "detail": "no system 3",
        "error": "no system", "errors": [{"index": 0, "pointer": "/id", "code": "invalid_uuid", "detail": "no GUID"}]})
}

#[tokio::test]
async fn a_retry_carries_the_same_bytes_and_the_same_idempotency_key() {
    let double = Double::start().await;
    for status in [429, 502, 503] {
        double.next("/principals", status, json!({}));
    }
    let answer = double
        .client()
        .post(Entity::Principals, &request())
        .await
        .expect("in the end");
    assert_eq!(answer.inserted, 1);
    let seen = double.seen_at("/principals");
    assert_eq!(seen.len(), 4);
    let key = seen[0].header("idempotency-key").expect("a key").to_owned();
    for sent in &seen {
        assert_eq!(sent.header("idempotency-key"), Some(key.as_str()));
        assert_eq!(sent.bytes, seen[0].bytes);
        assert_eq!(sent.header("content-encoding"), Some("zstd"));
        assert_eq!(
            sent.header("authorization"),
            Some(format!("Bearer {KEY}").as_str())
        );
    }
    assert_eq!(seen[0].json()["records"][0]["id"], "x");
    double
        .client()
        .post(Entity::Principals, &request())
        .await
        .expect("accepted");
    assert_ne!(
        double.seen_at("/principals")[4].header("idempotency-key"),
        Some(key.as_str())
    );
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_and_carries_the_problem() {
    for status in [400, 401, 403, 404, 409, 413, 422, 500] {
        let double = Double::start().await;
        double.next("/principals", status, refusal());
        let error = double
            .client()
            .post(Entity::Principals, &request())
            .await
            .expect_err("refused");
        assert_eq!(double.seen().len(), 1, "{status}");
        assert_eq!(error.status(), Some(status));
        let problem = error.problem().expect("a problem");
        assert_eq!(problem.kind, "/problems/unknown-system");
        assert_eq!(problem.errors[0].code, "invalid_uuid");
    }
}

#[tokio::test]
async fn tries_are_limited_and_the_last_failure_is_named() {
    let double = Double::start().await;
    for _ in 0..10 {
        double.next_after("/principals", 503, json!({}), Some("86400"));
    }
    let error = double
        .client()
        .post(Entity::Principals, &request())
        .await
        .expect_err("gives up");
    assert_eq!(double.seen().len(), 4);
    let ClientError::Unreachable {
        attempts, reason, ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((attempts, reason.as_str()), (4, "HTTP 503"));
}

#[tokio::test]
async fn an_answer_that_is_no_answer_of_the_api_is_said_to_be_one() {
    let double = Double::start().await;
    double.next("/whoami", 200, json!("<html>"));
    double.next("/whoami", 404, json!("<html>"));
    for status in [200, 404] {
        let error = double.client().whoami().await.expect_err("unusable");
        assert!(
            matches!(error, ClientError::UnusableAnswer { status: s, .. } if s == status),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_key_appears_in_no_error_and_no_debug_output() {
    let double = Double::start().await;
    let echo = json!({"title": format!("bad key {KEY}"), "detail": KEY, "error": KEY});
    double.next("/whoami", 401, echo);
    let client = double.client();
    let refused = client.whoami().await.expect_err("refused");
    let address = "http://127.0.0.1:1/api".parse().expect("url");
    let nobody = IngestClient::builder(address, KEY.to_owned().into())
        .retry(ingest_client::RetryPolicy {
            max_attempts: 1,
            ..Default::default()
        })
        .build()
        .expect("a client");
    let unreachable = nobody.whoami().await.expect_err("nobody there");
    let bad_key = IngestClient::new("http://h".parse().expect("url"), format!("{KEY}\n").into())
        .expect_err("no header");
    let all = format!(
        "{refused} {refused:?} {unreachable} {unreachable:?} {bad_key} {bad_key:?} {client:?}"
    );
    assert!(!all.contains("CANARY"), "{all}");
    assert!(all.contains("[REDACTED]"), "{all}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let double = Double::start().await;
    let elsewhere = Double::start().await;
    double.next("/whoami", 307, json!({"location": elsewhere.address}));
    assert!(double.client().whoami().await.is_err());
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_system_is_posted_as_a_delta_and_its_id_comes_back() {
    let double = Double::start().await;
    let system = System {
        system_type: "EntraID".into(),
        display_name: "Contoso".into(),
        ..System::default()
    };
    assert_eq!(
        double.client().upsert_system(&system).await.expect("known"),
        3
    );
    let sent: IngestRequest<System> =
        serde_json::from_value(double.seen()[0].json()).expect("a request");
    assert_eq!(
        (sent.sync_mode, sent.records),
        (SyncMode::Delta, vec![system.clone()])
    );

    let refused = json!({"table": "systems", "systemIds": [null],
        "errors": [{"index": 0, "pointer": "", "code": "forbidden", "detail": "not yours"}]});
    double.next("/systems", 201, refused);
    let error = double
        .client()
        .upsert_system(&system)
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("not yours"), "{error}");
}
