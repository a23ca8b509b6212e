//! `cadastre runs`, against a register without workers.

use std::process::Output;

use contract::{Crawler, Permission};
use graph_sim::{SimOptions, TenantSpec};
use serde_json::json;
use tokio::process::Command;
use uuid::Uuid;

use crate::register::{Register, new_key};

async fn runs(register: &Register, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cadastre"))
        .arg("runs")
        .args(arguments)
        .env("CADASTRE_API_BASE_URL", &register.base_url)
        .env("CADASTRE_API_KEY", &register.key)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the command runs")
}

async fn said(register: &Register, arguments: &[&str]) -> String {
    let output = runs(register, arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_listed_shown_cancelled_and_its_log_followed_to_its_end() {
    let spec = TenantSpec::new(47, 10, 5, 5);
    let mut register = Register::start(&spec, SimOptions::default()).await;
    register.key = new_key(&register.pool, &[Permission::Admin]).await;
    let graph = json!({"tenantId": "contoso.example", "clientId": Uuid::new_v4()});
    let crawler = json!({
        "name": "tenant", "settings": {"graph": graph}, "secrets": {"clientSecret": "env:CADASTRE_SECRET_TENANT"},
    });
    let crawler: Crawler = register.post("/api/crawlers", &crawler).await;
    let crawler = crawler.crawler_id;
    let started = said(
        &register,
        &["start", &crawler.to_string(), "--mode", "full"],
    )
    .await;
    let job = started.lines().next().expect("the job").to_owned();
    let listed = said(&register, &["list", "--state", "queued"]).await;
    assert!(listed.contains(&job) && listed.contains("full"), "{listed}");
    let cancelled = said(&register, &["cancel", &job]).await;
    assert!(cancelled.contains("It is cancelled"), "{cancelled}");
    let shown = said(&register, &["show", &job]).await;
    assert!(
        shown.contains("cancelled") && shown.contains("0 of 5"),
        "{shown}"
    );
    let log = said(&register, &["logs", "-f", &job]).await;
    assert!(
        log.contains("job.create") && log.contains("job.cancel"),
        "{log}"
    );
    let again = runs(&register, &["cancel", &job]).await;
    assert!(!again.status.success(), "{again:?}");
}
