//! `crawler-entra check`: exit codes and output.

use std::{collections::BTreeMap, process::Output};

use serde_json::Value;
use tokio::process::Command;

use super::{EVERYTHING, granted};
use crate::support::fake_graph::{Answers, CLIENT_ID, FakeGraph, TENANT};

async fn run(graph: &str, flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    let config = serde_json::json!({"Graph": {
        "TenantId": TENANT, "ClientId": CLIENT_ID, "ClientSecret": "CANARY_secret",
        "BaseUrl": graph, "LoginBaseUrl": graph,
    }});
    std::fs::write(&file, config.to_string()).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_crawler-entra"))
        .env_clear()
        .args(["check", "--config-file"])
        .arg(&file)
        .args(flags)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the command runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn the_exit_code_says_whether_all_that_is_selected_can_be_read() {
    let denied = BTreeMap::from([("groups", (403, "Authorization_RequestDenied"))]);
    let broken = BTreeMap::from([("groups", (501, "NotImplemented"))]);
    for (roles, refusals, flags, code, said) in [
        (EVERYTHING, BTreeMap::new(), &[][..], 0, "Ready"),
        (
            &["User.Read.All"],
            denied.clone(),
            &[],
            2,
            "GroupMember.Read.All",
        ),
        (EVERYTHING, broken, &[], 2, "not in this cloud"),
        (
            EVERYTHING,
            denied,
            &["--sync-resources=false", "--sync-assignments=false"],
            0,
            "not selected",
        ),
    ] {
        let graph = FakeGraph::start(Answers {
            refusals,
            ..granted(roles)
        })
        .await;
        let output = run(&graph.address, flags).await;
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(said), "{said} in {}", text(&output));
        assert!(!text(&output).contains("CANARY"), "{}", text(&output));
        assert!(
            !text(&output).contains('\u{1b}'),
            "a name moves the terminal"
        );
    }
}

#[tokio::test]
async fn a_sign_in_that_fails_exits_with_1_and_wrong_usage_with_2() {
    let output = run("http://127.0.0.1:1", &["--proxy", "CANARY"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(!text(&output).contains("CANARY"), "{}", text(&output));

    let simulator = crate::support::Bench::start(crate::support::unlimited()).await;
    let output = run(&simulator.simulator.base_url(), &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("AADSTS90002"), "{}", text(&output));
    simulator.stop().await;
}

#[tokio::test]
async fn json_is_for_programs() {
    let graph = FakeGraph::start(granted(EVERYTHING)).await;
    let output = run(&graph.address, &["--json", "--sync-pim"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["outcome"], "ready");
    assert_eq!(report["method"], "secret");
    let features = report["features"].as_array().expect("features");
    assert_eq!(features.len(), crawler_entra::check::REQUIREMENTS.len());
    let eligible = features.iter().find(|f| f["feature"] == "groupEligibility");
    let eligible = eligible.expect("in the report");
    assert_eq!(
        eligible["grantedBy"][0],
        "PrivilegedAccess.Read.AzureADGroup"
    );
    assert_eq!(
        eligible["licence"],
        "Microsoft Entra ID P2 or ID Governance"
    );
    assert_eq!(eligible["isSelected"], true);
}
