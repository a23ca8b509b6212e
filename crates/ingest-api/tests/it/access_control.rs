use contract::Permission;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, people};

const ROUTES: [(&str, &str, &[Permission]); 28] = [
    ("POST", "/api/ingest/principals", &[Permission::Ingest]),
    ("POST", "/api/ingest/sessions", &[Permission::Ingest]),
    ("POST", "/api/ingest/sync-log", &[Permission::Ingest]),
    (
        "GET",
        "/api/crawlers/delta-tokens?systemId=1",
        &[Permission::Ingest],
    ),
    (
        "GET",
        "/api/crawlers/delta-tokens/users?systemId=1",
        &[Permission::Ingest],
    ),
    (
        "PUT",
        "/api/crawlers/delta-tokens/users?systemId=1",
        &[Permission::Ingest],
    ),
    (
        "DELETE",
        "/api/crawlers/delta-tokens/users?systemId=1",
        &[Permission::Ingest],
    ),
    (
        "GET",
        "/api/ingest/sessions?runId=00000000-0000-0000-0000-000000000001",
        &[Permission::Ingest],
    ),
    (
        "POST",
        "/api/ingest/runs/00000000-0000-0000-0000-000000000001/claim",
        &[Permission::Ingest],
    ),
    (
        "PUT",
        "/api/ingest/runs/00000000-0000-0000-0000-000000000001/checkpoint",
        &[Permission::Ingest],
    ),
    (
        "GET",
        "/api/ingest/runs/00000000-0000-0000-0000-000000000001/checkpoint",
        &[Permission::Ingest],
    ),
    (
        "POST",
        "/api/ingest/refresh-views",
        &[Permission::Ingest, Permission::Admin],
    ),
    (
        "GET",
        "/api/ingest/refresh-views",
        &[Permission::Ingest, Permission::Read],
    ),
    (
        "GET",
        "/api/ingest/held",
        &[Permission::Read, Permission::Admin],
    ),
    (
        "POST",
        "/api/ingest/held/00000000-0000-0000-0000-000000000001/approve",
        &[Permission::Admin],
    ),
    ("GET", "/api/systems", &[Permission::Read]),
    ("GET", "/api/totals", &[Permission::Read]),
    ("GET", "/api/resources?search=x", &[Permission::Read]),
    ("GET", "/api/principals?search=x", &[Permission::Read]),
    ("GET", "/api/access/privileged", &[Permission::Read]),
    ("GET", "/api/register/principals", &[Permission::Read]),
    (
        "GET",
        "/api/register/governance/catalogs/export",
        &[Permission::Read],
    ),
    ("GET", "/api/register/package-gaps", &[Permission::Read]),
    (
        "GET",
        "/api/systems/1/stale-principals",
        &[Permission::Read],
    ),
    ("GET", "/api/systems/1/matrix", &[Permission::Read]),
    ("GET", "/api/views", &[Permission::Ingest, Permission::Read]),
    ("GET", "/api/admin/keys", &[Permission::Admin]),
    ("POST", "/api/admin/keys", &[Permission::Admin]),
];

fn method(name: &str) -> Method {
    name.parse().expect("a method")
}

#[tokio::test]
async fn nobody_gets_anywhere_without_a_working_key() {
    let app = TestApp::start().await;
    let mut wrong = app.key.clone();
    wrong.replace_range(20..21, if &wrong[20..21] == "x" { "y" } else { "x" });
    for (verb, path, _) in ROUTES {
        let mut bodies: Vec<Value> = Vec::new();
        for header in [
            None,
            Some("Bearer".into()),
            Some("Bearer   ".into()),
            Some(format!("Basic {}", app.key)),
            Some(format!("Bearer {wrong}")),
            Some(format!("Bearer {}", "x".repeat(100_000))),
        ] {
            let mut request = reqwest::Client::new().request(
                method(verb),
                app.request(Method::GET, path)
                    .build()
                    .expect("a request")
                    .url()
                    .clone(),
            );
            if let Some(header) = header {
                request = request.header("Authorization", header);
            }
            let response = request.send().await.expect("an answer");
            if response.status().as_u16() == 431 {
                continue;
            }
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            assert_eq!(response.status().as_u16(), 401, "{verb} {path}");
            let mut body: Value = response.json().await.expect("JSON");
            let request_id = body.as_object_mut().expect("an object").remove("requestId");
            assert!(request_id.is_some_and(|id| id.is_string()));
            bodies.push(body);
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "every refusal reads the same");
    }
}

