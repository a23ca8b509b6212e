//! A12: what a session bears, and what ends it; and what another site's page cannot do with it.

use contract::Role;
use futures_util::future::join_all;
use ingest_api::{ServerSettings, people::Settings};
use reqwest::Method;
use serde_json::json;
use url::Url;

use super::{
    browser::{Browser, at},
    directory::{entries, join, leave, map, new_tenant, signing_in_at},
    fake::Fake,
};
use crate::app::TestApp;

const COOKIE: &str = "cadastre";

/// A server on which person 1 is admin and signed in.
async fn with_admin() -> (Fake, TestApp, Browser) {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    join(&app, system, 101, 1, json!({})).await;
    map(&app, system, 101, Role::Admin).await;
    let browser = fake.signed_in(&app, 1).await;
    (fake, app, browser)
}

async fn status(app: &TestApp, browser: &mut Browser) -> u16 {
    browser.get(&at(app, "/api/audit")).await.status.as_u16()
}

#[tokio::test]
async fn a12_the_session_is_another_after_each_sign_in_and_the_old_one_ends() {
    let (fake, app, mut browser) = with_admin().await;
    let before = browser.cookie(app.base(), COOKIE).expect("a cookie");
    let mut old = browser.clone();
    fake.sign_in_with(&app, &mut browser, |nonce| fake.token(1, nonce, json!({})))
        .await;
    let after = browser.cookie(app.base(), COOKIE).expect("a cookie");
    assert_ne!(before, after);
    assert_eq!(status(&app, &mut browser).await, 200);
    assert_eq!(status(&app, &mut old).await, 401);

    // What somebody put into the browser before is not what it is signed in by.
    let mut fixed = Browser::new();
    fixed.set_cookie(app.base(), COOKIE, &"A".repeat(43));
    fake.sign_in_with(&app, &mut fixed, |nonce| fake.token(1, nonce, json!({})))
        .await;
    assert_ne!(
        fixed.cookie(app.base(), COOKIE).expect("a cookie"),
        "A".repeat(43)
    );

    // The database holds no cookie.
    let stored = app
        .count("select count(*) from people_sessions where octet_length(id_hash) = 32")
        .await;
    assert_eq!(stored, 2);
}

#[tokio::test]
async fn a12_who_signed_out_is_out_whoever_kept_the_cookie() {
    let (_fake, app, mut browser) = with_admin().await;
    let mut thief = browser.clone();
    let page = browser
        .call(&app, Method::POST, "/auth/sign-out", json!({}))
        .await;
    assert_eq!(page.status.as_u16(), 204, "{}", page.text);
    assert!(browser.cookie(app.base(), COOKIE).is_none());
    assert_eq!(status(&app, &mut thief).await, 401);
    assert_eq!(entries(&app, "person.sign-out").await.len(), 1);
}

#[tokio::test]
async fn a12_a_session_ends_when_it_is_idle_and_when_it_is_old_by_the_databases_clock() {
    let (fake, app, mut browser) = with_admin().await;
    let moved = async |sql: &'static str| {
        sqlx::query(sql).execute(&app.pool).await.expect("moved");
    };
    // In use it goes on.
    moved("update people_sessions set last_used_at = last_used_at - interval '59 minutes'").await;
    assert_eq!(status(&app, &mut browser).await, 200);
    let noted =
        "select count(*) from people_sessions where last_used_at > now() - interval '5 minutes'";
    assert_eq!(app.count(noted).await, 1, "its use was noted");
    moved("update people_sessions set last_used_at = last_used_at - interval '61 minutes'").await;
    assert_eq!(status(&app, &mut browser).await, 401);
    assert_eq!(app.count(noted).await, 0, "an ended session is not used");

    let mut browser = fake.signed_in(&app, 1).await;
    moved("update people_sessions set created_at = created_at - interval '719 minutes'").await;
    assert_eq!(status(&app, &mut browser).await, 200);
    moved("update people_sessions set created_at = created_at - interval '2 minutes'").await;
    assert_eq!(
        status(&app, &mut browser).await,
        401,
        "however much it is used"
    );
}

#[tokio::test]
async fn a12_a_role_that_is_taken_is_gone_at_the_next_call() {
    let (_fake, app, mut browser) = with_admin().await;
    assert_eq!(status(&app, &mut browser).await, 200);
    leave(&app, 101, 1).await;
    assert_eq!(status(&app, &mut browser).await, 403);
}

