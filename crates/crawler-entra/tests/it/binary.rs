//! The command: exit codes, output, and what it refuses.

use std::process::{Output, Stdio};

use graph_sim::{Fault, RoutePattern};
use tokio::process::Command;

use crate::support::{API_KEY, Bench, unlimited};

struct Cli {
    folder: tempfile::TempDir,
}

impl Cli {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.json"), config).expect("a file");
        Self { folder }
    }

    fn for_bench(bench: &Bench) -> Self {
        let simulator = &bench.simulator;
        let config = serde_json::json!({"Graph": {
            "TenantId": simulator.tenant_id(), "ClientId": simulator.client_id(),
            "ClientSecret": simulator.client_secret()
        }});
        Self::new(&config.to_string())
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crawler-entra"));
        command
            .env_clear()
            // A command within the command comes first.
            .args(flags)
            .arg("--config-file")
            .arg(self.folder.path().join("config.json"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run_against(&self, bench: &Bench, flags: &[&str]) -> Output {
        let address = bench.simulator.base_url();
        let mut command = self.command(flags);
        command
            .env("CADASTRE_API_BASE_URL", bench.register.base_url().as_str())
            .env("CADASTRE_API_KEY", API_KEY)
            .args(["--graph-base-url", &address, "--login-base-url", &address]);
        command.output().await.expect("the command runs")
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn a_complete_run_exits_with_0_and_prints_the_table() {
    let bench = Bench::start(unlimited()).await;
    let cli = Cli::for_bench(&bench);
    let output = cli
        .run_against(&bench, &["--sync-pim", "--sync-service-principals=true"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        "collection",
        "group eligibility",
        "managed identities",
        "Complete:",
        "resource units",
    ] {
        assert!(printed.contains(expected), "{expected} in {printed}");
    }
    assert!(
        !text(&output).contains(API_KEY)
            && !text(&output).contains(bench.simulator.client_secret())
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_partial_run_exits_with_3_and_names_what_failed() {
    let bench = Bench::start(unlimited()).await;
    let group = bench.simulator.truth().groups[0].clone();
    let route = RoutePattern::Exact(format!("/groups/{}/members", group.id));
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 404, "Request_ResourceNotFound"));
    let output = Cli::for_bench(&bench)
        .run_against(&bench, &["--progress", "none"])
        .await;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains(&group.id.to_string()));
    bench.stop().await;
}

#[tokio::test]
async fn a_missing_permission_for_groups_is_named_with_what_it_keeps_from_being_read() {
    let bench = Bench::start(unlimited()).await;
    let route = RoutePattern::Prefix("/groups".into());
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 403, "Authorization_RequestDenied"));
    let output = Cli::for_bench(&bench).run_against(&bench, &[]).await;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let printed = text(&output);
    for expected in [
        "groups: grant GroupMember.Read.All",
        "group members, group owners: not every group is known, so nothing was removed",
        "users: complete",
    ] {
        assert!(printed.contains(expected), "{expected} in {printed}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_register_that_cannot_be_used_is_named_with_a_next_step() {
    let bench = Bench::start(unlimited()).await;
    let address = bench.simulator.base_url();
    for (register, key, next_steps) in [
        (address.as_str(), API_KEY, ["--api-base-url", &address]),
        (
            "http://127.0.0.1:1",
            API_KEY,
            ["--api-base-url", "127.0.0.1:1"],
        ),
        (
            bench.register.base_url().as_str(),
            "fgc_CANARY_wrong",
            ["CADASTRE_API_KEY", "expired"],
        ),
    ] {
        let cli = Cli::for_bench(&bench);
        let mut command = cli.command(&[]);
        command
            .env("CADASTRE_API_BASE_URL", register)
            .env("CADASTRE_API_KEY", key);
        let output = command.output().await.expect("runs");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        for step in next_steps {
            assert!(text(&output).contains(step), "{step} in {}", text(&output));
        }
        assert!(!text(&output).contains("CANARY"), "{}", text(&output));
    }
    bench.register.let_nobody_ingest();
    let output = Cli::for_bench(&bench).run_against(&bench, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("--permission ingest"));
    assert_eq!(bench.simulator.stats().token_requests, 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_failed_run_exits_with_1() {
    let bench = Bench::start(unlimited()).await;
    bench.simulator.faults().add(Fault::status(
        RoutePattern::Any,
        403,
        "Authorization_RequestDenied",
    ));
    let output = Cli::for_bench(&bench).run_against(&bench, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    bench.stop().await;
}

#[tokio::test]
async fn what_is_not_built_or_not_known_exits_with_2_and_a_reason() {
    let good = r#"{"Graph": {"TenantId": "t", "ClientId": "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142", "ClientSecret": "CANARY"}}"#;
    for (config, flags, reason) in [
        (good, &["--mode", "sideways"][..], "sideways"),
        (good, &["--full-read-every", "soon"], "no time span"),
        (good, &["--identity-filter", "x"], "no JSON"),
        (good, &["--identity-filter", r#"{"and": []}"#], "no rules"),
        (good, &["--no-such-flag"], "--no-such-flag"),
        (good, &["--sync-pim=maybe"], "maybe"),
        (good, &[], "--api-base-url"),
        (
            r#"{"Graph": {"Secret": "CANARY"}}"#,
            &["--dry-run"],
            "Secret",
        ),
        ("{}", &["--dry-run"], "Graph.TenantId"),
        ("no json CANARY", &["--dry-run"], "not usable"),
    ] {
        let output = Cli::new(config)
            .command(flags)
            .output()
            .await
            .expect("runs");
        assert_eq!(output.status.code(), Some(2), "{flags:?} {}", text(&output));
        assert!(
            text(&output).contains(reason),
            "{reason} in {}",
            text(&output)
        );
        assert!(!text(&output).contains("CANARY"), "{}", text(&output));
    }
}

#[tokio::test]
async fn a_dry_run_needs_no_register_and_says_what_it_would_send() {
    let bench = Bench::start(unlimited()).await;
    let address = bench.simulator.base_url();
    let flags = [
        "--dry-run",
        "--graph-base-url",
        &address,
        "--login-base-url",
        &address,
    ];
    let output = Cli::for_bench(&bench)
        .command(&flags)
        .output()
        .await
        .expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let groups = bench.simulator.truth().groups.len();
    let expected = format!("would send {groups} records to resources [resourceType=EntraGroup]");
    assert!(text(&output).contains(&expected), "{}", text(&output));
    assert!(bench.register.sessions().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn json_progress_is_one_object_per_line_and_ends_with_the_report() {
    let bench = Bench::start(unlimited()).await;
    let output = Cli::for_bench(&bench)
        .run_against(&bench, &["--progress", "json"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let printed = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object per line"))
        .collect();
    assert_eq!(lines[0]["event"], "run_started");
    assert_eq!(lines[lines.len() - 1]["outcome"], "complete");
    bench.stop().await;
}

#[tokio::test]
async fn the_help_shows_no_secret_of_the_environment() {
    let mut command = Cli::new("{}").command(&["--help"]);
    let output = command
        .env("CADASTRE_API_KEY", "fgc_CANARY")
        .output()
        .await
        .expect("runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output).contains("--custom-group-attributes"));
    assert!(!text(&output).contains("CANARY"));
}

#[tokio::test]
async fn a_look_at_identities_or_attributes_needs_no_register_and_says_what_it_saw() {
    let bench = Bench::start(unlimited()).await;
    let address = bench.simulator.base_url();
    let cli = Cli::for_bench(&bench);
    let filter = r#"{"property": "employeeId", "operator": "isNotNull"}"#;
    for (flags, expected) in [
        (
            &["identities", "--preview", "--identity-filter", filter][..],
            "users become",
        ),
        (
            &["attributes", "--sample", "50", "--progress", "json"],
            r#""sampled":50"#,
        ),
        (&["attributes"], "Engineering.Project"),
    ] {
        let mut command = cli.command(flags);
        command.args(["--graph-base-url", &address, "--login-base-url", &address]);
        let output = command.output().await.expect("runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
    let mut command = cli.command(&["identities", "--preview"]);
    command.args(["--graph-base-url", &address, "--login-base-url", &address]);
    let output = command.output().await.expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("--identity-filter"));
    bench.stop().await;
}
