use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, id, people};

#[tokio::test]
async fn a_bad_record_is_refused_with_place_and_reason_and_the_rest_lands() {
    let app = TestApp::start().await;
    let mut records = people(0..100, "Ada");
    records[57] = json!({"id": id(57), "displayName": "Ada", "accountEnabled": "yes"});
    let answer = app
        .ingest("principals", records, json!({"syncMode": "full"}))
        .await
        .expect(201);
    assert_eq!(
        (&answer["inserted"], &answer["rejected"]),
        (&json!(99), &json!(1))
    );
    assert_eq!(answer["errors"][0]["index"], 57);
    assert_eq!(answer["errors"][0]["pointer"], "/accountEnabled");
    assert_eq!(answer["errors"][0]["code"], "type");
    let sync_id = answer["syncId"].as_str().expect("an id");
    let quarantine = app
        .get(&format!("/api/ingest/rejected?syncId={sync_id}"))
        .await
        .expect(200);
    assert_eq!(quarantine["items"][0]["recordIndex"], 57);
    assert!(
        quarantine["items"][0]["excerpt"]
            .as_str()
            .expect("text")
            .contains("\"yes\"")
    );
}

#[tokio::test]
async fn an_atomic_call_with_a_bad_record_stores_nothing() {
    let app = TestApp::start().await;
    let records = json!([{"id": id(1), "displayName": "Ada"}, {"id": id(2)}]);
    let refused = app
        .ingest(
            "principals",
            records,
            json!({"atomic": true, "syncMode": "full"}),
        )
        .await;
    assert_eq!(refused.content_type, "application/problem+json");
    let refused = refused.expect(422);
    assert_eq!(
        (
            &refused["errors"][0]["index"],
            &refused["errors"][0]["pointer"]
        ),
        (&json!(1), &json!("/displayName"))
    );
    assert_eq!(
        app.count("select count(*) from principals").await
            + app
                .count("select count(*) from sync_sessions where entity <> 'systems'")
                .await,
        0
    );
}

#[tokio::test]
async fn every_kind_of_bad_record_has_its_code_and_none_is_a_server_error() {
    let app = TestApp::start().await;
    let deep = format!(
        "{{\"id\":\"{}\",\"displayName\":\"d\",\"x\":{}1{}}}",
        id(1),
        "[".repeat(200),
        "]".repeat(200)
    );
    let long = format!(
        "{{\"id\":\"{}\",\"displayName\":\"{}\"}}",
        id(1),
        "x".repeat(1001)
    );
    let wide = format!(
        "{{\"id\":\"{}\",\"displayName\":\"d\",\"x\":\"{}\"}}",
        id(1),
        "y".repeat(70_000)
    );
    for (record, code) in [
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","displayName":"b"}"#,
            "duplicate_key",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b1","displayName":"a"}"#,
            "invalid_uuid",
        ),
        (
            r#"{"id":"{6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10}","displayName":"a"}"#,
            "invalid_uuid",
        ),
        (r#"{"displayName":"a"}"#, "required"),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10"}"#,
            "required",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","createdDateTime":"2026-02-30T00:00:00Z"}"#,
            "invalid_date",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","n":1e400}"#,
            "invalid_json",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","n":123456789012345678901234567890}"#,
            "number_out_of_range",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","":1}"#,
            "empty_name",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","extendedAttributes":[]}"#,
            "type",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","principalType":"x; drop table principals"}"#,
            "invalid_name",
        ),
        (
            r#"{"id":"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10","displayName":"a","systemId":999}"#,
            "foreign_system",
        ),
        ("[]", "type"),
        ("null", "type"),
        (&deep, "too_deep"),
        (&long, "too_long"),
        (&wide, "too_large"),
    ] {
        for mode in ["full", "delta"] {
            let body = format!(
                r#"{{"systemId":{},"syncMode":"{mode}","complete":false,"records":[{record},{{"id":"{}","displayName":"good"}}]}}"#,
                app.system_id,
                id(9)
            );
            let request = app
                .request(Method::POST, "/api/ingest/principals")
                .header("Content-Type", "application/json")
                .body(body);
            let answer = app.send(request).await.expect(201);
            assert_eq!(answer["errors"][0]["code"], code, "{mode} {record:.120}");
            assert_eq!(
                answer["inserted"].as_u64().expect("a count")
                    + answer["unchanged"].as_u64().expect("a count"),
                1
            );
        }
    }
    assert_eq!(app.count("select count(*) from principals").await, 1);
}

#[tokio::test]
async fn text_that_postgresql_cannot_store_is_replaced_and_counted() {
    let app = TestApp::start().await;
    let body = format!(
        r#"{{"systemId":{},"records":[{{"id":"{}","displayName":"a\u0000b","note":"\ud800 😀 \ud83d\ude00"}}]}}"#,
        app.system_id,
        id(1)
    );
    let request = app
        .request(Method::POST, "/api/ingest/principals")
        .header("Content-Type", "application/json")
        .body(body);
    assert_eq!(app.send(request).await.expect(201)["replacedCharacters"], 2);
    let row: (String, Value) =
        sqlx::query_as("select display_name, extended_attributes from principals")
            .fetch_one(&app.pool)
            .await
            .expect("a row");
    assert_eq!(
        row,
        ("a\u{FFFD}b".into(), json!({"note": "\u{FFFD} 😀 😀"}))
    );
}

