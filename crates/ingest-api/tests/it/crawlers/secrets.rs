//! A secret is found nowhere but in a lease, and opens nowhere but at its place.

use std::path::{Path, PathBuf};

use contract::crawler::SecretField;
use ingest_api::{crawler::CrawlerError, openapi::document};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{client_secret, configuration, create, lease, path};
use crate::app::TestApp;

/// Files below a folder that hold a text. Files that PostgreSQL removes meanwhile hold nothing.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
            found.extend(files_with(&path, text));
        } else if kind.is_ok_and(|kind| kind.is_file())
            && let Ok(bytes) = std::fs::read(&path)
            && memchr::memmem::find(&bytes, text.as_bytes()).is_some()
        {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn after_a_checkpoint_no_file_of_the_database_and_no_row_holds_a_secret() {
    let app = TestApp::start().await;
    let canary = format!("CANARY{}", Uuid::new_v4().simple());
    let marker = format!("MARKER{}", Uuid::new_v4().simple());
    let id = create(&app, &configuration(&marker, &canary)).await;
    let body = json!({"version": 1, "secrets": {"certificatePassword": canary, "proxy": format!("http://u:{canary}@proxy:1")}});
    app.patch(&path(id), &body).await.expect(200);
    // Refused ones are kept nowhere either, and the lease leaves nothing behind.
    app.patch(
        &path(id),
        &json!({"version": 1, "secrets": {"clientSecret": canary}}),
    )
    .await
    .expect(409);
    app.patch(
        &path(id),
        &json!({"version": 2, "secrets": {"other": canary}}),
    )
    .await
    .expect(400);
    assert_eq!(client_secret(&app, id).await, canary);
    let mut admin = PgConnection::connect(app.admin_url())
        .await
        .expect("connects");
    sqlx::query("checkpoint")
        .execute(&mut admin)
        .await
        .expect("a checkpoint");
    let folder: String = sqlx::query_scalar("show data_directory")
        .fetch_one(&mut admin)
        .await
        .expect("a folder");
    let folder = Path::new(&folder);
    assert_ne!(
        files_with(folder, &marker),
        Vec::<PathBuf>::new(),
        "the search finds what is there"
    );
    assert_eq!(files_with(folder, &canary), Vec::<PathBuf>::new());
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
            .fetch_all(&app.pool)
            .await
            .expect("tables");
    let mut markers = 0;
    for table in tables {
        for (text, is_there) in [(&canary, false), (&marker, true)] {
            let sql = format!("select count(*) from {table} t where t::text like '%' || $1 || '%'");
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(text)
                .fetch_one(&app.pool)
                .await
                .expect("rows");
            assert!(is_there || rows == 0, "{table}");
            markers += rows;
        }
    }
    assert!(markers > 0, "the search finds what is there");
}

#[tokio::test]
async fn no_answer_and_no_audit_entry_holds_a_secret() {
    let app = TestApp::start().await;
    let id = create(&app, &configuration("Contoso", "CANARY")).await;
    let one = path(id);
    let mut answers = Vec::new();
    for path in [
        one.clone(),
        "/api/crawlers".into(),
        format!("{one}/export"),
        format!("{one}/versions"),
    ] {
        answers.push(app.get(&path).await.expect(200));
    }
    let shown = app.get(&one).await.expect(200);
    let state = shown["secrets"]["clientSecret"]
        .as_object()
        .expect("a state");
    let known: Vec<&String> = state.keys().collect();
    assert_eq!(known, ["fingerprint", "hasSecret", "setAt"]);
    for mask in ["****", "••••••", "[REDACTED]"] {
        let body = json!({"version": 1, "secrets": {"clientSecret": mask}});
        answers.push(app.patch(&one, &body).await.expect(400));
    }
    let body = json!({"version": 1, "name": "Renamed"});
    answers.push(app.patch(&one, &body).await.expect(200));
    assert_eq!(client_secret(&app, id).await, "CANARY");
    let body = json!({"version": 2, "enabled": false, "secrets": {"clientSecret": null}});
    let cleared = app.patch(&one, &body).await.expect(200);
    assert_eq!(cleared["secrets"], json!({}));
    assert_eq!(app.count("select count(*) from secrets").await, 0);
    app.delete(&one).await.expect(204);
    let audit: Vec<String> =
        sqlx::query_scalar("select action || ' ' || detail::text from audit_log order by audit_id")
            .fetch_all(&app.pool)
            .await
            .expect("entries");
    let actions: Vec<&str> = audit
        .iter()
        .filter_map(|entry| entry.split(' ').next())
        .collect();
    assert_eq!(
        actions,
        [
            "crawler.create",
            "crawler.update",
            "secret.open",
            "crawler.update",
            "crawler.delete"
        ]
    );
    assert!(
        audit[0].contains(r#""secretsSet": ["clientSecret"]"#),
        "{}",
        audit[0]
    );
    assert!(
        audit[3].contains(r#""secretsCleared": ["clientSecret"]"#),
        "{}",
        audit[3]
    );
    for text in answers.iter().map(ToString::to_string).chain(audit) {
        assert!(!text.contains("CANARY"), "{text}");
    }
    assert!(document()["paths"]["/api/crawlers/{crawlerId}"].is_object());
}

/// Ways to tamper with the secrets of crawler `$1`, with another crawler `$2` at hand.
const TAMPERING: [&str; 10] = [
    // Of another crawler.
    "update secrets s set ciphertext = o.ciphertext, wrapped_key = o.wrapped_key from secrets o \
         where s.crawler_id = $1 and o.crawler_id = $2 and s.field = o.field",
    "update secrets s set ciphertext = o.ciphertext from secrets o \
         where s.crawler_id = $1 and o.crawler_id = $2 and s.field = o.field",
    // Of another field.
    "update secrets s set ciphertext = o.ciphertext, wrapped_key = o.wrapped_key, version = o.version from secrets o \
         where s.crawler_id = $1 and o.crawler_id = $1 and s.field <> o.field and $2::uuid is not null",
    // Of an earlier version: its parts, and the whole row.
    "update secrets s set ciphertext = o.ciphertext, wrapped_key = o.wrapped_key from before o \
         where s.crawler_id = $1 and s.field = o.field and s.field = 'clientSecret' and $2::uuid is not null",
    "update secrets s set ciphertext = o.ciphertext, wrapped_key = o.wrapped_key, version = o.version from before o \
         where s.crawler_id = $1 and s.field = o.field and s.field = 'clientSecret' and $2::uuid is not null",
    // One bit.
    "update secrets set ciphertext = set_bit(ciphertext, 8 * (octet_length(ciphertext) / 2), \
         1 - get_bit(ciphertext, 8 * (octet_length(ciphertext) / 2))) where crawler_id = $1 and $2::uuid is not null",
    "update secrets set wrapped_key = set_bit(wrapped_key, 3, 1 - get_bit(wrapped_key, 3)) where crawler_id = $1 and $2::uuid is not null",
    "update secrets set ciphertext = substr(ciphertext, 1, 5) where crawler_id = $1 and $2::uuid is not null",
    "update secrets set key_id = 'another' where crawler_id = $1 and $2::uuid is not null",
    // Gone.
    "delete from secrets where crawler_id = $1 and $2::uuid is not null",
];

/// One statement that tampers with the secrets of crawler `$1`, with another crawler `$2` at hand.
async fn tamper(app: &TestApp, sql: &'static str, id: Uuid, other: Uuid) {
    let done = sqlx::query(sql)
        .bind(id)
        .bind(other)
        .execute(&app.pool)
        .await
        .expect(sql);
    assert!(done.rows_affected() > 0, "{sql}");
}

#[tokio::test]
async fn a_ciphertext_that_was_moved_changed_or_put_back_fails_closed_until_the_secret_is_set_again()
 {
    let app = TestApp::start().await;
    let mut other = configuration("Other", "other secret");
    other["secrets"]["certificatePassword"] = json!("other password");
    let other = create(&app, &other).await;
    let id = create(&app, &configuration("Contoso", "secret 0")).await;
    let body = json!({"version": 1, "secrets": {"certificatePassword": "password"}});
    app.patch(&path(id), &body).await.expect(200);
    sqlx::query("create table before as select * from secrets where crawler_id = $1")
        .bind(id)
        .execute(&app.pool)
        .await
        .expect("a copy of today's rows");
    for (version, sql) in (2..).zip(TAMPERING) {
        let text = format!("secret {version}");
        let body = json!({"version": version, "secrets": {"clientSecret": text, "certificatePassword": format!("password {version}")}});
        let shown = app.patch(&path(id), &body).await.expect(200);
        assert_eq!(shown["state"], "ready", "{sql}");
        assert_eq!(client_secret(&app, id).await, text);
        tamper(&app, sql, id, other).await;
        let refused = lease(&app, id).await;
        assert!(matches!(refused, Err(CrawlerError::Secret { .. })), "{sql}");
        let shown = app.get(&path(id)).await.expect(200);
        assert_eq!(shown["state"], "secretError", "{sql}");
        assert!(
            shown["stateReason"]
                .as_str()
                .expect("a reason")
                .contains("secret")
        );
    }
    assert_eq!(client_secret(&app, other).await, "other secret");
    // Moved as a whole to another workspace.
    let workspace: i32 =
        sqlx::query_scalar("insert into workspaces (name) values ('other') returning workspace_id")
            .fetch_one(&app.pool)
            .await
            .expect("a workspace");
    for sql in [
        "update crawlers set workspace_id = $2 where crawler_id = $1",
        "update secrets set workspace_id = $2 where crawler_id = $1",
    ] {
        sqlx::query(sql)
            .bind(other)
            .bind(workspace)
            .execute(&app.pool)
            .await
            .expect(sql);
    }
    assert!(lease(&app, other).await.expect("no error").is_none());
    let mut connection = app.pool.acquire().await.expect("a connection");
    let moved = ingest_api::crawler::leased(&mut connection, &app.keyring, workspace, other).await;
    assert!(matches!(
        moved,
        Err(CrawlerError::Secret {
            field: SecretField::ClientSecret,
            ..
        })
    ));
}

#[tokio::test]
async fn a_secret_that_can_be_opened_again_is_no_error_any_more() {
    let app = TestApp::start().await;
    let id = create(&app, &configuration("Contoso", "CANARY")).await;
    let none = super::lease_with(&app, &ingest_api::secret::Keyring::none(), id).await;
    assert!(none.is_err());
    assert_eq!(app.get(&path(id)).await.expect(200)["state"], "secretError");
    assert_eq!(client_secret(&app, id).await, "CANARY");
    assert_eq!(app.get(&path(id)).await.expect(200)["state"], "ready");
}
