//! What gives a role, and what does not; and that it ends at once (A05).

use contract::{Permission, Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    browser::{Browser, at},
    directory::{TENANT, entries, join, leave, map, new_tenant, signing_in_at},
    fake::Fake,
};
use crate::app::{TestApp, id};

async fn role(app: &TestApp, browser: &mut Browser) -> Value {
    let page = browser.get(&at(app, "/api/me")).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    page.json()["role"].clone()
}

async fn run(app: &TestApp, sql: &'static str) {
    sqlx::query(sql).execute(&app.pool).await.expect(sql);
}

#[tokio::test]
async fn a_role_comes_through_nested_groups_the_highest_counts_and_its_end_is_seen_at_the_next_call()
 {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    let mut browser = fake.signed_in(&app, 1).await;
    assert_eq!(role(&app, &mut browser).await, Value::Null);

    // Person 1 in 101, which is in 102, which is in 103, and in a circle back.
    join(&app, system, 101, 1, json!({})).await;
    for (outer, inner) in [(102, 101), (103, 102), (101, 103)] {
        join(
            &app,
            system,
            outer,
            inner,
            json!({"principalType": "Group"}),
        )
        .await;
    }
    assert_eq!(
        role(&app, &mut browser).await,
        Value::Null,
        "no mapping, no role"
    );
    let deep = map(&app, system, 103, Role::Viewer).await;
    assert_eq!(role(&app, &mut browser).await, "viewer");
    let high = map(&app, system, 101, Role::Admin).await;
    assert_eq!(role(&app, &mut browser).await, "admin");

    // The mapping changes, and goes.
    let path = format!("/api/admin/role-mappings/{high}");
    app.patch(&path, &json!({"role": "contributor"}))
        .await
        .expect(200);
    assert_eq!(role(&app, &mut browser).await, "contributor");
    app.delete(&path).await.expect(204);
    assert_eq!(role(&app, &mut browser).await, "viewer");
    // A group in the middle loses its member.
    leave(&app, 102, 101).await;
    assert_eq!(role(&app, &mut browser).await, Value::Null);
    assert_eq!(entries(&app, "role-mapping.create").await.len(), 2);
    assert_eq!(entries(&app, "role-mapping.update").await.len(), 1);
    assert_eq!(entries(&app, "role-mapping.remove").await.len(), 1);
    let listed = app.get("/api/admin/role-mappings").await.expect(200);
    assert_eq!(listed[0]["mappingId"], deep.to_string());
    assert_eq!(listed[0]["displayName"], "Group 103");
}

#[tokio::test]
async fn only_a_live_membership_of_the_persons_own_principal_gives_a_role() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    let mut browser = fake.signed_in(&app, 1).await;
    map(&app, system, 101, Role::Admin).await;
    let no_member = [
        json!({"assignmentType": "Owner"}),
        json!({"assignmentType": "Eligible"}),
        json!({"assignmentType": "Governed"}),
        json!({"expirationDateTime": "2020-01-01T00:00:00Z"}),
        json!({"startDateTime": "2999-01-01T00:00:00Z"}),
        json!({"principalType": "Group"}),
    ];
    for more in no_member {
        join(&app, system, 101, 1, more.clone()).await;
        assert_eq!(role(&app, &mut browser).await, Value::Null, "{more}");
        run(&app, "delete from resource_assignments").await;
    }
    join(&app, system, 101, 1, json!({"principalType": "User"})).await;
    assert_eq!(role(&app, &mut browser).await, "admin");

    // What is switched off or gone, one after the other.
    for (off, on) in [
        (
            "update principals set account_enabled = false",
            "update principals set account_enabled = null",
        ),
        (
            "update principals set deleted_at = now()",
            "update principals set deleted_at = null",
        ),
        (
            "update resources set deleted_at = now()",
            "update resources set deleted_at = null",
        ),
        (
            "update systems set deleted_at = now()",
            "update systems set deleted_at = null",
        ),
        (
            "update systems set tenant_id = 'another'",
            "update systems set tenant_id = '11111111-2222-4333-8444-555555555555'",
        ),
    ] {
        run(&app, off).await;
        assert_eq!(role(&app, &mut browser).await, Value::Null, "{off}");
        run(&app, on).await;
        assert_eq!(role(&app, &mut browser).await, "admin", "{on}");
    }

    // Somebody of another tenant with the same id is somebody else.
    let mut stranger = Browser::new();
    let page = fake
        .sign_in_with(&app, &mut stranger, |nonce| {
            fake.token(
                1,
                nonce,
                json!({"sub": "stranger", "tid": TENANT.replace('1', "9")}),
            )
        })
        .await;
    assert_eq!(page.status.as_u16(), 303);
    assert_eq!(role(&app, &mut stranger).await, Value::Null);
}

