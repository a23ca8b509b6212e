//! `--once`: exit codes and the log.

use graph_sim::{Fault, RoutePattern};

use crate::bench::Bench;

#[tokio::test]
async fn a_complete_run_lands_exits_with_0_and_logs_a_line_per_collection_and_per_run() {
    let bench = Bench::start(60).await;
    let file = bench.good_file();
    let (code, log) = bench.run(&["--once", "--config-file", &file]).await;
    assert_eq!(code, 0, "{}", log.text);
    let truth = bench.simulator.truth();
    let users = truth.users.len() as i64;
    assert_eq!(bench.count("select count(*) from principals").await, users);

    let collections = log.lines("collection ended");
    let line = |name: &str| {
        let mut found = collections.iter().filter(|line| line["collection"] == name);
        let one = found
            .next()
            .unwrap_or_else(|| panic!("{name} in {}", log.text));
        assert!(found.next().is_none(), "{name} has one line");
        one.clone()
    };
    assert_eq!(line("users")["status"], "complete");
    let inserted = |name: &str| line(name)["inserted"].as_i64().expect("a number");
    assert_eq!(inserted("users") + inserted("guests"), users);
    assert_eq!(
        line("groups")["read"].as_u64(),
        Some(truth.groups.len() as u64)
    );
    let runs = log.lines("run ended");
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["outcome"], "complete");
    assert_eq!(runs[0]["configuration"], file);
    bench.stop().await;
}

#[tokio::test]
async fn a_partial_run_exits_with_3_and_says_what_is_missing() {
    let bench = Bench::start(30).await;
    let denied = RoutePattern::Prefix("/roleManagement".into());
    bench
        .simulator
        .faults()
        .add(Fault::status(denied, 403, "Authorization_RequestDenied"));
    let file = bench.good_file();
    let (code, log) = bench.run(&["--once", "--config-file", &file]).await;
    assert_eq!(code, 3, "{}", log.text);
    let collections = log.lines("collection ended");
    let forbidden: Vec<_> = collections
        .iter()
        .filter(|line| line["status"] == "forbidden")
        .collect();
    assert!(!forbidden.is_empty(), "{}", log.text);
    assert!(
        forbidden
            .iter()
            .all(|line| line["missing_permission"].is_string() && line["level"] == "WARN")
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_configuration_that_fails_makes_the_exit_code_1_and_stops_no_other() {
    let bench = Bench::start(30).await;
    let bad = bench.config_file("bad.json", "CANARY-wrong-secret");
    let good = bench.good_file();
    let flags = ["--once", "--config-file", &bad, "--config-file", &good];
    let (code, log) = bench.run(&flags).await;
    assert_eq!(code, 1, "{}", log.text);
    let outcomes: Vec<_> = log
        .lines("run ended")
        .into_iter()
        .map(|line| (line["configuration"].clone(), line["outcome"].clone()))
        .collect();
    assert_eq!(
        outcomes,
        [
            (bad.into(), "failed".into()),
            (good.into(), "complete".into())
        ]
    );
    assert_ne!(bench.count("select count(*) from principals").await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn secrets_are_in_no_line_however_much_is_logged() {
    let bench = Bench::start(30).await;
    let file = bench.good_file();
    let flags = ["--once", "--log-level", "trace", "--config-file", &file];
    let (code, log) = bench.run(&flags).await;
    assert_eq!(code, 0, "{}", log.text);
    assert!(log.text.lines().count() > 10);
    assert!(!log.text.contains(&bench.key) && !log.text.contains(bench.simulator.client_secret()));
    assert!(!log.text.contains("Bearer"));
    bench.stop().await;
}

#[tokio::test]
async fn what_cannot_be_used_exits_with_2_and_names_everything_wrong_but_no_secret() {
    let bench = Bench::start(10).await;
    let good = bench.good_file();
    let odd = bench.config_file("odd.json", "");
    for (flags, reasons) in [
        (vec!["--config-file", &good], vec!["--once", "--every"]),
        (vec!["--once"], vec!["--config-file"]),
        (
            vec!["--every", "5s", "--config-file", &good],
            vec!["between 10s and 366d"],
        ),
        (
            vec![
                "--once",
                "--config-file",
                &odd,
                "--config-file",
                "nowhere.json",
            ],
            vec![
                "odd.json",
                "Graph.ClientSecret",
                "nowhere.json",
                "cannot be read",
            ],
        ),
    ] {
        let (code, log) = bench.run(&flags).await;
        assert_eq!(code, 2, "{}", log.text);
        for reason in reasons {
            assert!(log.text.contains(reason), "{reason} in {}", log.text);
        }
        assert!(
            !log.text.contains(&bench.key) && !log.text.contains(bench.simulator.client_secret())
        );
    }
    assert_eq!(bench.count("select count(*) from sync_sessions").await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn one_secret_is_not_sent_to_several_tenants() {
    let bench = Bench::start(10).await;
    let (one, other) = (bench.good_file(), bench.config_file("other.json", "x"));
    let output = bench
        .worker(&["--once", "--config-file", &one, "--config-file", &other])
        .env("CADASTRE_GRAPH_CLIENT_SECRET", "CANARY")
        .output()
        .await
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("CADASTRE_GRAPH_CLIENT_SECRET") && !text.contains("CANARY"),
        "{text}"
    );
    bench.stop().await;
}