#[tokio::test]
async fn a01_a_key_counts_in_its_header_and_there_once() {
    let app = TestApp::start().await;
    let bearer = format!("Bearer {}", app.key);
    let url = format!("{}/api/register/principals", app.base());
    let http = reqwest::Client::new();
    let status = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.expect("an answer");
        answer.status().as_u16()
    };
    let with = |values: &[&str]| {
        let header = |request: reqwest::RequestBuilder, value: &&str| {
            request.header("Authorization", *value)
        };
        values.iter().fold(http.get(&url), header)
    };
    assert_eq!(status(with(&[&bearer])).await, 200);
    assert_eq!(
        status(with(&[&bearer.replace("Bearer", "bearer")])).await,
        200
    );
    for values in [
        &[&bearer as &str, &bearer][..],
        &["", &bearer],
        &[&bearer, "Basic YTpi"],
        &["Bearer"],
        &["Bearer "],
        &["Bearer fgc__"],
        &[&app.key],
    ] {
        assert_eq!(status(with(values)).await, 401, "{values:?}");
    }
    for name in ["key", "api_key", "apiKey", "access_token", "Authorization"] {
        let asked = http.get(&url).query(&[(name, &app.key)]);
        let answered = status(asked).await;
        // A parameter that nobody knows is refused, whoever asks.
        assert!([400, 401].contains(&answered), "{name}: {answered}");
    }
}

