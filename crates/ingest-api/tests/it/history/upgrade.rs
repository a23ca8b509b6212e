//! A register from before the history had columns of its own keeps its past.

use contract::Permission;
use embedded_postgres::testing::copy_of;
use ingest_api::{
    AppState, DatabaseSettings, MIGRATIONS,
    auth::{NewKey, create_key},
    connect, migrate, router,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, migrate::Migrator};
use tokio::net::TcpListener;

use crate::app::id;

/// The register as it was: everything up to the version before, with a past as servers of then wrote it. A row that was
/// changed and removed, one that lives, an assignment whose scope holds the sign between the parts of a key, a system.
const PAST: &str = r#"
insert into systems (workspace_id, system_key, system_type, display_name, content_hash, first_seen_at, valid_from, sync_id)
    values (1, 'Test', 'Test', 'Renamed', '', '2026-01-01', '2026-02-01', '10000000-0000-4000-8000-0000000000a2');
insert into principals (system_id, id, principal_type, display_name, content_hash, first_seen_at, valid_from, sync_id)
    values (1, '10000000-0000-4000-8000-000000000002', 'User', 'Bo', '', '2026-01-05', '2026-02-05', '10000000-0000-4000-8000-0000000000a2');
insert into history (system_id, entity, row_key, row_id, valid_from, valid_to, operation, began_by, ended_by, image) values
    (1, 'systems', '1', 1, '2026-01-01', '2026-02-01', 'update', '10000000-0000-4000-8000-0000000000a1',
     '10000000-0000-4000-8000-0000000000a2', '{"displayName": "First", "extendedAttributes": {}}'),
    (1, 'principals', '10000000-0000-4000-8000-000000000002', 1, '2026-01-05', '2026-02-05', 'update',
     '10000000-0000-4000-8000-0000000000a1', '10000000-0000-4000-8000-0000000000a2',
     '{"principalType": "User", "displayName": "Bob", "accountEnabled": true, "createdDateTime": "2020-01-01T00:00:00+00:00",
       "managerId": "10000000-0000-4000-8000-000000000009", "extendedAttributes": {"shoe": {"size": [38, null]}}}'),
    (1, 'principals', '10000000-0000-4000-8000-000000000003', 9, '2026-01-05', '2026-02-06', 'update',
     '10000000-0000-4000-8000-0000000000a1', '10000000-0000-4000-8000-0000000000a2',
     '{"principalType": "User", "displayName": "Cy", "extendedAttributes": {}}'),
    (1, 'principals', '10000000-0000-4000-8000-000000000003', 9, '2026-02-06', '2026-03-07', 'delete',
     '10000000-0000-4000-8000-0000000000a2', '10000000-0000-4000-8000-0000000000a3',
     '{"principalType": "User", "displayName": "Cyd", "extendedAttributes": {}}'),
    (1, 'resource-assignments',
     '10000000-0000-4000-8000-000000000007|10000000-0000-4000-8000-000000000003|Direct|/units/a|b', 3, '2026-01-05', '2026-03-08',
     'delete', '10000000-0000-4000-8000-0000000000a1', '10000000-0000-4000-8000-0000000000a3',
     '{"state": "Active", "extendedAttributes": {"note": "x"}}');
"#;

const BEFORE: i64 = 4;

#[tokio::test]
async fn a_register_that_is_upgraded_keeps_every_version_and_tells_it_as_before() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let database = copy_of("register_at_0004", async |url| {
        let mut connection = PgConnection::connect(url).await.expect("connects");
        let mut migrator = Migrator {
            ..Migrator::DEFAULT
        };
        let up_to = MIGRATIONS.migrations.iter();
        migrator.migrations = up_to
            .filter(|migration| migration.version <= BEFORE)
            .cloned()
            .collect();
        migrator.run(&mut connection).await.expect("migrates");
    })
    .await;
    let mut connection = PgConnection::connect(database.url())
        .await
        .expect("connects");
    sqlx::raw_sql(PAST)
        .execute(&mut connection)
        .await
        .expect("a past");
    // A system's version now also says what it is, which never changes.
    let versions = "select coalesce(jsonb_agg(to_jsonb(h) - 'history_id' || case when entity = 'systems' \
        then jsonb_build_object('image', image || '{\"systemType\": \"Test\"}') else '{}' end \
        order by entity, row_key, valid_from), '[]') from history h";
    let before: Value = sqlx::query_scalar(versions)
        .fetch_one(&mut connection)
        .await
        .expect("versions");
    assert_eq!(before.as_array().map(Vec::len), Some(5));

    migrate(&database.url().to_owned().into())
        .await
        .expect("migrates");
    let after: Value = sqlx::query_scalar(versions)
        .fetch_one(&mut connection)
        .await
        .expect("versions");
    assert_eq!(after, before);
    let months: Vec<String> = sqlx::query_scalar(
        "select distinct tableoid::regclass::text from history_principals order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .expect("months");
    assert_eq!(
        months,
        ["history_principals_2026_02", "history_principals_2026_03"],
        "so that retention can drop them by month"
    );
    told_by_the_api(database.url()).await;
}

/// The loads of these versions are unknown; the versions are told all the same.
async fn told_by_the_api(url: &str) {
    let settings = DatabaseSettings {
        url: url.to_owned().into(),
        max_connections: 4,
        allow_not_durable: true,
    };
    let pool = connect(&settings).await.expect("connects");
    let new = NewKey {
        workspace_id: 1,
        name: "test".into(),
        permissions: vec![Permission::Read],
        system_ids: None,
        expires_at: None,
        created_by: "test".into(),
    };
    let mut connection = pool.acquire().await.expect("a connection");
    let (key, _) = create_key(&mut connection, &new).await.expect("a key");
    drop(connection);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let router = router(AppState::new(pool.clone()));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let get = async |path: String| -> Value {
        let request = reqwest::Client::new()
            .get(format!("{base}/api/history/{path}"))
            .bearer_auth(key.key.expose_secret());
        let answer = request.send().await.expect("an answer");
        serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON")
    };
    let told = get(format!("principals?systemId=1&id={}", id(3))).await;
    let shown: Vec<Value> = (told["items"].as_array().expect("a list").iter())
        .map(|item| {
            json!([
                item["values"]["displayName"],
                item["beganAs"],
                item["endedAs"],
                item["until"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!(["Cyd", "changed", "removed", "2026-03-07T00:00:00Z"]),
            json!(["Cy", "added", "changed", "2026-02-06T00:00:00Z"]),
        ]
    );
    let told = get(format!(
        "resource-assignments?systemId=1&principalId={}",
        id(3)
    ))
    .await;
    assert_eq!(told["items"][0]["key"]["roleScope"], "/units/a|b");
    let told =
        get("systems/diff?systemId=1&from=2026-01-15T00:00:00Z&to=2026-02-15T00:00:00Z".to_owned())
            .await;
    assert_eq!(
        told["items"][0]["differences"],
        json!([{"field": "/displayName", "before": "First", "after": "Renamed"}])
    );
    server.abort();
    pool.close().await;
}
