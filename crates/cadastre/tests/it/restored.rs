//! Last night's dump in a fresh cluster goes on as the register of before (F30).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use contract::RunOutcome;
use embedded_postgres::{Server, Settings};
use graph_sim::{SimOptions, TenantSpec};
use ingest_api::{DatabaseSettings, connect, migrate};
use secrecy::ExposeSecret as _;

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

    // Some more transactions, so that the dump knows numbers that the fresh cluster has not come to yet.
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
    let rows_then = register.live_rows().await;

    // The day goes on: people leave, and the register that is lost saw it.
    let gone: Vec<_> = register.simulator.with_tenant(|tenant| {
        let ids: Vec<_> = tenant.users.keys().copied().take(3).collect();
        tenant.remove_objects(ids.iter().copied());
        ids
    });
    register.crawl().await;
    register.approve_all().await;

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
    register.serve_from(pool).await;
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
    let state: serde_json::Value = register.get("/api/views").await;
    assert!(state.to_string().contains("\"items\""), "{state}");
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