#[tokio::test]
async fn a12_no_call_that_was_under_way_brings_a_session_back_that_was_signed_out() {
    let (_fake, app, mut browser) = with_admin().await;
    // Each call finds its use to be news, and writes it.
    sqlx::query("update people_sessions set last_used_at = now() - interval '10 minutes'")
        .execute(&app.pool)
        .await
        .expect("moved");
    let calls = (0..20).map(|_| {
        let mut copy = browser.clone();
        let app = &app;
        async move { status(app, &mut copy).await }
    });
    let mut copy = browser.clone();
    let (out, statuses) = tokio::join!(
        copy.call(&app, Method::POST, "/auth/sign-out", json!({})),
        join_all(calls)
    );
    assert_eq!(out.status.as_u16(), 204, "{}", out.text);
    assert!(
        statuses.iter().all(|status| [200, 401].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(app.count("select count(*) from people_sessions").await, 0);
    assert_eq!(status(&app, &mut browser).await, 401);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let (_fake, app, mut browser) = with_admin().await;
    let me = browser.get(&at(&app, "/api/me")).await.json();
    let token = me["csrfToken"].as_str().expect("a token").to_owned();
    let url = at(&app, "/api/admin/keys");
    let body = json!({"name": "theirs", "permissions": ["admin"]});
    let (own, foreign) = (app.base().to_owned(), "https://evil.test".to_owned());
    let cases: Vec<(u16, Vec<(&str, &str)>)> = vec![
        (403, vec![]),
        (403, vec![("origin", &own)]),
        (403, vec![("x-csrf-token", "wrong")]),
        (403, vec![("x-csrf-token", &token), ("origin", &foreign)]),
        (403, vec![("x-csrf-token", &token), ("origin", "null")]),
        (
            403,
            vec![("x-csrf-token", &token), ("sec-fetch-site", "cross-site")],
        ),
        (
            403,
            vec![("x-csrf-token", &token), ("sec-fetch-site", "same-site")],
        ),
        (201, vec![("x-csrf-token", &token)]),
        (
            201,
            vec![
                ("x-csrf-token", &token),
                ("origin", &own),
                ("sec-fetch-site", "same-origin"),
            ],
        ),
    ];
    for (expected, headers) in cases {
        let mut request = browser.request(Method::POST, &url).json(&body);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let page = browser.send(&url, request).await;
        assert_eq!(page.status.as_u16(), expected, "{headers:?} {}", page.text);
    }
    assert_eq!(
        app.count("select count(*) from api_keys where name = 'theirs'")
            .await,
        2
    );

    // The token of another session is none.
    let mut other = Browser::new();
    other.set_cookie(app.base(), COOKIE, &"A".repeat(43));
    let request = other
        .request(Method::POST, &url)
        .header("x-csrf-token", &token)
        .json(&body);
    assert_eq!(other.send(&url, request).await.status.as_u16(), 401);
}

#[tokio::test]
async fn behind_a_public_address_cookies_are_bound_to_the_host_and_to_https() {
    let fake = Fake::start().await;
    let usual = signing_in_at(&fake.issuer);
    let app = TestApp::start_with(ServerSettings {
        people: Settings {
            public_url: Some("https://cadastre.example.org".parse().expect("a URL")),
            ..usual.people.clone()
        },
        ..usual
    })
    .await;
    let mut browser = Browser::new();
    let page = browser.get(&at(&app, "/auth/sign-in")).await;
    assert_eq!(
        page.leads_with("redirect_uri"),
        "https://cadastre.example.org/auth/callback"
    );
    let mut callback: Url = at(&app, "/auth/callback");
    callback.set_query(Some(&format!("code=c&state={}", page.leads_with("state"))));
    fake.answers().id_token = fake.token(1, &page.leads_with("nonce"), json!({}));
    let page = browser.get(&callback).await;
    let session = page
        .cookies
        .iter()
        .find(|line| line.starts_with("__Host-cadastre="))
        .expect("a cookie");
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(session.contains(part), "{session}");
    }
    assert!(!session.contains("Domain"), "{session}");
    assert_eq!(browser.get(&at(&app, "/api/me")).await.status.as_u16(), 200);
    // The same under a name that any neighbour could set.
    let value = browser
        .cookie(app.base(), "__Host-cadastre")
        .expect("a cookie");
    let mut plain = Browser::new();
    plain.set_cookie(app.base(), COOKIE, &value);
    assert_eq!(plain.get(&at(&app, "/api/me")).await.status.as_u16(), 401);
}
