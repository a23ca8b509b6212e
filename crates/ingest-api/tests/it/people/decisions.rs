//! A14: who decides about removals that wait, by which means, and what is kept of it.

use contract::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    browser::{Browser, at},
    directory::{join, map, new_tenant, signing_in_at},
    fake::Fake,
};
use crate::app::{TestApp, people};

/// Removals of a system of its own that wait for a decision; the path of their change set.
async fn held(app: &TestApp) -> String {
    let system = app.new_system("HR").await;
    for records in [people(1000..1020, "Ada"), json!([])] {
        let more = json!({"systemId": system, "syncMode": "full"});
        app.ingest("principals", records, more).await.expect(201);
    }
    let sets = app.get("/api/ingest/held").await.expect(200);
    let id = sets["items"][0]["changeSetId"].as_str().expect("a set");
    format!("/api/ingest/held/{id}")
}

async fn decide(app: &TestApp, browser: &mut Browser, path: &str, body: Value) -> u16 {
    let page = browser.call(app, Method::POST, path, body).await;
    page.status.as_u16()
}

#[tokio::test]
async fn a14_an_admin_decides_once_with_a_reason_on_a_page_of_ours_and_who_and_why_is_kept() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let tenant = new_tenant(&app).await;
    for (group, who, role) in [
        (101, 1, Role::Viewer),
        (102, 2, Role::Contributor),
        (103, 3, Role::Admin),
    ] {
        join(&app, tenant, group, who, json!({})).await;
        map(&app, tenant, group, role).await;
    }
    let set = held(&app).await;
    let approve = format!("{set}/approve");
    let good = json!({"reason": "the department was closed"});
    for who in [1, 2] {
        let mut browser = fake.signed_in(&app, who).await;
        assert_eq!(
            decide(&app, &mut browser, &approve, good.clone()).await,
            403
        );
        let reject = format!("{set}/reject");
        assert_eq!(decide(&app, &mut browser, &reject, good.clone()).await, 403);
    }
    let mut admin = fake.signed_in(&app, 3).await;
    for bad in [json!({}), json!({"reason": " "})] {
        assert_eq!(decide(&app, &mut admin, &approve, bad).await, 400);
    }
    // A form of another site's page has the cookie, and nothing else.
    let url = at(&app, &approve);
    let forged = admin.request(Method::POST, &url).json(&good);
    assert_eq!(admin.send(&url, forged).await.status.as_u16(), 403);
    let live =
        "select count(*) from principals where display_name like 'Ada%' and deleted_at is null";
    assert_eq!(app.count(live).await, 20, "nothing was removed so far");

    assert_eq!(decide(&app, &mut admin, &approve, good.clone()).await, 200);
    assert_eq!(app.count(live).await, 0);
    assert_eq!(decide(&app, &mut admin, &approve, good).await, 409);
    let entries: Vec<(String, Value)> =
        sqlx::query_as("select actor, detail from audit_log where action like 'held.%'")
            .fetch_all(&app.pool)
            .await
            .expect("entries");
    let [(actor, detail)] = entries.as_slice() else {
        panic!("one entry: {entries:?}")
    };
    assert!(actor.starts_with("person:"), "{actor}");
    assert_eq!(detail["reason"], "the department was closed");
    assert_eq!(detail["removed"], 20);
}
