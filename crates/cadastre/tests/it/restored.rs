//! Last night's dump in a fresh cluster goes on as the register of before (F30).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use contract::{
    RunOutcome,
    crawler::{LeasedSecret, SecretField},
};
use embedded_postgres::{Server, Settings};
use graph_sim::{SimOptions, TenantSpec};
use ingest_api::{
    DatabaseSettings, connect, crawler, migrate,
    secret::{KeyBytes, Keyring, LocalKey, unlock},
};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::register::Register;

/// A program of PostgreSQL beside the server's.
fn program(name: &str) -> PathBuf {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok());
    let mut folders: Vec<PathBuf> = told.into_iter().map(|text| text.trim().into()).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))));
    }
    let found = folders.into_iter().map(|folder| folder.join(name));
    let mut found = found.filter(|path| path.is_file());
    found.next().unwrap_or_else(|| PathBuf::from(name))
}

fn run(name: &str, arguments: &[&str]) {
    let output = Command::new(program(name)).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A crawler with a secret; answers its id.
async fn crawler_with(register: &Register, secret: &str) -> Uuid {
    let made: Value = register
        .post(
            "/api/crawlers",
            &json!({"name": "tenant", "secrets": {"clientSecret": secret}, "settings": {"graph": {
                "tenantId": register.simulator.tenant_id(), "clientId": register.simulator.client_id()}}}),
        )
        .await;
    let id = made["crawlerId"].as_str().expect("an id");
    id.parse().expect("an id")
}

/// Who was under way in a register that is lost asks the one of last night: its run and its load are unknown there.
async fn assert_strangers_are_refused(register: &Register, run_id: Uuid, sync_id: &str) {
    let http = reqwest::Client::new();
    let base = &register.base_url;
    let checkpoint = json!({"epoch": 1, "entries": [{"stream": "users", "key": "", "value": 1}]});
    for request in [
        http.post(format!("{base}/api/ingest/sessions/{sync_id}/commit"))
            .json(&json!({"batches": 0, "complete": true})),
        http.put(format!("{base}/api/ingest/runs/{run_id}/checkpoint"))
            .json(&checkpoint),
    ] {
        let answer = request.bearer_auth(&register.key).send().await;
        let answer = answer.expect("an answer");
        let refused = [StatusCode::NOT_FOUND, StatusCode::CONFLICT];
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(refused.contains(&status), "{status}: {text}");
    }
}

fn opened(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // The account that PostgreSQL runs as must be able to come here.
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, mode).expect("opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_in_a_fresh_cluster_boots_and_the_next_crawl_leads_to_the_truth() {
    let spec = TenantSpec::new(41, 120, 30, 20);
    let mut register = Register::start(&spec, SimOptions::default()).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    register.assert_equals_truth().await;
    unlock(&register.pool, &register.keyring)
        .await
        .expect("a new key");
    let canary = format!("CANARY{}", Uuid::new_v4().simple());
    let crawler_id = crawler_with(&register, &canary).await;

    let place = tempfile::tempdir().expect("a folder");
    opened(place.path());
    let dump = place.path().join("register.dump").display().to_string();
    run(
        "pg_dump",
        &[
            "--format=custom",
            "--no-owner",
            "--file",
            &dump,
            register.database_url(),
        ],
    );
    let plain = place.path().join("register.sql").display().to_string();
    run("pg_restore", &["--file", &plain, &dump]);
    let plain = std::fs::read_to_string(&plain).expect("the dump as text");
    assert!(
        plain.contains("run_reports") && !plain.contains(&canary) && !plain.contains(&register.key),
        "a dump holds no secret and no key"
    );
    let rows_then = register.live_rows().await;

    // The day goes on: people leave, and the register that is lost saw it. They are few enough to be believed.
    let gone: Vec<_> = register.simulator.with_tenant(|tenant| {
        let has_granted = |id: &Uuid| {
            let mut grants = tenant.app_access.grants.values();
            grants.any(|grant| grant.principal_id == Some(*id))
        };
        let users = tenant.users.keys().copied();
        let ids: Vec<_> = users.filter(|id| !has_granted(id)).take(2).collect();
        tenant.remove_objects(ids.iter().copied());
        ids
    });
    let seen = register.crawl().await;
    assert_eq!(seen.outcome, RunOutcome::Complete, "{seen:#?}");
    let (run_id, system_id) = (Uuid::new_v4(), seen.system_id.expect("a system"));
    let _: Value = register
        .post(
            &format!("/api/ingest/runs/{run_id}/claim"),
            &json!({"systemId": system_id}),
        )
        .await;
    let session: Value = register
        .post(
            "/api/ingest/sessions",
            &json!({"entity": "contexts", "systemId": system_id, "syncMode": "full", "runId": run_id,
                "scope": {"contextType": "Nobody"}}),
        )
        .await;
    let sync_id = session["syncId"].as_str().expect("an id").to_owned();

    let server = Server::start(Settings::new(place.path().join("postgres"))).await;
    let server = server.expect("a fresh cluster");
    let url = server.url();
    run(
        "pg_restore",
        &[
            "--no-owner",
            "--exit-on-error",
            "--dbname",
            url.expose_secret(),
            &dump,
        ],
    );
    migrate(&url).await.expect("the schema is up to date");
    let settings = DatabaseSettings {
        url: url.clone(),
        max_connections: 8,
        allow_not_durable: false,
    };
    let pool = connect(&settings).await.expect("connects");
    let wrong = Keyring::new("test", std::sync::Arc::new(LocalKey(KeyBytes::random())));
    assert!(
        unlock(&pool, &wrong).await.is_err(),
        "another key does not start a server"
    );
    unlock(&pool, &register.keyring)
        .await
        .expect("the same key opens");
    let mut connection = pool.acquire().await.expect("a connection");
    let leased = crawler::leased(&mut connection, &register.keyring, 1, crawler_id).await;
    drop(connection);
    let leased = leased.expect("opened").expect("the crawler");
    let secret = &leased.secrets[&SecretField::ClientSecret];
    assert!(matches!(secret, LeasedSecret::Value(text) if text.expose() == canary));

    register.serve_from(pool).await;
    assert_strangers_are_refused(&register, run_id, &sync_id).await;
    assert!(
        register.live_rows().await == rows_then,
        "nothing happens by itself"
    );

    // The same key, the same configuration.
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert!(
        register.held().await.is_empty(),
        "nothing looks like a mass removal"
    );
    register.assert_equals_truth().await;
    let removed = register.removed().await;
    for id in &gone {
        let of_user = ("principals", id.to_string());
        assert!(removed.contains(&of_user), "{id}");
    }
    let users = removed
        .iter()
        .filter(|(table, _)| *table == "principals")
        .count();
    assert_eq!(users, gone.len(), "and nobody else");
    // The views come to rest: what the lost cluster noted of its transactions does not make them stale for ever.
    let mut rounds = 0;
    while views::refresh_status(&register.pool)
        .await
        .expect("told")
        .iter()
        .any(|view| view.is_stale)
    {
        rounds += 1;
        assert!(rounds < 600, "the views stay stale");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
    server.stop().await.expect("stops");
}
