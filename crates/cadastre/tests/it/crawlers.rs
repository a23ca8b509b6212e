//! `cadastre crawlers` and `cadastre workers`, against a register and, for looks, a real worker.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use contract::{Crawler, IdentityPreview, JobResult, Permission, crawler::CrawlerPage};
use graph_sim::{SimOptions, TenantSpec};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};
use uuid::Uuid;

use crate::{
    oracle,
    processes::{Process, claiming, last_words},
    register::{Register, new_key},
};

async fn cadastre(register: &Register, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cadastre"))
        .args(arguments)
        .env("CADASTRE_API_BASE_URL", &register.base_url)
        .env("CADASTRE_API_KEY", &register.key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the command runs");
    let mut stdin = child.stdin.take().expect("an input");
    // One that refuses its flags does not read.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.expect("it ends")
}

async fn said(register: &Register, arguments: &[&str], input: &str) -> String {
    let output = cadastre(register, arguments, input).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What it said about why it did not.
async fn refused(register: &Register, arguments: &[&str], input: &str) -> String {
    let output = cadastre(register, arguments, input).await;
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    let (out, error) = (output.stdout, output.stderr);
    String::from_utf8_lossy(&[out, error].concat()).into_owned()
}

fn write(file: &Path, value: &Value) -> String {
    std::fs::write(file, value.to_string()).expect("written");
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawler_is_made_shown_replaced_taken_elsewhere_and_removed() {
    let spec = TenantSpec::new(47, 10, 5, 5);
    let mut register = Register::start(&spec, SimOptions::default()).await;
    register.key = new_key(&register.pool, &[Permission::Admin]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let graph = json!({"tenantId": "contoso.example", "clientId": Uuid::new_v4()});
    let wanted = json!({
        "name": "tenant", "settings": {"graph": graph}, "secrets": {"clientSecret": "env:CADASTRE_SECRET_TENANT"},
    });
    let file = write(&folder.path().join("new.json"), &wanted);
    let made = said(&register, &["crawlers", "create", &file], "").await;
    assert!(made.contains("'tenant', version 1, switched on"), "{made}");
    let listed = said(&register, &["crawlers", "list"], "").await;
    assert!(
        listed.contains("tenant") && listed.contains("ready"),
        "{listed}"
    );

    let asked = said(&register, &["runs", "start", "tenant"], "").await;
    assert!(asked.contains("It waits for a worker"), "{asked}");
    let queued = said(&register, &["runs", "list", "--crawler", "tenant"], "").await;
    assert!(queued.contains("tenant"), "{queued}");
    let nobody = refused(&register, &["runs", "start", "nobody"], "").await;
    assert!(nobody.contains("no crawler called 'nobody'"), "{nobody}");

    // What is shown can be edited and given back.
    let shown = said(&register, &["crawlers", "show", "tenant"], "").await;
    let mut edited: Value = serde_json::from_str(&shown).expect("JSON");
    edited["settings"]["mode"] = "full".into();
    let replace = ["crawlers", "replace", "tenant", "-"];
    let replaced = said(&register, &replace, &edited.to_string()).await;
    assert!(replaced.contains("version 2"), "{replaced}");
    let stale = refused(&register, &replace, &edited.to_string()).await;
    assert!(stale.contains("version 2, not 1"), "{stale}");

    let exported = said(&register, &["crawlers", "export", "tenant"], "").await;
    let import = ["crawlers", "import", "-", "--name", "copy"];
    said(&register, &import, &exported).await;
    let crawlers: CrawlerPage = register.get("/api/crawlers").await;
    let copy: &Crawler = crawlers
        .items
        .iter()
        .find(|one| one.name == "copy")
        .expect("the copy");
    let settings = serde_json::to_value(&copy.settings).expect("JSON");
    assert_eq!(settings["mode"], "full");

    let set = ["crawlers", "secret", "set", "copy", "clientSecret"];
    let elsewhere = said(
        &register,
        &[&set[..], &["--from", "env:CADASTRE_SECRET_COPY"]].concat(),
        "",
    )
    .await;
    assert!(
        elsewhere.contains("clientSecret of 'copy' is set (version 2)"),
        "{elsewhere}"
    );
    let on_the_line = refused(&register, &[&set[..], &["--from", "CANARY"]].concat(), "").await;
    assert!(on_the_line.contains("standard input"), "{on_the_line}");
    let sealed = said(&register, &set, "CANARY-secret\n").await;
    assert!(sealed.contains("(version 3)"), "{sealed}");
    let shown = said(&register, &["crawlers", "show", "copy"], "").await;
    assert!(shown.contains("hasSecret"), "{shown}");
    assert!(!(sealed + &shown).contains("CANARY"), "a secret is shown");
    said(
        &register,
        &["crawlers", "secret", "clear", "copy", "proxy"],
        "",
    )
    .await;

    said(&register, &import, &exported).await;
    let two = refused(&register, &["crawlers", "show", "copy"], "").await;
    assert!(two.contains("2 crawlers are called 'copy'"), "{two}");
    let id = copy.crawler_id.to_string();
    refused(&register, &["crawlers", "delete", &id], "").await;
    said(&register, &["crawlers", "delete", &id, "--yes"], "").await;
    let shown = said(&register, &["crawlers", "show", "copy"], "").await;
    assert!(!shown.contains(&id), "{shown}");
    let none = refused(&register, &["crawlers", "show", "nobody"], "").await;
    assert!(none.contains("no crawler called 'nobody'"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_looks_through_a_crawler_that_is_switched_off_and_the_command_shows_what_it_saw() {
    let spec = TenantSpec::new(47, 30, 5, 5);
    let mut register = Register::start(&spec, SimOptions::default()).await;
    register.key = new_key(&register.pool, &[Permission::Admin]).await;
    let simulator = register.simulator.clone();
    let address = simulator.base_url();
    let crawler = json!({
        "name": "tenant", "enabled": false,
        "settings": {
            "graph": {"tenantId": simulator.tenant_id(), "clientId": simulator.client_id(), "baseUrl": address, "loginBaseUrl": address},
            "identityFilter": oracle::identity_filter(),
        },
        "secrets": {"clientSecret": "env:CADASTRE_SECRET_TENANT"},
    });
    said(
        &register,
        &["crawlers", "create", "-"],
        &crawler.to_string(),
    )
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("worker.log");
    let worker_key = new_key(&register.pool, &[Permission::Ingest, Permission::Jobs]).await;
    let mut command = claiming(&register.base_url, &worker_key).await;
    command.env("CADASTRE_SECRET_TENANT", simulator.client_secret());
    let worker = Process::spawn(&mut command, &log);

    let checked = cadastre(&register, &["crawlers", "check", "tenant"], "").await;
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    if !checked.status.success() {
        last_words(&log);
    }
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(
        text.contains("Everything that is selected can be read."),
        "{text}"
    );
    let preview = said(&register, &["crawlers", "preview", "tenant", "--json"], "").await;
    let preview: JobResult = serde_json::from_str(&preview).expect("a result");
    let users = simulator.truth().users.len() as u64;
    assert!(
        matches!(&preview, JobResult::Preview(IdentityPreview { users: all, .. }) if *all == users),
        "{preview:?}"
    );
    let found = said(&register, &["crawlers", "discover", "tenant"], "").await;
    assert!(found.contains("users were looked at"), "{found}");
    let listed = said(&register, &["workers", "list"], "").await;
    assert!(listed.contains(&format!(" {} ", worker.id())), "{listed}");
    assert_eq!(register.count("select count(*) from principals").await, 0);
    // The job tells why a look found out nothing.
    let version: Crawler =
        serde_json::from_str(&said(&register, &["crawlers", "show", "tenant"], "").await)
            .expect("JSON");
    let mut plain = crawler.clone();
    plain["version"] = version.version.into();
    plain["settings"]["identityFilter"] = Value::Null;
    said(
        &register,
        &["crawlers", "replace", "tenant", "-"],
        &plain.to_string(),
    )
    .await;
    let failed = refused(&register, &["crawlers", "preview", "tenant"], "").await;
    assert!(failed.contains("no identity filter"), "{failed}");
}