#[tokio::test]
async fn a_system_of_another_workspace_gives_no_role_here() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    join(&app, system, 101, 1, json!({})).await;
    map(&app, system, 101, Role::Admin).await;
    let mut browser = fake.signed_in(&app, 1).await;
    assert_eq!(role(&app, &mut browser).await, "admin");
    run(&app, "insert into workspaces (name) values ('other')").await;
    run(
        &app,
        "update systems set workspace_id = (select max(workspace_id) from workspaces)",
    )
    .await;
    assert_eq!(role(&app, &mut browser).await, Value::Null);
    let body = json!({"systemId": system, "resourceId": id(102), "role": "admin"});
    let answer = app
        .post("/api/admin/role-mappings", &body)
        .await
        .expect(400);
    assert_eq!(answer["errors"][0]["pointer"], "/resourceId");
}

#[tokio::test]
async fn a05_who_lost_their_role_or_session_is_out_on_the_other_server_too() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    join(&app, system, 101, 1, json!({})).await;
    map(&app, system, 101, Role::Viewer).await;
    let mut browser = fake.signed_in(&app, 1).await;
    let other = app.replica(signing_in_at(&fake.issuer)).await;
    let cookie = browser.cookie(app.base(), "cadastre").expect("a cookie");
    browser.set_cookie(&other.base, "cadastre", &cookie);
    let there = format!("{}/api/systems", other.base)
        .parse()
        .expect("a URL");
    assert_eq!(browser.get(&there).await.status.as_u16(), 200);
    leave(&app, 101, 1).await;
    assert_eq!(browser.get(&there).await.status.as_u16(), 403);
    run(&app, "delete from people_sessions").await;
    assert_eq!(browser.get(&there).await.status.as_u16(), 401);
    other.stop().await;
}

#[tokio::test]
async fn role_mappings_are_for_admins_of_the_whole_workspace_and_for_groups_that_are_there() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    let body = json!({"systemId": system, "resourceId": id(101), "role": "admin"});
    let limited = app.new_key(&[Permission::Admin], Some(vec![system])).await;
    let path = "/api/admin/role-mappings";
    let request = app.request_as(&limited, Method::POST, path).json(&body);
    app.send(request).await.expect(403);
    map(&app, system, 101, Role::Viewer).await;
    app.post(path, &body).await.expect(409);
    for (field, wrong) in [
        (
            "resourceId",
            json!({"systemId": system, "resourceId": id(7), "role": "viewer"}),
        ),
        (
            "resourceId",
            json!({"systemId": 4711, "resourceId": id(102), "role": "viewer"}),
        ),
        (
            "unknown variant",
            json!({"systemId": system, "resourceId": id(102), "role": "owner"}),
        ),
    ] {
        let answer = app.post(path, &wrong).await.expect(400);
        assert!(answer.to_string().contains(field), "{answer}");
    }
    let missing = format!("{path}/{}", id(1));
    app.patch(&missing, &json!({"role": "viewer"}))
        .await
        .expect(404);
    app.delete(&missing).await.expect(404);
}
