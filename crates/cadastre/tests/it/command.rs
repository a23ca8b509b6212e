//! The crawler's own command.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::SystemTime,
};

use contract::RunReport;
use serde_json::json;
use tokio::{process::Command, sync::OnceCell};

use crate::{oracle, register::Register};

impl Register {
    /// Crawls everything with the command; the report is what it prints, the code its exit code.
    pub async fn crawl_by_command(&self) -> (RunReport, i32) {
        let output = self.crawler(&["--progress", "json"]).await;
        let printed = String::from_utf8_lossy(&output.stdout);
        let last = printed.lines().last().unwrap_or_default();
        let report = serde_json::from_str(last).unwrap_or_else(|error| {
            let complaints = String::from_utf8_lossy(&output.stderr);
            panic!("no report ({error}) in\n{printed}\n{complaints}")
        });
        (report, output.status.code().expect("it was not killed"))
    }

    /// Runs the crawler's command for everything, with further arguments.
    pub async fn crawler(&self, arguments: &[&str]) -> Output {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("crawler.json");
        let simulator = &self.simulator;
        let config = json!({
            "Graph": {
                "TenantId": simulator.tenant_id(),
                "ClientId": simulator.client_id(),
                "ClientSecret": simulator.client_secret(),
                "BaseUrl": simulator.base_url(),
                "LoginBaseUrl": simulator.base_url(),
            },
            "Mode": "full",
            // The tenant's days do not go by as ours do.
            "RequestWindowDays": 36_500,
            "Sync": {"ServicePrincipals": true, "Pim": true, "Governance": true},
            "IdentityFilter": oracle::identity_filter(),
        });
        std::fs::write(&file, config.to_string()).expect("writes");
        Command::new(crawler_command().await)
            .arg("--config-file")
            .arg(&file)
            .args(arguments)
            .env("CADASTRE_API_BASE_URL", &self.base_url)
            .env("CADASTRE_API_KEY", &self.key)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("the crawler's command runs")
    }
}

/// The crawler's command.
async fn crawler_command() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let crates = ["crawler-entra", "ingest-client", "contract"];
    let built = BUILT.get_or_init(|| built("crawler-entra", &crates));
    built.await.clone()
}

/// The worker's command.
pub async fn worker_command() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let crates = ["worker", "crawler-entra", "ingest-client", "contract"];
    let built = BUILT.get_or_init(|| built("cadastre-worker", &crates));
    built.await.clone()
}

/// A command beside the test's own executable; built from the first of these crates when it is missing or older than their
/// sources, because `cargo test -p cadastre` alone does not build it.
async fn built(name: &str, crates: &[&str]) -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let folder = test.ancestors().nth(2).expect("target/<profile>/deps/…");
    let command = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let built = std::fs::metadata(&command).and_then(|found| found.modified());
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let newest = crates
        .iter()
        .filter_map(|name| newest_in(&sources.join(name).join("src")))
        .max();
    if built.is_ok_and(|built| newest.is_none_or(|newest| newest <= built)) {
        return command;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = folder.parent().expect("the target folder");
    let mut build = Command::new(cargo);
    build
        .args(["build", "--offline", "-p", crates[0], "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo told this test about its own package is news to build scripts, which would build everything anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&name);
        }
    }
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().await.expect("cargo runs");
    assert!(
        status.success() && command.is_file(),
        "building {}",
        command.display()
    );
    command
}

/// When a file of a folder was last written.
fn newest_in(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let written = entries.filter_map(|entry| match entry.file_type().ok()? {
        kind if kind.is_dir() => newest_in(&entry.path()),
        _ => entry.metadata().ok()?.modified().ok(),
    });
    written.max()
}
