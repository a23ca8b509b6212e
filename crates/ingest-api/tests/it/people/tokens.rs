//! Personal tokens: what the person may, when they may, and never more.

use contract::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    browser::Browser,
    directory::{entries, join, leave, map, new_tenant, signing_in_at},
    fake::Fake,
};
use crate::app::{Answer, TestApp};

async fn new_token(app: &TestApp, browser: &mut Browser) -> (String, String) {
    let page = browser
        .call(
            app,
            Method::POST,
            "/api/me/tokens",
            json!({"name": "my script"}),
        )
        .await;
    assert_eq!(page.status.as_u16(), 201, "{}", page.text);
    let made = page.json();
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    (text("key"), text("keyId"))
}

async fn get(app: &TestApp, token: &str, path: &str) -> Answer {
    app.send(app.request_as(token, Method::GET, path)).await
}

async fn post(app: &TestApp, token: &str, path: &str, body: Value) -> Answer {
    app.send(app.request_as(token, Method::POST, path).json(&body))
        .await
}

#[tokio::test]
async fn a_token_may_what_its_person_may_at_each_call_and_makes_nothing_that_may_more() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    join(&app, system, 101, 1, json!({})).await;
    let mut browser = fake.signed_in(&app, 1).await;
    let (token, key_id) = new_token(&app, &mut browser).await;
    get(&app, &token, "/api/systems").await.expect(403);
    let me = get(&app, &token, "/api/me").await.expect(200);
    assert_eq!(
        (&me["signedInBy"], me.get("role"), me.get("csrfToken")),
        (&json!("token"), None, None)
    );

    let mapping = map(&app, system, 101, Role::Admin).await;
    get(&app, &token, "/api/systems").await.expect(200);
    get(&app, &token, "/api/audit").await.expect(200);
    // Neither loads nor claims jobs, which would show secrets; neither is replaced nor makes others.
    post(&app, &token, "/api/ingest/systems", json!({"records": []}))
        .await
        .expect(403);
    post(&app, &token, "/api/jobs/claim", json!({}))
        .await
        .expect(403);
    post(&app, &token, "/api/crawlers/rotate", json!({}))
        .await
        .expect(403);
    post(&app, &token, "/api/me/tokens", json!({"name": "more"}))
        .await
        .expect(403);
    app.post(&format!("/api/admin/keys/{key_id}/rotate"), &json!({}))
        .await
        .expect(404);
    let who = get(&app, &token, "/api/crawlers/whoami").await.expect(200);
    assert_eq!(who["permissions"], json!(["read", "admin", "schema"]));

    let path = format!("/api/admin/role-mappings/{mapping}");
    app.patch(&path, &json!({"role": "viewer"}))
        .await
        .expect(200);
    get(&app, &token, "/api/systems").await.expect(200);
    get(&app, &token, "/api/audit").await.expect(403);
    leave(&app, 101, 1).await;
    get(&app, &token, "/api/systems").await.expect(403);
    assert_eq!(entries(&app, "token.create").await.len(), 1);
}

#[tokio::test]
async fn a_person_sees_and_ends_their_own_tokens_only_and_an_admin_any() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    new_tenant(&app).await;
    let (mut ada, mut bob) = (fake.signed_in(&app, 1).await, fake.signed_in(&app, 2).await);
    let (token, key_id) = new_token(&app, &mut ada).await;
    let (other, other_id) = new_token(&app, &mut ada).await;
    let path = format!("/api/me/tokens/{key_id}");
    let page = bob.call(&app, Method::DELETE, &path, json!({})).await;
    assert_eq!(page.status.as_u16(), 404);
    let page = bob
        .call(&app, Method::GET, "/api/me/tokens", json!({}))
        .await;
    assert_eq!(page.json(), json!([]));
    let page = ada
        .call(&app, Method::GET, "/api/me/tokens", json!({}))
        .await;
    assert_eq!(page.json().as_array().map(Vec::len), Some(2));
    assert!(!page.text.contains(&token));

    get(&app, &token, "/api/me").await.expect(200);
    let page = ada.call(&app, Method::DELETE, &path, json!({})).await;
    assert_eq!(page.status.as_u16(), 204, "{}", page.text);
    get(&app, &token, "/api/me").await.expect(401);
    app.post(&format!("/api/admin/keys/{other_id}/revoke"), &json!({}))
        .await
        .expect(204);
    get(&app, &other, "/api/me").await.expect(401);
}

#[tokio::test]
async fn a_token_lives_a_year_at_most_and_needs_a_name() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    new_tenant(&app).await;
    let mut ada = fake.signed_in(&app, 1).await;
    for (field, wrong) in [
        (
            "expiresAt",
            json!({"name": "x", "expiresAt": "2999-01-01T00:00:00Z"}),
        ),
        (
            "expiresAt",
            json!({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}),
        ),
        ("name", json!({"name": " "})),
        (
            "allowedAddresses/0",
            json!({"name": "x", "allowedAddresses": ["here"]}),
        ),
        (
            "permissions",
            json!({"name": "x", "permissions": ["admin"]}),
        ),
    ] {
        let page = ada.call(&app, Method::POST, "/api/me/tokens", wrong).await;
        assert_eq!(page.status.as_u16(), 400, "{}", page.text);
        assert!(page.text.contains(field), "{field}: {}", page.text);
    }
}
