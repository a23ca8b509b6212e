//! The document and the router agree, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use ingest_api::{AppState, openapi::document, router};
use reqwest::{Method, StatusCode, header};
use uuid::Uuid;

use crate::{app::TestApp, openapi::operations};

/// The paths of a router. axum tells them only in its debug text; should that change, nothing is found, and the test
/// fails.
fn routed(text: &str) -> BTreeSet<String> {
    let (_, paths) = text.split_once("paths: {").expect("the router's paths");
    let (paths, _) = paths.split_once("\"}").expect("their end");
    paths
        .split("RouteId(")
        .skip(1)
        .map(|entry| {
            let (_, path) = entry.split_once(": \"").expect(entry);
            path.trim_end_matches([',', ' ', '"']).to_owned()
        })
        .collect()
}

fn documented() -> BTreeSet<String> {
    let paths = document()["paths"].as_object().expect("paths");
    paths.keys().cloned().collect()
}

#[tokio::test]
async fn every_routed_path_is_documented_and_every_documented_one_routed() {
    let app = TestApp::start().await;
    let router = format!("{:?}", router(AppState::new(app.pool.clone())));
    assert_eq!(routed(&router), documented());
}

#[tokio::test]
async fn every_path_takes_the_documented_methods_and_names_them_when_it_is_asked_for_another() {
    let app = TestApp::start().await;
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path, _) in operations() {
        let known = methods.entry(path).or_default();
        if method == "GET" {
            known.insert("HEAD".into());
        }
        known.insert(method);
    }
    for (path, known) in methods {
        let filled = path
            .replace("{systemId}", "1")
            .replace("{seq}", "0")
            .replace("{keyId}", "abcdefabcdef");
        let filled: String = filled
            .split('/')
            .map(|part| match part.strip_prefix('{') {
                Some(_) => format!("/{}", Uuid::nil()),
                None => format!("/{part}"),
            })
            .collect();
        for verb in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ] {
            let method = Method::from_bytes(verb.as_bytes()).expect("a method");
            // Without a key: nothing is done.
            let url = format!("{}{}", app.base(), &filled[1..]);
            let answer = reqwest::Client::new().request(method, url).send().await;
            let answer = answer.expect("an answer");
            if known.contains(verb) {
                assert_ne!(
                    answer.status(),
                    StatusCode::METHOD_NOT_ALLOWED,
                    "{verb} {path}"
                );
                // Nobody can sign in here: no provider is set up.
                if path != "/auth/sign-in" {
                    assert_ne!(answer.status(), StatusCode::NOT_FOUND, "{verb} {path}");
                }
                continue;
            }
            assert_eq!(
                answer.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{verb} {path}"
            );
            assert_eq!(
                answer.headers()[header::CONTENT_TYPE],
                "application/problem+json"
            );
            let allowed = answer.headers()[header::ALLOW].to_str().expect("a text");
            let allowed: BTreeSet<String> = allowed.split(',').map(str::to_owned).collect();
            assert_eq!(allowed, known, "{verb} {path}");
        }
    }
}

#[tokio::test]
async fn a_call_without_a_key_is_refused_exactly_where_the_document_asks_for_one() {
    let app = TestApp::start().await;
    for (method, path, operation) in operations() {
        let url = format!("{}{}", app.base(), path.replace(['{', '}'], ""));
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = reqwest::Client::new().request(method, url).send().await;
        let answer = answer.expect("an answer");
        if operation["security"].as_array().expect("a list").is_empty() {
            // The sign-in wants more than this, but no key.
            assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
            assert!(
                answer.status().is_success() || path.starts_with("/auth/"),
                "{path}"
            );
        } else {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer");
        }
    }
}
