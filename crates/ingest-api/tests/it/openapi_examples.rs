//! What the document shows works.

use contract::Entity;
use ingest_api::openapi::document;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{app::TestApp, openapi::operations};

/// The document is a base for its own schemas: a schema with everything that it may refer to.
pub fn stand_alone(schema: &Value) -> Value {
    let mut whole = schema.clone();
    whole["components"] = document()["components"].clone();
    whole
}

#[test]
fn every_json_example_fits_its_schema() {
    let mut seen = 0;
    for (method, path, operation) in operations() {
        let media = &operation["requestBody"]["content"]["application/json"];
        if media.is_null() {
            continue;
        }
        let validator =
            jsonschema::validator_for(&stand_alone(&media["schema"])).expect("a schema");
        let example = media.get("example").expect("an example");
        if let Err(error) = validator.validate(example) {
            panic!("{method} {path}: {error}");
        }
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[tokio::test]
async fn every_example_of_records_is_stored_as_json_and_as_lines() {
    let app = TestApp::start().await;
    assert_eq!(app.system_id, 1, "the system that the examples name");
    for entity in Entity::ALL {
        let path = format!("/api/ingest/{}", entity.wire_name());
        let content = &document()["paths"][&path]["post"]["requestBody"]["content"];
        let json = app
            .post(&path, &content["application/json"]["example"])
            .await
            .expect(201);
        assert_eq!(
            (&json["rejected"], &json["inserted"]),
            (&json!(0), &json!(1)),
            "{entity}: {json}"
        );

        let lines = content["application/x-ndjson"]["example"]
            .as_str()
            .expect("lines");
        let request = app
            .request(Method::POST, &path)
            .header("Content-Type", "application/x-ndjson")
            .body(lines);
        let lines = app.send(request).await.expect(201);
        assert_eq!(
            (&lines["rejected"], &lines["unchanged"]),
            (&json!(0), &json!(1)),
            "{entity}: {lines}"
        );
    }
}

#[tokio::test]
async fn the_examples_of_a_session_lead_from_opening_to_the_commit() {
    let app = TestApp::start().await;
    let example = |path: &str, method: &str, media_type: &str| {
        document()["paths"][path][method]["requestBody"]["content"][media_type]["example"].clone()
    };
    let open = example("/api/ingest/sessions", "post", "application/json");
    let opened = app.post("/api/ingest/sessions", &open).await.expect(201);
    let session = format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    );
    let batches = "/api/ingest/sessions/{syncId}/batches/{seq}";
    let whole = example(batches, "put", "application/json");
    let stored = app
        .put(&format!("{session}/batches/0"), &whole)
        .await
        .expect(200);
    assert_eq!(stored["rejected"], 0, "{stored}");
    let lines = example(batches, "put", "application/x-ndjson");
    let request = app
        .request(Method::PUT, &format!("{session}/batches/1"))
        .header("Content-Type", "application/x-ndjson")
        .body(lines.as_str().expect("lines").to_owned());
    let stored = app.send(request).await.expect(200);
    assert_eq!(stored["rejected"], 0, "{stored}");
    let commit = example(
        "/api/ingest/sessions/{syncId}/commit",
        "post",
        "application/json",
    );
    let committed = app
        .post(&format!("{session}/commit"), &commit)
        .await
        .expect(200);
    assert_eq!(committed["records"], 2, "{committed}");
}