#[tokio::test]
async fn a_bad_request_is_a_problem_document_that_names_the_field() {
    let app = TestApp::start().await;
    let system = app.system_id;
    for (entity, body, status, says) in [
        ("principals", json!({"records": []}), 400, "systemId"),
        ("principals", json!({"systemId": system}), 400, "records"),
        (
            "principals",
            json!({"systemId": system, "records": {}}),
            400,
            "array",
        ),
        (
            "principals",
            json!({"systemId": system, "records": [], "syncMode": "partial"}),
            400,
            "partial",
        ),
        (
            "principals",
            json!({"systemId": system, "records": [], "scopes": {}}),
            400,
            "scopes",
        ),
        (
            "principals",
            json!({"systemId": system, "records": [], "scope": {"country": "SE"}}),
            400,
            "country",
        ),
        (
            "principals",
            json!({"systemId": system, "records": [], "idGeneration": "deterministic"}),
            400,
            "prefix",
        ),
        (
            "principals",
            json!({"systemId": system, "records": [], "syncMode": "full", "incompleteParents": [id(1)]}),
            400,
            "parent",
        ),
        (
            "principals",
            json!({"systemId": 999_999, "records": []}),
            403,
            "999999",
        ),
        (
            "principals",
            json!({"systemId": system, "records": [], "syncSession": "continue"}),
            400,
            "syncId",
        ),
        (
            "systems",
            json!({"records": [], "deletedIds": ["x"]}),
            400,
            "removed",
        ),
        ("unicorns", json!({"records": []}), 404, "path"),
    ] {
        let answer = app.post(&format!("/api/ingest/{entity}"), &body).await;
        assert_eq!(answer.content_type, "application/problem+json");
        let problem = answer.expect(status);
        assert_eq!(problem["status"], status);
        assert!(
            problem["detail"].as_str().expect("text").contains(says),
            "{problem}"
        );
        assert_eq!(problem["error"], problem["detail"]);
    }
}

#[tokio::test]
async fn malformed_bodies_types_encodings_and_methods_are_client_errors() {
    let app = TestApp::start().await;
    let send = async |content_type: &str, encoding: &str, body: Vec<u8>| {
        let request = app
            .request(Method::POST, "/api/ingest/principals")
            .header("Content-Type", content_type)
            .header("Content-Encoding", encoding)
            .body(body);
        let answer = app.send(request).await;
        assert_eq!(answer.content_type, "application/problem+json");
        answer.status.as_u16()
    };
    let good = json!({"systemId": app.system_id, "records": []})
        .to_string()
        .into_bytes();
    assert_eq!(send("text/plain", "identity", good.clone()).await, 415);
    assert_eq!(send("application/json", "br", good.clone()).await, 415);
    assert_eq!(send("application/json", "gzip", good.clone()).await, 400);
    assert_eq!(send("application/json", "zstd", good.clone()).await, 400);
    assert_eq!(
        send("application/json", "identity", b"{\"records\": [".to_vec()).await,
        400
    );
    assert_eq!(
        send("application/json", "identity", b"\xff\xfe".to_vec()).await,
        400
    );
    assert_eq!(
        send(
            "application/json",
            "identity",
            [good.as_slice(), b"{}"].concat()
        )
        .await,
        400
    );
    assert_eq!(
        send("application/x-ndjson", "identity", Vec::new()).await,
        400
    );
    let too_many = json!({"systemId": app.system_id, "records": vec![0; 100_001]})
        .to_string()
        .into_bytes();
    assert_eq!(send("application/json", "identity", too_many).await, 413);
    assert_eq!(app.get("/api/ingest/principals").await.status.as_u16(), 405);
    assert_eq!(
        app.get("/nowhere").await.content_type,
        "application/problem+json"
    );
}

#[tokio::test]
async fn clients_that_leave_in_the_middle_lose_nothing_that_was_acknowledged() {
    let app = TestApp::start().await;
    let mut left = Vec::new();
    for n in 0..120_u32 {
        let body = json!({"systemId": app.system_id, "records": people(n * 3..n * 3 + 3, "Gone")});
        let request = app
            .request(Method::POST, "/api/ingest/principals")
            .json(&body);
        left.push(tokio::spawn(async move {
            // Long enough to be read, too short to be answered: the connection is cut.
            let _ = tokio::time::timeout(
                std::time::Duration::from_millis(u64::from(n % 12)),
                request.send(),
            )
            .await;
        }));
    }
    for task in left {
        task.await.expect("ends");
    }
    for n in 0..40_u32 {
        app.ingest(
            "resources",
            json!([{"id": id(n), "displayName": "kept"}]),
            json!({}),
        )
        .await
        .expect(201);
    }
    assert_eq!(app.count("select count(*) from resources").await, 40);
    assert_eq!(
        app.count("select count(*) from principals").await % 3,
        0,
        "no batch is half there"
    );
    assert_eq!(
        app.count("select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'").await,
        0
    );
}
