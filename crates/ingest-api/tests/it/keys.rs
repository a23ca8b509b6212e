//! The life of a key: changed within its bounds, replaced without a gap, revoked with what came from it.

use std::time::Duration;

use contract::Permission;
use futures_util::StreamExt as _;
use ingest_api::auth::{Realm, rotate_key};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::app::{TestApp, people, until};

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

async fn created(app: &TestApp, more: Value) -> (String, String) {
    let mut wanted = json!({"name": "crawler", "permissions": ["ingest", "read"]});
    crate::app::merge(&mut wanted, more);
    let made = app.post("/api/admin/keys", &wanted).await.expect(201);
    (text(&made["key"]), text(&made["keyId"]))
}

async fn patch(app: &TestApp, key_id: &str, body: Value) -> crate::app::Answer {
    let path = format!("/api/admin/keys/{key_id}");
    app.send(app.request(Method::PATCH, &path).json(&body))
        .await
}

async fn status_of(app: &TestApp, key: &str) -> u16 {
    let request = app.request_as(key, Method::GET, "/api/crawlers/whoami");
    request.send().await.expect("an answer").status().as_u16()
}

async fn post(app: &TestApp, path: &str) -> crate::app::Answer {
    app.send(app.request(Method::POST, path)).await
}

#[tokio::test]
async fn a_key_is_changed_within_its_bounds_and_never_widened() {
    let app = TestApp::start().await;
    let (_, key_id) = created(&app, json!({"requestsPerMinute": 60})).await;
    let changed = json!({"name": "loader", "allowedAddresses": ["10.0.0.0/8", "::ffff:192.0.2.1"]});
    let now = patch(&app, &key_id, changed).await.expect(200);
    assert_eq!(now["name"], "loader");
    assert_eq!(now["allowedAddresses"], json!(["10.0.0.0/8", "192.0.2.1"]));
    assert_eq!(now["requestsPerMinute"], 60, "what is left out stays");
    let freed = json!({"allowedAddresses": null, "requestsPerMinute": null});
    let now = patch(&app, &key_id, freed).await.expect(200);
    assert_eq!(
        (now.get("allowedAddresses"), now.get("requestsPerMinute")),
        (None, None)
    );

    let sooner = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let now = patch(&app, &key_id, json!({"expiresAt": sooner}))
        .await
        .expect(200);
    assert!(text(&now["expiresAt"]).starts_with(&sooner.format("%Y-%m-%d").to_string()));
    let later = json!({"expiresAt": sooner + chrono::TimeDelta::days(1)});
    let refused = patch(&app, &key_id, later).await.expect(400);
    assert_eq!(refused["errors"][0]["pointer"], "/expiresAt");

    // A13: what is not theirs to set is refused, not ignored.
    for field in [
        "permissions",
        "systemIds",
        "keyId",
        "workspaceId",
        "createdBy",
        "role",
    ] {
        patch(&app, &key_id, json!({field: "x"})).await.expect(400);
    }
    for (body, pointer) in [
        (json!({"allowedAddresses": []}), "/allowedAddresses"),
        (
            json!({"allowedAddresses": ["10.0.0.1/8"]}),
            "/allowedAddresses/0",
        ),
        (json!({"requestsPerMinute": 0}), "/requestsPerMinute"),
        (json!({"name": " "}), "/name"),
    ] {
        let refused = patch(&app, &key_id, body).await.expect(400);
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
    patch(&app, "abcdefabcdef", json!({"name": "x"}))
        .await
        .expect(404);
    let before = &app.get("/api/audit?action=key.update").await.expect(200)["items"][2]["detail"];
    assert_eq!(before["before"]["name"], "crawler");
    assert_eq!(before["after"]["name"], "loader");
}

#[tokio::test]
async fn a08_two_keys_work_while_one_replaces_the_other_and_the_old_one_ends_after_its_grace() {
    let app = TestApp::start().await;
    let bounds = json!({"requestsPerMinute": 500, "allowedAddresses": ["127.0.0.0/8"]});
    let (old, old_id) = created(&app, bounds).await;
    let rotate = |grace: &str| format!("/api/admin/keys/{old_id}/rotate{grace}");
    let new = post(&app, &rotate("?graceSeconds=600")).await.expect(201);
    assert_eq!(text(&new["rotatedFrom"]), old_id);
    assert_eq!(new["requestsPerMinute"], 500);
    assert_eq!(new["allowedAddresses"], json!(["127.0.0.0/8"]));
    assert_eq!(new["permissions"], json!(["ingest", "read"]));
    let new_key = text(&new["key"]);
    assert_eq!(
        (status_of(&app, &old).await, status_of(&app, &new_key).await),
        (200, 200)
    );
    let left: f64 = sqlx::query_scalar(
        "select extract(epoch from expires_at - now())::float8 from api_keys where key_id = $1",
    )
    .bind(&old_id)
    .fetch_one(&app.pool)
    .await
    .expect("an end");
    assert!((1.0..=600.0).contains(&left), "{left}");
    let used = app
        .count("select count(*) from api_keys where last_used_at is not null and name = 'crawler'")
        .await;
    assert_eq!(used, 2, "each says for itself when it was used");

    post(&app, &rotate("?graceSeconds=0")).await.expect(201);
    assert_eq!(
        (status_of(&app, &old).await, status_of(&app, &new_key).await),
        (401, 200)
    );
    post(&app, &rotate("")).await.expect(404);
    post(&app, &rotate("?graceSeconds=2592001"))
        .await
        .expect(400);
    post(&app, "/api/crawlers/rotate?graceSeconds=59")
        .await
        .expect(400);
}

#[tokio::test]
async fn revoking_a_key_takes_what_came_from_it_when_that_is_asked_for() {
    let mut app = TestApp::start().await;
    let (first, first_id) = created(&app, json!({})).await;
    let admin = std::mem::replace(&mut app.key, first.clone());
    let second = text(&post(&app, "/api/crawlers/rotate").await.expect(201)["key"]);
    app.key = second.clone();
    let third = text(&post(&app, "/api/crawlers/rotate").await.expect(201)["key"]);
    app.key = admin;
    let (other, _) = created(&app, json!({})).await;

    let revoke = format!("/api/admin/keys/{first_id}/revoke");
    post(&app, &revoke).await.expect(204);
    for (key, status) in [(&first, 401), (&second, 200), (&third, 200)] {
        assert_eq!(status_of(&app, key).await, status);
    }
    post(&app, &format!("{revoke}?descendants=true"))
        .await
        .expect(204);
    for (key, status) in [(&first, 401), (&second, 401), (&third, 401), (&other, 200)] {
        assert_eq!(status_of(&app, key).await, status);
    }
    let entries = app.get("/api/audit?action=key.revoke").await.expect(200);
    let revoked = entries["items"][0]["detail"]["revoked"]
        .as_array()
        .map(Vec::len);
    assert_eq!(revoked, Some(2), "{entries:#}");
}

#[tokio::test]
async fn a_rotation_that_is_under_way_does_not_escape_a_revocation() {
    let app = TestApp::start().await;
    let (old, old_id) = created(&app, json!({})).await;
    let realm = Realm {
        workspace_id: 1,
        system_ids: None,
    };
    let mut rotation = app.connect().await;
    let mut rotation = rotation.begin().await.expect("begins");
    let grace = chrono::TimeDelta::hours(1);
    let made = rotate_key(&mut rotation, realm, &old_id, grace, "thief".into()).await;
    let (new, _) = made.expect("rotates").expect("a key that works");

    let revoke = format!("/api/admin/keys/{old_id}/revoke?descendants=true");
    let request = app.request(Method::POST, &revoke);
    let revoking = tokio::spawn(async move { request.send().await });
    until(async || {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                       and datname = current_database()";
        app.count(waiting).await > 0
    })
    .await;
    rotation.commit().await.expect("commits");
    let revoked = revoking.await.expect("ends").expect("an answer");
    assert_eq!(revoked.status().as_u16(), 204);
    let new = new.key.expose_secret();
    assert_eq!(
        (status_of(&app, &old).await, status_of(&app, new).await),
        (401, 401)
    );
}

#[tokio::test]
async fn a06_a_key_that_ended_says_so_to_who_knows_its_secret_only() {
    let app = TestApp::start().await;
    let (expired, id) = created(&app, json!({})).await;
    let (revoked, revoked_id) = created(&app, json!({})).await;
    sqlx::query("update api_keys set expires_at = now() where key_id = $1")
        .bind(&id)
        .execute(&app.pool)
        .await
        .expect("time passes");
    post(&app, &format!("/api/admin/keys/{revoked_id}/revoke"))
        .await
        .expect(204);
    // The id of the expired key with another secret: a key in good form.
    let guessed = {
        let (_, rest) = expired.split_at(17);
        let secret: String = rest[..43].chars().rev().collect();
        let sum = crc(&format!("{id}_{secret}"));
        format!("fgc_{id}_{secret}_{sum}")
    };
    for (key, kind) in [
        (&expired, "/problems/key-expired"),
        (&revoked, "/problems/key-revoked"),
        (&guessed, "/problems/unauthenticated"),
    ] {
        let request = app.request_as(key, Method::GET, "/api/crawlers/whoami");
        let answer = request.send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status().as_u16(), 401);
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["type"], kind);
    }
}

