//! The audit log: what is in it, who finds it, and that it only grows.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use contract::Permission;
use ingest_api::{
    ServerSettings,
    auth::Doors,
    retention::{Keep, Retention, purge},
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{TestApp, until},
    resuming::foreign_key,
};

async fn make_keys(app: &TestApp, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        let wanted = json!({"name": name, "permissions": ["read"]});
        let made = app.post("/api/admin/keys", &wanted).await.expect(201);
        ids.push(made["keyId"].as_str().expect("an id").to_owned());
    }
    ids
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().expect("a list")
}

#[tokio::test]
async fn an_entry_says_who_did_what_to_what_when_and_from_where() {
    let app = TestApp::start().await;
    let request = app
        .request(reqwest::Method::POST, "/api/admin/keys")
        .header("x-request-id", "ticket-4711")
        .json(&json!({"name": "loader", "permissions": ["read"]}));
    let made = app.send(request).await.expect(201);
    let page = app.get("/api/audit").await.expect(200);
    let entry = &items(&page)[0];
    assert_eq!(entry["action"], "key.create");
    assert_eq!(entry["target"], made["keyId"]);
    assert_eq!(entry["address"], "127.0.0.1");
    assert_eq!(entry["requestId"], "ticket-4711");
    assert_eq!(entry["detail"]["name"], "loader");
    let actor = entry["actor"].as_str().expect("a text");
    assert_eq!(actor, format!("key:{} (test)", TestApp::id_of(&app.key)));
    let at = entry["at"]
        .as_str()
        .expect("a text")
        .parse::<chrono::DateTime<Utc>>();
    assert!(Utc::now() - at.expect("an instant") < TimeDelta::hours(1));
}