#[tokio::test]
async fn a_key_does_what_its_permissions_say_and_no_more() {
    let mut app = TestApp::start().await;
    for permission in Permission::ALL {
        app.key = app.new_key(&[permission], None).await;
        for (verb, path, allowed) in ROUTES {
            let status = app
                .send(app.request(method(verb), path).json(&json!({})))
                .await
                .status
                .as_u16();
            assert_eq!(
                status != 403,
                allowed.contains(&permission),
                "{permission:?} {verb} {path}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_for_some_systems_sees_and_writes_no_other() {
    let mut app = TestApp::start().await;
    let (own, other) = (app.system_id, app.new_system("Other").await);
    app.system_id = other;
    app.ingest("principals", people(0..1, "Hidden"), json!({}))
        .await
        .expect(201);
    app.key = app.new_key(&Permission::ALL, Some(vec![own])).await;

    let foreign = app
        .ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(403);
    app.system_id = 4_711;
    let missing = app
        .ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(403);
    assert_eq!(
        foreign["detail"]
            .as_str()
            .expect("text")
            .replace(&other.to_string(), "N"),
        missing["detail"]
            .as_str()
            .expect("text")
            .replace("4711", "N"),
        "a foreign system and none at all read the same"
    );
    app.system_id = own;
    app.ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(201);
    assert_eq!(
        app.get("/api/systems").await.expect(200)["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        app.get("/api/principals?search=Hidden").await.expect(200)["items"],
        json!([])
    );
    app.get("/api/totals").await.expect(403);
    app.post(
        "/api/ingest/systems",
        &json!({"records": [{"systemType": "Test", "displayName": "New"}]}),
    )
    .await
    .expect(403);
    app.post(
        "/api/ingest/systems",
        &json!({"records": [{"systemType": "Test", "displayName": "Other"}]}),
    )
    .await
    .expect(403);
}

#[tokio::test]
async fn a_key_is_shown_once_and_ends_at_once_when_revoked() {
    let mut app = TestApp::start().await;
    let wanted = json!({"name": "crawler", "permissions": ["ingest"]});
    let created = app.post("/api/admin/keys", &wanted).await.expect(201);
    let key = created["key"].as_str().expect("a key").to_owned();
    let secret = key.split('_').nth(2).expect("a secret").to_owned();
    let listed = app.get("/api/admin/keys").await.expect(200).to_string();
    assert!(
        listed.contains(created["keyId"].as_str().expect("an id")) && !listed.contains(&secret)
    );
    let stored: String = sqlx::query_scalar("select string_agg(k::text, ' ') from api_keys k")
        .fetch_one(&app.pool)
        .await
        .expect("keys");
    assert!(!stored.contains(&secret), "only a hash is stored");
    assert!(
        created["expiresAt"].is_string(),
        "a key ends, unless somebody says otherwise"
    );

    let admin = std::mem::replace(&mut app.key, key);
    assert_eq!(
        app.get("/api/crawlers/whoami").await.expect(200)["name"],
        "crawler"
    );
    let rotated = app
        .post("/api/crawlers/rotate", &json!({}))
        .await
        .expect(201);
    app.get("/api/crawlers/whoami").await.expect(200);
    let old = std::mem::replace(
        &mut app.key,
        rotated["key"].as_str().expect("a key").to_owned(),
    );
    app.get("/api/crawlers/whoami").await.expect(200);

    let new = std::mem::replace(&mut app.key, admin);
    let path = format!(
        "/api/admin/keys/{}/revoke",
        created["keyId"].as_str().expect("an id")
    );
    app.send(app.request(Method::POST, &path)).await.expect(204);
    app.key = old;
    app.get("/api/crawlers/whoami").await.expect(401);
    app.key = new;
    app.get("/api/crawlers/whoami").await.expect(200);
    sqlx::query("update api_keys set expires_at = now()")
        .execute(&app.pool)
        .await
        .expect("time passes");
    app.get("/api/crawlers/whoami").await.expect(401);
}

#[tokio::test]
async fn an_admin_key_for_some_systems_manages_only_keys_within_them() {
    let mut app = TestApp::start().await;
    let (own, other) = (app.system_id, app.new_system("Other").await);
    let everything = app.key.clone();
    let key_of = |created: &Value| created["keyId"].as_str().expect("an id").to_owned();
    let wide = json!({"name": "wide", "permissions": ["read"]});
    let wide = key_of(&app.post("/api/admin/keys", &wide).await.expect(201));
    let narrow = json!({"name": "narrow", "permissions": ["read"], "systemIds": [own]});
    let narrow = key_of(&app.post("/api/admin/keys", &narrow).await.expect(201));
    let useless = json!({"name": "useless", "permissions": ["read"], "systemIds": []});
    app.post("/api/admin/keys", &useless).await.expect(400);

    app.key = app.new_key(&[Permission::Admin], Some(vec![own])).await;
    let listed = app.get("/api/admin/keys").await.expect(200).to_string();
    assert!(listed.contains(&narrow) && !listed.contains(&wide));
    let revoke = |id: &str| app.request(Method::POST, &format!("/api/admin/keys/{id}/revoke"));
    app.send(revoke(&wide)).await.expect(404);
    app.send(revoke(&narrow)).await.expect(204);
    let foreign = json!({"name": "foreign", "permissions": ["read"], "systemIds": [other]});
    app.post("/api/admin/keys", &foreign).await.expect(400);
    let created = json!({"name": "heir", "permissions": ["read"]});
    let created = app.post("/api/admin/keys", &created).await.expect(201);
    assert_eq!(
        created["systemIds"],
        json!([own]),
        "a key hands on no more than it has"
    );
    app.key = everything;
    app.get("/api/crawlers/whoami").await.expect(200);
}

#[tokio::test]
async fn an_id_that_cannot_be_read_is_a_problem_document_too() {
    let app = TestApp::start().await;
    for path in [
        "/api/ingest/sessions/nonsense",
        "/api/systems/1/resources/zz/access",
        "/api/systems/99999999999/principals/zz/access",
        "/api/systems/999/principals/00000000-0000-0000-0000-000000000001/access",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.content_type, "application/problem+json", "{path}");
        answer.expect(404);
    }
    let answer = app.get("/api/principals?search=x&limit=many").await;
    assert_eq!(answer.content_type, "application/problem+json");
    assert!(
        answer.expect(400)["detail"]
            .as_str()
            .expect("text")
            .contains("limit")
    );
}
