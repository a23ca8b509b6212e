//! Ids in paths and queries that name something unusual, or nothing.

use contract::Permission;
use reqwest::Method;
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn the_refused_records_of_a_load_of_systems_can_be_seen_by_its_key_and_by_admins_of_all_systems()
 {
    let mut app = TestApp::start().await;
    let maker = app.new_key(&[Permission::Ingest], None).await;
    let stranger = app.new_key(&[Permission::Ingest], None).await;
    let limited = app
        .new_key(&Permission::ALL, Some(vec![app.system_id]))
        .await;
    let admin = std::mem::replace(&mut app.key, maker.clone());
    let body = json!({"records": [{"systemType": "HR", "displayName": 7}]});
    let load = app.post("/api/ingest/systems", &body).await.expect(201);
    let sync_id = load["syncId"].as_str().expect("an id").to_owned();
    let path = format!("/api/ingest/rejected?syncId={sync_id}");
    for (key, status) in [(maker, 200), (admin, 200), (stranger, 404), (limited, 404)] {
        app.key = key;
        let page = app.get(&path).await.expect(status);
        if status == 200 {
            assert_eq!(page["items"][0]["pointer"], "/displayName");
        }
    }
}

#[tokio::test]
async fn a_load_of_systems_is_no_session() {
    let app = TestApp::start().await;
    let body = json!({"records": [{"systemType": "HR", "displayName": "Payroll"}]});
    let load = app.post("/api/ingest/systems", &body).await.expect(201);
    let session = format!(
        "/api/ingest/sessions/{}",
        load["syncId"].as_str().expect("an id")
    );
    app.get(&session).await.expect(404);
    app.put(&format!("{session}/batches/0"), &json!({"records": []}))
        .await
        .expect(404);
    let commit = json!({"batches": 0, "complete": true});
    app.post(&format!("{session}/commit"), &commit)
        .await
        .expect(404);
    app.post(&format!("{session}/abort"), &json!({}))
        .await
        .expect(404);
}

#[tokio::test]
async fn what_cannot_be_a_key_id_names_no_key() {
    let app = TestApp::start().await;
    for odd in ["%00", "%00aaaaaaaaaaa", "%FF", "x", "%C3%A9aaaaaaaaaa"] {
        let revoke = app.request(Method::POST, &format!("/api/admin/keys/{odd}/revoke"));
        app.send(revoke).await.expect(404);
    }
}
