//! A15: the first admin.

use ingest_api::people::bootstrap_link;
use reqwest::Method;
use serde_json::json;
use url::Url;

use super::{
    browser::{Browser, at, parameter},
    directory::entries,
};
use crate::app::TestApp;

async fn link(app: &TestApp) -> Url {
    let link = bootstrap_link(&app.pool, app.base()).await.expect("asked");
    link.expect("a link").parse().expect("a URL")
}

#[tokio::test]
async fn a15_one_of_many_claims_wins_and_the_link_is_gone_afterwards() {
    let app = TestApp::start().await;
    let link = link(&app).await;
    let token = parameter(&link, "token");
    // Looking uses nothing up.
    for _ in 0..2 {
        let page = Browser::new().get(&link).await;
        assert_eq!(page.status.as_u16(), 200);
        assert!(
            page.policy.contains("form-action 'self'"),
            "{}",
            page.policy
        );
        assert!(!page.text.contains("<script"));
    }
    let form = [("token", token.as_str())];
    let url = at(&app, "/auth/bootstrap");
    let claims = (0..8).map(|_| {
        let (url, form) = (url.clone(), form);
        async move {
            let mut browser = Browser::new();
            let page = browser.post(&url, &form).await;
            (page.status.as_u16(), browser)
        }
    });
    let mut claims = futures_util::future::join_all(claims).await;
    claims.sort_by_key(|(status, _)| *status);
    let statuses: Vec<u16> = claims.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [303, 410, 410, 410, 410, 410, 410, 410]);
    let admin = &mut claims[0].1;
    let me = admin.get(&at(&app, "/api/me")).await.json();
    assert_eq!(
        (&me["role"], &me["signedInBy"]),
        (&json!("admin"), &json!("bootstrap"))
    );
    assert_eq!(
        admin.get(&at(&app, "/api/audit")).await.status.as_u16(),
        200
    );
    assert_eq!(entries(&app, "person.bootstrap").await.len(), 1);

    // Reused, by either way; and no other link while there is an admin.
    assert_eq!(Browser::new().get(&link).await.status.as_u16(), 410);
    assert_eq!(Browser::new().post(&url, &form).await.status.as_u16(), 410);
    let next = bootstrap_link(&app.pool, app.base()).await.expect("asked");
    assert_eq!(next, None);
    // An account that is to be left again makes no tokens.
    let page = admin
        .call(
            &app,
            Method::POST,
            "/api/me/tokens",
            json!({"name": "mine"}),
        )
        .await;
    assert_eq!(page.status.as_u16(), 403, "{}", page.text);
}

#[tokio::test]
async fn a15_a_link_ends_by_time_by_the_next_one_and_works_from_its_own_page_only() {
    let app = TestApp::start().await;
    let (first, second) = (link(&app).await, link(&app).await);
    assert_eq!(Browser::new().get(&first).await.status.as_u16(), 410);
    assert_eq!(Browser::new().get(&second).await.status.as_u16(), 200);
    let url = at(&app, "/auth/bootstrap");
    let token = parameter(&second, "token");
    let mut browser = Browser::new();
    let request = browser
        .request(Method::POST, &url)
        .header("origin", "https://evil.test")
        .form(&[("token", token.as_str())]);
    assert_eq!(browser.send(&url, request).await.status.as_u16(), 403);
    sqlx::query("update bootstrap_links set expires_at = now() - interval '1 second'")
        .execute(&app.pool)
        .await
        .expect("moved");
    assert_eq!(browser.get(&second).await.status.as_u16(), 410);
    let page = browser.post(&url, &[("token", token.as_str())]).await;
    assert_eq!(page.status.as_u16(), 410);
    for wrong in ["", "short", &"A".repeat(43)] {
        let page = browser.post(&url, &[("token", wrong)]).await;
        assert_eq!(page.status.as_u16(), 410, "{wrong}");
    }
    let stored = app
        .count("select count(*) from bootstrap_links where octet_length(token_hash) = 32")
        .await;
    assert_eq!(stored, 1, "the hash alone, of one link");
}
