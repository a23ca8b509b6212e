//! The document is well formed, and published as it should be.

use std::collections::HashSet;

use contract::Entity;
use ingest_api::openapi::document;
use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use crate::app::TestApp;

/// Every operation with its method and path.
pub fn operations() -> Vec<(String, String, &'static Value)> {
    let paths = document()["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("operations");
            methods
                .iter()
                .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
        .collect()
}

/// Every object in the document that has a member.
fn with_member<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name));
            object
                .values()
                .for_each(|inner| with_member(inner, name, found));
        }
        Value::Array(array) => array
            .iter()
            .for_each(|inner| with_member(inner, name, found)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves_and_every_schema_is_valid() {
    let mut references = Vec::new();
    with_member(document(), "$ref", &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let target = reference.as_str().expect("a text");
        let pointer = target.strip_prefix('#').expect(target);
        assert!(document().pointer(pointer).is_some(), "{target}");
    }
    let mut schemas = Vec::new();
    with_member(document(), "schema", &mut schemas);
    schemas.extend(
        document()["components"]["schemas"]
            .as_object()
            .expect("schemas")
            .values(),
    );
    assert!(schemas.len() > 100, "{}", schemas.len());
    for schema in schemas {
        if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
            panic!("{error}: {schema:#}");
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_a_chapter_a_sentence_and_an_answer() {
    let tags: Vec<&str> = document()["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .map(|tag| tag["name"].as_str().expect("a name"))
        .collect();
    let mut ids = HashSet::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(ids.insert(id), "{id} is there twice");
        assert!(tags.contains(&operation["tags"][0].as_str().expect("a tag")));
        assert_ne!(operation["summary"].as_str().expect("a sentence"), "");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(
            // Or leads on, as the sign-in does.
            responses
                .keys()
                .any(|status| status.starts_with(['2', '3'])),
            "{method} {path}"
        );
        for response in responses.values() {
            let response = match response["$ref"].as_str() {
                Some(target) => document().pointer(&target[1..]).expect(target),
                None => response,
            };
            assert!(response["description"].is_string(), "{method} {path}");
            assert!(
                response["headers"]["x-request-id"].is_object(),
                "{method} {path}"
            );
        }
    }
    let mut links = Vec::new();
    with_member(document(), "links", &mut links);
    for target in links
        .iter()
        .flat_map(|links| links.as_object().expect("links").values())
    {
        let id = target["operationId"].as_str().expect("an id");
        assert!(ids.contains(id), "{id}");
    }
}

#[test]
fn every_operation_lists_the_refusals_that_its_key_its_body_and_its_path_bring() {
    for (method, path, operation) in operations() {
        let place = format!("{method} {path}");
        let has = |status: &str| operation["responses"].get(status).is_some();
        assert!(has("500"), "{place}");
        let security = operation["security"].as_array().expect("a list");
        assert_eq!(!security.is_empty(), has("401"), "{place}");
        let needs_permission = operation["security"][0]["apiKey"][0].is_string();
        assert!(!needs_permission || has("403"), "{place}");
        let has_body = operation.get("requestBody").is_some();
        assert!(
            !has_body || ["400", "408", "413", "415"].into_iter().all(has),
            "{place}"
        );
        assert!(!path.contains('{') || has("404"), "{place}");
    }
}

#[test]
fn every_parameter_is_described_and_those_of_the_path_are_the_ones_in_it() {
    for (method, path, operation) in operations() {
        let place = format!("{method} {path}");
        let in_template: HashSet<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let parameters = || operation["parameters"].as_array().into_iter().flatten();
        let in_path: HashSet<&str> = parameters()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect();
        assert_eq!(in_template, in_path, "{place}");
        for parameter in parameters() {
            assert!(parameter["description"].is_string(), "{place}: {parameter}");
        }
    }
}

#[test]
fn the_schemas_of_records_are_the_contracts() {
    for entity in Entity::ALL {
        let path = format!("/api/ingest/{}", entity.wire_name());
        let call = &document()["paths"][&path]["post"]["requestBody"]["content"]["application/json"]
            ["schema"]["$ref"];
        let call = document()
            .pointer(&call.as_str().expect("a reference")[1..])
            .expect("the call");
        let record = call["properties"]["records"]["items"]["$ref"]
            .as_str()
            .expect("a reference");
        let shown = document().pointer(&record[1..]).expect("the record");

        let contract = contract::record_schema(entity).to_value().to_string();
        // Names that are links in Rust's documentation are plain names here.
        let contract = contract
            .replace("#/$defs/", "#/components/schemas/")
            .replace("[`", "`")
            .replace("`]", "`");
        let mut contract: Value = serde_json::from_str(&contract).expect("JSON");
        let parts = contract["$defs"].take();
        for (name, part) in parts.as_object().into_iter().flatten() {
            assert_eq!(*part, document()["components"]["schemas"][name], "{name}");
        }
        for extra in ["$defs", "$schema", "title"] {
            contract.as_object_mut().expect("an object").remove(extra);
        }
        let mut shown = shown.clone();
        shown.as_object_mut().expect("an object").remove("title");
        assert_eq!(contract, shown, "{entity}");
    }
}

#[tokio::test]
async fn the_document_and_its_page_are_public_and_sent_once() {
    let app = TestApp::start().await;
    let http = reqwest::Client::new();
    for (path, media_type) in [
        ("/api/openapi.json", "application/json"),
        ("/api/docs", "text/html; charset=utf-8"),
    ] {
        let url = format!("{}{path}", app.base());
        let first = http.get(&url).send().await.expect("an answer");
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], media_type);
        assert_eq!(
            first.headers()[header::CACHE_CONTROL],
            "public, max-age=300"
        );
        let policy = first.headers()[header::CONTENT_SECURITY_POLICY].to_str();
        assert!(policy.expect("a text").starts_with("default-src 'none'"));
        let tag = first.headers()[header::ETAG].clone();
        assert!(!first.bytes().await.expect("a body").is_empty());

        let again = http.get(&url).header(header::IF_NONE_MATCH, &tag);
        let again = again.send().await.expect("an answer");
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::ETAG], tag);
        assert!(again.bytes().await.expect("no body").is_empty());
    }
    let other = app.get("/api/systems").await;
    assert_eq!(other.status, StatusCode::OK);
    let served = app.get("/api/openapi.json").await.expect(200);
    assert_eq!(&served, document());
}

#[tokio::test]
async fn answers_about_access_are_kept_by_nobody() {
    let app = TestApp::start().await;
    let answer = app.request(Method::GET, "/api/systems").send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn the_page_shows_every_operation_and_loads_nothing() {
    let app = TestApp::start().await;
    let page = reqwest::get(format!("{}/api/docs", app.base())).await;
    let page = page.expect("an answer").text().await.expect("a page");
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(
            page.contains(&format!("<details id=\"{id}\">")),
            "{method} {path}"
        );
        assert!(
            page.contains(&format!("<code>{path}</code>")),
            "{method} {path}"
        );
    }
    for schema in document()["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .keys()
    {
        assert!(
            page.contains(&format!("<details id=\"schema-{schema}\">")),
            "{schema}"
        );
    }
    for loads in [
        "<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "http:", "https:",
    ] {
        assert!(!page.contains(loads), "{loads}");
    }
}

#[test]
fn a_query_may_leave_out_what_is_optional_but_has_no_null() {
    let mut optional = 0;
    for (method, path, operation) in operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            optional += u32::from(parameter["required"] == false);
            let schema = parameter["schema"].to_string();
            assert!(!schema.contains("null"), "{method} {path}: {schema}");
        }
    }
    assert!(optional > 10, "{optional}");
}