#[tokio::test]
async fn entries_are_found_by_actor_action_target_and_time_page_by_page() {
    let app = TestApp::start().await;
    let ids = make_keys(&app, &["a", "b", "c", "d", "e"]).await;
    let revoke = format!("/api/admin/keys/{}/revoke", ids[0]);
    app.send(app.request(reqwest::Method::POST, &revoke))
        .await
        .expect(204);
    let found = async |query: &str| -> Vec<String> {
        let page = app.get(&format!("/api/audit{query}")).await.expect(200);
        let actions = items(&page)
            .iter()
            .map(|entry| entry["action"].as_str().expect("a text").to_owned());
        actions.collect()
    };
    assert_eq!(found("?action=key").await.len(), 6);
    assert_eq!(found("?action=key.revoke").await, ["key.revoke"]);
    assert_eq!(found("?action=ke").await, [""; 0]);
    assert_eq!(
        found(&format!("?target={}", ids[0])).await,
        ["key.revoke", "key.create"]
    );
    assert_eq!(
        found(&format!("?actor=key:{}", TestApp::id_of(&app.key)))
            .await
            .len(),
        6
    );
    assert_eq!(found("?actor=command").await.len(), 0);
    assert_eq!(found("?to=2020-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(found("?from=2020-01-01T00:00:00Z").await.len(), 6);
    for wrong in ["?from=soon", "?after=1", "?actor=", "?what=x"] {
        app.get(&format!("/api/audit{wrong}")).await.expect(400);
    }

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = app
            .get(&format!("/api/audit?limit=2{after}"))
            .await
            .expect(200);
        seen.extend(
            items(&page)
                .iter()
                .map(|entry| entry["auditId"].as_i64().expect("a number")),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        after = format!("&after={next}");
    }
    assert_eq!(seen.len(), 6);
    assert!(
        seen.is_sorted_by(|one, other| one > other),
        "newest first: {seen:?}"
    );
}

#[tokio::test]
async fn the_log_is_for_admins_of_the_whole_workspace_and_tells_of_no_other() {
    let mut app = TestApp::start().await;
    make_keys(&app, &["a"]).await;
    let stranger = foreign_key(&app).await;
    let narrow = app
        .new_key(&[Permission::Admin], Some(vec![app.system_id]))
        .await;
    let reader = app.new_key(&[Permission::Read], None).await;
    for key in [narrow, reader] {
        app.key = key;
        app.get("/api/audit").await.expect(403);
        app.get("/api/audit/export").await.expect(403);
    }
    app.key = stranger;
    assert_eq!(
        app.get("/api/audit").await.expect(200),
        json!({"items": []})
    );
}

#[tokio::test]
async fn the_log_is_exported_whole_and_the_export_is_in_it() {
    let app = TestApp::start().await;
    make_keys(&app, &["=cmd|x", "b", "c"]).await;
    let export = async |query: &str| {
        let request = app.request(reqwest::Method::GET, &format!("/api/audit/export{query}"));
        request
            .send()
            .await
            .expect("an answer")
            .text()
            .await
            .expect("a body")
    };
    let lines = export("?action=key.create").await;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let listed = app.get("/api/audit?action=key.create").await.expect(200);
    assert_eq!(&lines, items(&listed));
    let csv = export("?format=csv&action=key.create").await;
    assert_eq!(csv.lines().count(), 4);
    assert!(csv.starts_with("auditId,at,actor,action,target,detail,address,requestId\r\n"));
    assert!(
        csv.contains("127.0.0.1") && csv.contains(r#"""name"":""b"""#),
        "{csv}"
    );
    let exports = app.get("/api/audit?action=audit.export").await.expect(200);
    assert_eq!(items(&exports).len(), 2);
}

#[tokio::test]
async fn the_database_takes_entries_and_lets_none_be_changed_or_removed() {
    let app = TestApp::start().await;
    make_keys(&app, &["a"]).await;
    for sql in [
        "update audit_log set actor = 'nobody'",
        "delete from audit_log",
        "truncate audit_log",
    ] {
        let error = sqlx::query(sql).execute(&app.pool).await.expect_err(sql);
        assert!(error.to_string().contains("only grows"), "{sql}: {error}");
    }
    assert_eq!(app.count("select count(*) from audit_log").await, 1);
}

#[tokio::test]
async fn entries_are_kept_for_ever_unless_retention_is_told_otherwise() {
    let app = TestApp::start().await;
    make_keys(&app, &["a", "b"]).await;
    let later = Utc::now() + TimeDelta::days(500);
    let stop = CancellationToken::new();
    purge(&app.pool, &Retention::default(), later, &stop).await;
    assert_eq!(app.count("select count(*) from audit_log").await, 2);
    let year = Retention {
        audit: Keep::Days(365),
        ..Retention::default()
    };
    let purged = purge(&app.pool, &year, Utc::now() + TimeDelta::days(300), &stop).await;
    assert_eq!((purged.audit_entries, purged.failed), (0, 0));
    let purged = purge(&app.pool, &year, later, &stop).await;
    assert_eq!((purged.audit_entries, purged.failed), (2, 0));
    // The leave was for that transaction only.
    make_keys(&app, &["c"]).await;
    sqlx::query("delete from audit_log")
        .execute(&app.pool)
        .await
        .expect_err("refused");
}

#[tokio::test]
async fn uses_and_refusals_become_one_entry_a_day_for_each_key_and_outcome() {
    let app = TestApp::start_with(ServerSettings {
        doors: Doors {
            write_uses_every: Duration::from_millis(50),
            ..Doors::default()
        },
        ..ServerSettings::default()
    })
    .await;
    let key = app.new_key(&[Permission::Read], None).await;
    let mut wrong = key.clone();
    wrong.replace_range(20..21, if &wrong[20..21] == "x" { "y" } else { "x" });
    for (key, times) in [(&key, 7), (&wrong, 9)] {
        for _ in 0..times {
            let request = app.request_as(key, reqwest::Method::GET, "/api/systems");
            request.send().await.expect("an answer");
        }
    }
    let key_id = TestApp::id_of(&key).to_owned();
    let counted = async |id: &str, outcome: &str| -> i64 {
        sqlx::query_scalar("select coalesce(sum(calls), 0)::bigint from key_use where key_id = $1 and outcome = $2")
            .bind(id)
            .bind(outcome)
            .fetch_one(&app.pool)
            .await
            .expect("counts")
    };
    until(async || counted(&key_id, "used").await == 7 && counted("", "wrong").await == 9).await;
    assert_eq!(
        app.count("select count(*) from audit_log where action like 'key.%'")
            .await,
        0
    );
    // Today becomes the day before yesterday.
    sqlx::query("update key_use set day = day - 2")
        .execute(&app.pool)
        .await
        .expect("time passes");
    until(async || {
        app.count("select count(*) from audit_log where action = 'key.refused'")
            .await
            > 0
    })
    .await;
    let used = app
        .get(&format!("/api/audit?action=key.used&target={key_id}"))
        .await
        .expect(200);
    let used = items(&used);
    assert_eq!(used.len(), 1);
    assert_eq!(used[0]["detail"]["calls"], 7);
    assert_eq!(used[0]["detail"]["most"], json!({"127.0.0.1": 7}));
    let refused = app.get("/api/audit?action=key.refused").await.expect(200);
    let refused = items(&refused);
    assert_eq!(refused.len(), 1, "not one for each guess");
    assert_eq!(
        (&refused[0]["actor"], &refused[0]["detail"]["calls"]),
        (&json!("nobody"), &json!(9))
    );
}

#[tokio::test]
async fn every_answer_names_its_request_and_nonsense_of_a_caller_is_not_repeated() {
    let app = TestApp::start().await;
    for (path, status) in [
        ("/health/live", 200),
        ("/api/systems", 401),
        ("/nowhere", 404),
    ] {
        for (sent, is_kept) in [
            (None, false),
            (Some("ticket-4711".to_owned()), true),
            (Some("x".repeat(129)), false),
            (Some("two words".to_owned()), false),
        ] {
            let mut request = Client::new().get(format!("{}{path}", app.base()));
            if let Some(sent) = &sent {
                request = request.header("x-request-id", sent);
            }
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status().as_u16(), status);
            let name = response.headers()["x-request-id"]
                .to_str()
                .expect("a text")
                .to_owned();
            assert_eq!(Some(&name) == sent.as_ref(), is_kept, "{sent:?} {name}");
            assert!(is_kept || uuid::Uuid::parse_str(&name).is_ok(), "{name}");
            if status != 200 {
                let problem: Value = response.json().await.expect("JSON");
                assert_eq!(problem["requestId"], name);
            }
        }
    }
}
