//! `cadastre attributes`, against a register that was crawled.

use std::process::Output;

use graph_sim::{SimOptions, TenantSpec};
use tokio::process::Command;

use crate::register::Register;

async fn attributes(register: &Register, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cadastre"))
        .arg("attributes")
        .args(arguments)
        .env("CADASTRE_API_BASE_URL", &register.base_url)
        .env("CADASTRE_API_KEY", &register.key)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the command runs")
}

async fn said(register: &Register, arguments: &[&str]) -> String {
    let output = attributes(register, arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The line about an attribute.
async fn listed(register: &Register, attribute: &str) -> String {
    let list = said(register, &["list", "--system", "1"]).await;
    let line = list.lines().find(|line| line.contains(attribute));
    line.unwrap_or_else(|| panic!("no {attribute} in\n{list}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_listed_promoted_and_demoted_by_name_and_fields_by_theirs() {
    let spec = TenantSpec::new(41, 60, 20, 10);
    let register = Register::start(&spec, SimOptions::default()).await;
    register.crawl().await;
    let before = listed(&register, "usageLocation").await;
    assert!(before.contains("string"), "{before}");

    let promoted = said(&register, &["promote", "usageLocation"]).await;
    assert!(promoted.contains("attr_text_1"), "{promoted}");
    let after = listed(&register, "usageLocation").await;
    assert!(after.contains("text, "), "{after}");

    let other = attributes(&register, &["promote", "--type", "number", "usageLocation"]).await;
    assert!(!other.status.success(), "{other:?}");
    let demoted = said(&register, &["demote", "usageLocation"]).await;
    assert!(demoted.contains("keeps its values"), "{demoted}");
    let again = attributes(&register, &["demote", "usageLocation"]).await;
    assert!(!again.status.success(), "{again:?}");

    let created = ["--field", "createdDateTime"];
    let promoted = said(&register, &["promote", created[0], created[1]]).await;
    assert!(promoted.contains("gets an index"), "{promoted}");
    let demoted = said(&register, &["demote", created[0], created[1]]).await;
    assert!(demoted.contains("the index goes"), "{demoted}");
    for wrong in [
        &["promote"][..],
        &["promote", "a", created[0], created[1]],
        &["promote", "--type", "text", created[0], created[1]],
        &["promote", created[0], "displayName"],
        &["demote", created[0], "usageLocation"],
    ] {
        let refused = attributes(&register, wrong).await;
        assert!(!refused.status.success(), "{refused:?}");
    }
}