/// The checksum of a key, by the book: CRC-32 in base 62, six letters.
fn crc(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut rest = !crc as usize;
    let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut sum = [b'0'; 6];
    for place in sum.iter_mut().rev() {
        *place = letters[rest % 62];
        rest /= 62;
    }
    String::from_utf8(sum.to_vec()).expect("ASCII")
}

#[tokio::test]
async fn s09_a_key_is_nowhere_in_the_database_but_for_its_id() {
    let app = TestApp::start().await;
    let (key, key_id) = created(&app, json!({})).await;
    assert_eq!(status_of(&app, &key).await, 200);
    let secret = &key[17..60];
    let tables: Vec<String> = sqlx::query_scalar(
        "select quote_ident(table_name) from information_schema.tables \
         where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(&app.pool)
    .await
    .expect("tables");
    let mut ids = 0;
    for table in tables {
        let sql = format!(
            "select count(*) filter (where t::text like '%' || $1 || '%'), \
             count(*) filter (where t::text like '%' || $2 || '%') from {table} t"
        );
        let (secrets, known): (i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(secret)
            .bind(&key_id)
            .fetch_one(&app.pool)
            .await
            .expect("a table");
        assert_eq!(secrets, 0, "{table}");
        ids += known;
    }
    assert!(ids > 1, "the key and the entry of its making");
}

#[tokio::test]
async fn a05_an_export_breaks_off_when_its_key_is_revoked() {
    let app = TestApp::start().await;
    // More than the connection, the server and the client hold unread.
    for part in 0..12 {
        let records: Value = people(part * 5_000..(part + 1) * 5_000, "Ada")
            .as_array()
            .expect("records")
            .iter()
            .cloned()
            .map(|mut person| {
                person["extendedAttributes"] = json!({"note": "x".repeat(600)});
                person
            })
            .collect();
        app.ingest("principals", records, json!({}))
            .await
            .expect(201);
    }
    let (key, key_id) = created(&app, json!({})).await;
    let request = app.request_as(&key, Method::GET, "/api/register/principals/export");
    let answer = request.send().await;
    let mut body = answer.expect("an answer").bytes_stream();
    body.next().await.expect("a piece").expect("bytes");
    post(&app, &format!("/api/admin/keys/{key_id}/revoke"))
        .await
        .expect(204);
    // Slowly enough that it would take far longer to the end than the server takes to look again.
    let mut read = 0;
    let broke = loop {
        match body.next().await {
            Some(Ok(bytes)) => read += bytes.len(),
            Some(Err(_)) => break true,
            None => break false,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(broke, "it went on to its end, {read} bytes");
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_however_many_calls_come() {
    let app = TestApp::start().await;
    let key = app.new_key(&[Permission::Read], None).await;
    let calls = (0..30).map(|_| status_of(&app, &key));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|status| *status == 200));
    // How often a row was written is in its transaction's number: one that did not change is one write.
    let version = async || {
        let row: (String, bool) = sqlx::query_as(
            "select xmin::text, last_used_at is not null from api_keys where key_id = $1",
        )
        .bind(TestApp::id_of(&key))
        .fetch_one(&app.pool)
        .await
        .expect("the key");
        row
    };
    let first = version().await;
    assert!(first.1);
    for _ in 0..10 {
        status_of(&app, &key).await;
    }
    assert_eq!(version().await, first);
    sqlx::query("update api_keys set last_used_at = now() - interval '2 minutes'")
        .execute(&app.pool)
        .await
        .expect("time passes");
    status_of(&app, &key).await;
    let age: bool = sqlx::query_scalar(
        "select last_used_at > now() - interval '1 minute' from api_keys where key_id = $1",
    )
    .bind(TestApp::id_of(&key))
    .fetch_one(&app.pool)
    .await
    .expect("the key");
    assert!(age);
}
