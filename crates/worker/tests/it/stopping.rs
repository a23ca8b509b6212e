//! Told to stop, the worker leaves nothing open behind.

use std::time::Duration;

use graph_sim::{Fault, RoutePattern};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr},
    time::{sleep, timeout},
};

use crate::bench::Bench;

/// Longer than anything here takes: a guard against waiting for ever, not a promise about speed.
const PATIENCE: Duration = Duration::from_secs(120);

fn send(signal: Signal, worker: &Child) {
    let id = worker.id().expect("the worker runs");
    kill(Pid::from_raw(id as i32), signal).expect("the signal is sent");
}

fn log_of(worker: &mut Child) -> Lines<BufReader<ChildStderr>> {
    BufReader::new(worker.stderr.take().expect("a pipe")).lines()
}

/// Reads on until a line holds the text.
async fn await_line(log: &mut Lines<BufReader<ChildStderr>>, text: &str) -> String {
    let found = timeout(PATIENCE, async {
        while let Some(line) = log.next_line().await.expect("a readable log") {
            if line.contains(text) {
                return line;
            }
        }
        panic!("the log ended without {text:?}")
    });
    found.await.expect("the line comes")
}

async fn exit_code(mut worker: Child) -> Option<i32> {
    let status = timeout(PATIENCE, worker.wait()).await.expect("it ends");
    status.expect("a status").code()
}

/// What became of the sessions of the crawls: state, entity and scope.
async fn sessions(bench: &Bench) -> Vec<(String, String)> {
    sqlx::query_as(
        "select state::text, entity || ' ' || scope_key from sync_sessions where form = 'session' order by 2, 1",
    )
    .fetch_all(&bench.pool)
    .await
    .expect("states")
}

#[tokio::test]
async fn a_crawl_under_way_gives_up_its_open_sessions_on_sigterm() {
    // Some pages of users arrive, enough for a first batch; the next one does not come for ten minutes.
    let bench = Bench::start(7_000).await;
    let users = RoutePattern::Exact("/users".into());
    bench.simulator.faults().add(
        Fault::status(users, 429, "TooManyRequests")
            .retry_after("600")
            .on_later_pages()
            .after(5),
    );
    let file = bench.good_file();
    let mut worker = bench
        .worker(&["--every", "1h", "--config-file", &file])
        .spawn()
        .expect("starts");
    let mut log = log_of(&mut worker);
    timeout(PATIENCE, async {
        while bench
            .count("select count(*) from sync_batches where answer ? 'records'")
            .await
            == 0
        {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("a batch lands");

    send(Signal::SIGTERM, &worker);
    let end = await_line(&mut log, "run ended").await;
    assert!(end.contains("\"cancelled\""), "{end}");
    assert_eq!(exit_code(worker).await, Some(0));
    let sessions = sessions(&bench).await;
    let any = |state: &str| sessions.iter().any(|(found, _)| found == state);
    assert!(any("aborted") && !any("open"), "{sessions:?}");
    bench.stop().await;
}

#[tokio::test]
async fn a_crawl_gives_up_its_open_sessions_whenever_sigterm_comes() {
    let bench = Bench::start(200).await;
    let file = bench.good_file();
    for moment_ms in [0, 40, 80, 120, 160, 200, 240, 280, 320, 400] {
        let mut worker = bench
            .worker(&["--every", "1h", "--config-file", &file])
            .spawn()
            .expect("starts");
        let mut log = log_of(&mut worker);
        await_line(&mut log, "run started").await;
        sleep(Duration::from_millis(moment_ms)).await;
        send(Signal::SIGTERM, &worker);
        assert_eq!(exit_code(worker).await, Some(0));
        let open = "select count(*) from sync_sessions where state = 'open'";
        assert_eq!(bench.count(open).await, 0, "after {moment_ms} ms");
    }
    bench.stop().await;
}

#[tokio::test]
async fn between_two_runs_a_signal_ends_the_wait() {
    let bench = Bench::start(20).await;
    let file = bench.good_file();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut worker = bench
            .worker(&["--every", "1h", "--config-file", &file])
            .spawn()
            .expect("starts");
        let mut log = log_of(&mut worker);
        await_line(&mut log, "waiting for the next run").await;
        send(signal, &worker);
        assert_eq!(exit_code(worker).await, Some(0));
    }
    assert_eq!(
        bench
            .count("select count(*) from run_reports where outcome = 'complete'")
            .await,
        2
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_run_that_fails_is_tried_again_after_a_pause() {
    let bench = Bench::start(20).await;
    let file = bench.config_file("bad.json", "wrong");
    let mut worker = bench
        .worker(&["--every", "1h", "--config-file", &file])
        .spawn()
        .expect("starts");
    let mut log = log_of(&mut worker);
    await_line(&mut log, "\"failed\"").await;
    let wait = await_line(&mut log, "waiting for the next run").await;
    let wait: serde_json::Value = serde_json::from_str(&wait).expect("JSON");
    let seconds = wait["wait_seconds"].as_u64().expect("a number");
    // Not at once, and long before its next regular turn: half a minute, and up to five percent.
    assert!((1..=31).contains(&seconds), "{seconds}");
    send(Signal::SIGTERM, &worker);
    assert_eq!(exit_code(worker).await, Some(0));
    bench.stop().await;
}
