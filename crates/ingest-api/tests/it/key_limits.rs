//! From where a key works, how often, and how many wrong ones are looked at.

use contract::Permission;
use ingest_api::{ServerSettings, auth::Doors};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::TestApp;

/// A server behind a proxy on this machine that says where calls come from.
async fn behind_proxy(refused_keys_per_minute: u32) -> TestApp {
    TestApp::start_with(ServerSettings {
        doors: Doors {
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
            refused_keys_per_minute,
            ..Doors::default()
        },
        ..ServerSettings::default()
    })
    .await
}

async fn call(app: &TestApp, key: &str, headers: &[(&'static str, &str)]) -> Response {
    let mut request = app.request_as(key, Method::GET, "/api/crawlers/whoami");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

async fn status(app: &TestApp, key: &str, headers: &[(&'static str, &str)]) -> u16 {
    call(app, key, headers).await.status().as_u16()
}

async fn key_with(app: &TestApp, more: Value) -> String {
    let mut wanted = json!({"name": "bounded", "permissions": ["read"]});
    crate::app::merge(&mut wanted, more);
    let made = app.post("/api/admin/keys", &wanted).await.expect(201);
    made["key"].as_str().expect("a key").to_owned()
}

const FOR: &str = "x-forwarded-for";

#[tokio::test]
async fn a07_a_key_works_from_its_addresses_and_what_the_client_writes_does_not_move_it() {
    let app = behind_proxy(10_000).await;
    let networks = json!({"allowedAddresses": ["10.0.0.0/8", "2001:db8::/32"]});
    let key = key_with(&app, networks).await;
    for inside in [
        "10.1.2.3",
        "::ffff:10.0.0.1",
        "10.1.2.3:4711",
        "2001:db8::1",
        "6.6.6.6, 10.1.2.3",
    ] {
        assert_eq!(status(&app, &key, &[(FOR, inside)]).await, 200, "{inside}");
    }
    for outside in [
        "203.0.113.9",
        "10.1.2.3, 203.0.113.9",
        "10.1.2.3, nonsense",
        "2001:db9::1",
    ] {
        assert_eq!(
            status(&app, &key, &[(FOR, outside)]).await,
            403,
            "{outside}"
        );
    }
    let spoofed = [
        (FOR, "10.1.2.3"),
        (FOR, "203.0.113.9"),
        ("forwarded", "for=10.1.2.3"),
        ("x-real-ip", "10.1.2.3"),
        ("host", "10.1.2.3."),
    ];
    assert_eq!(status(&app, &key, &spoofed).await, 403);
    assert_eq!(
        status(&app, &key, &[]).await,
        403,
        "the proxy itself is not inside"
    );
    let problem: Value = call(&app, &key, &[(FOR, "203.0.113.9")])
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(problem["type"], "/problems/wrong-address");
    assert!(
        problem["detail"]
            .as_str()
            .expect("a text")
            .contains("203.0.113.9")
    );

    // Where nobody is trusted, the other end of the connection decides.
    let direct = TestApp::start().await;
    let key = key_with(&direct, json!({"allowedAddresses": ["10.0.0.0/8"]})).await;
    assert_eq!(status(&direct, &key, &[(FOR, "10.1.2.3")]).await, 403);
    let key = key_with(&direct, json!({"allowedAddresses": ["127.0.0.1"]})).await;
    assert_eq!(status(&direct, &key, &[(FOR, "203.0.113.9")]).await, 200);
}

#[tokio::test]
async fn a02_a_thousand_wrong_keys_shut_one_address_and_no_other() {
    let app = behind_proxy(60).await;
    let (bad, good) = ([(FOR, "203.0.113.9")], [(FOR, "198.51.100.1")]);
    let key = app.new_key(&[Permission::Read], None).await;
    let mut wrong = key.clone();
    wrong.replace_range(20..21, if &wrong[20..21] == "x" { "y" } else { "x" });
    let mut seen = [0_u32; 2];
    for _ in 0..1_000 {
        match status(&app, &wrong, &bad).await {
            401 => seen[0] += 1,
            429 => seen[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert!(seen[0] >= 60 && seen[1] > 0, "{seen:?}");
    let refused = call(&app, &wrong, &bad).await;
    if refused.status().as_u16() == 429 {
        let wait: u32 = refused.headers()["retry-after"]
            .to_str()
            .expect("a text")
            .parse()
            .expect("a number");
        assert!((1..=60).contains(&wait));
    }
    assert_eq!(status(&app, &key, &good).await, 200);
    assert_eq!(status(&app, &wrong, &good).await, 401);
}

#[tokio::test]
async fn a_key_has_so_many_calls_a_minute_and_its_answers_tell_how_many_are_left() {
    let app = TestApp::start().await;
    let key = key_with(&app, json!({"requestsPerMinute": 3})).await;
    let number = |response: &Response, name: &str| -> u32 {
        let value = response.headers()[name].to_str().expect("a text");
        value.parse().expect("a number")
    };
    let first = call(&app, &key, &[]).await;
    assert_eq!(first.status().as_u16(), 200);
    assert_eq!(
        (
            number(&first, "ratelimit-limit"),
            number(&first, "ratelimit-remaining")
        ),
        (3, 2)
    );
    // A call more comes every 20 seconds: among so many there are more than the bucket holds.
    let mut refused = None;
    for _ in 0..200 {
        let response = call(&app, &key, &[]).await;
        if response.status().as_u16() == 429 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("too many");
    assert_eq!(number(&refused, "ratelimit-remaining"), 0);
    assert!((1..=20).contains(&number(&refused, "retry-after")));
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = refused.json().await.expect("JSON");
    assert_eq!(problem["type"], "/problems/too-many-requests");
    let other = call(&app, &app.key, &[]).await;
    assert_eq!(other.status().as_u16(), 200);
    assert!(
        other.headers().get("ratelimit-limit").is_none(),
        "a key without a limit"
    );
}
