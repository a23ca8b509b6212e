//! `--claim`: jobs are run under their leases, and nothing else.

use std::time::Duration;

use graph_sim::{Fault, RoutePattern};
use ingest_api::{ServerSettings, job};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::process::Child;
use uuid::Uuid;

use crate::bench::Bench;

/// Longer than anything here takes: a guard against waiting for ever, not a promise about speed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Leases that are over soon, and no waits between attempts.
async fn bench(users: usize) -> Bench {
    let settings = ServerSettings {
        jobs: job::Settings {
            lease: Duration::from_secs(4),
            heartbeat: Duration::from_secs(1),
            first_backoff: Duration::ZERO,
            longest_backoff: Duration::ZERO,
            max_attempts: 2,
            ..job::Settings::default()
        },
        ..ServerSettings::default()
    };
    Bench::start_with(users, settings).await
}

/// A worker whose log nobody reads.
fn worker(bench: &Bench) -> Child {
    let mut command = bench.worker(&["--claim", "--log-level", "off"]);
    command.spawn().expect("starts")
}

fn send(signal: Signal, worker: &Child) {
    let id = worker.id().expect("the worker runs");
    kill(Pid::from_raw(id as i32), signal).expect("the signal is sent");
}

async fn exit_code(mut worker: Child) -> Option<i32> {
    let status = tokio::time::timeout(PATIENCE, worker.wait()).await;
    status.expect("it ends").expect("a status").code()
}

/// The tenant stands still when its groups are read.
fn stand_still(bench: &Bench) {
    let groups = RoutePattern::Prefix("/groups".into());
    let fault = Fault::status(groups, 429, "TooManyRequests").retry_after("600");
    bench.simulator.faults().add(fault);
}

const OPEN: &str = "select count(*) from sync_sessions where state = 'open'";

async fn lines(bench: &Bench, job: Uuid) -> String {
    let lines: Vec<String> =
        sqlx::query_scalar("select message from job_log where job_id = $1 order by log_id")
            .bind(job)
            .fetch_all(&bench.pool)
            .await
            .expect("lines");
    lines.join("\n")
}

/// The report of the job's run: its outcome.
async fn reported(bench: &Bench, row: &Value) -> Option<String> {
    let run: Uuid = row["run_id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("an id");
    sqlx::query_scalar("select outcome from run_reports where run_id = $1")
        .bind(run)
        .fetch_optional(&bench.pool)
        .await
        .expect("an outcome")
}

#[tokio::test]
async fn a_claimed_job_is_crawled_under_its_run_id_and_its_end_is_told() {
    let bench = bench(60).await;
    let job = bench.queue(bench.simulator.client_secret()).await;
    let worker = worker(&bench);
    let row = bench.until(job, "succeeded").await;
    assert_eq!(reported(&bench, &row).await.as_deref(), Some("complete"));
    assert_eq!((&row["epoch"], &row["attempt"]), (&1.into(), &1.into()));
    let users = bench.simulator.truth().users.len() as i64;
    assert_eq!(bench.count("select count(*) from principals").await, users);
    let log = lines(&bench, job).await;
    assert!(
        log.contains("users: complete") && log.contains("run ended: complete"),
        "{log}"
    );
    assert!(!log.contains(bench.simulator.client_secret()) && !log.contains(&bench.key));

    // The next one does not wait for the worker to be started again.
    let second = bench.queue("CANARY-wrong").await;
    let row = bench.until(second, "dead").await;
    let why = row["message"].as_str().expect("a reason");
    assert!(
        why.contains("failed 2 times") && !why.contains("CANARY"),
        "{why}"
    );
    send(Signal::SIGTERM, &worker);
    assert_eq!(exit_code(worker).await, Some(0));
    bench.stop().await;
}

#[tokio::test]
async fn a_wish_to_cancel_ends_the_crawl_and_leaves_no_load_open() {
    let bench = bench(60).await;
    stand_still(&bench);
    let job = bench.queue(bench.simulator.client_secret()).await;
    let worker = worker(&bench);
    bench.until(job, "running").await;
    bench.cancel(job).await;
    let row = bench.until(job, "cancelled").await;
    assert_eq!(row["finished_epoch"], 1, "its worker said so");
    assert_eq!(bench.count(OPEN).await, 0);
    send(Signal::SIGTERM, &worker);
    assert_eq!(exit_code(worker).await, Some(0));
    bench.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_hands_its_job_back_and_another_goes_on_with_the_run() {
    let bench = bench(60).await;
    stand_still(&bench);
    let job = bench.queue(bench.simulator.client_secret()).await;
    let first = worker(&bench);
    let before = bench.until(job, "running").await;
    send(Signal::SIGTERM, &first);
    assert_eq!(exit_code(first).await, Some(0));
    let back = bench.job(job).await;
    assert_eq!(
        (&back["state"], &back["attempt"]),
        (&"queued".into(), &0.into()),
        "{back:#}"
    );
    assert_eq!(reported(&bench, &back).await, None, "the run goes on");
    bench.simulator.faults().clear();
    let second = worker(&bench);
    let row = bench.until(job, "succeeded").await;
    assert_eq!(
        (&row["epoch"], &row["run_id"]),
        (&2.into(), &before["run_id"])
    );
    assert_eq!(bench.count(OPEN).await, 0);
    send(Signal::SIGTERM, &second);
    assert_eq!(exit_code(second).await, Some(0));
    bench.stop().await;
}

#[tokio::test]
async fn a_run_that_a_changed_crawler_cannot_go_on_with_is_begun_anew() {
    let bench = bench(60).await;
    stand_still(&bench);
    let job = bench.queue(bench.simulator.client_secret()).await;
    let first = worker(&bench);
    let before = bench.until(job, "running").await;
    let saved = "select count(*) from run_checkpoints";
    tokio::time::timeout(PATIENCE, async {
        while bench.count(saved).await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it notes how far it is");
    send(Signal::SIGTERM, &first);
    assert_eq!(exit_code(first).await, Some(0));
    let settings = serde_json::json!({"customUserAttributes": ["jobTitle"]});
    bench.change(job, &settings).await;
    bench.simulator.faults().clear();
    let second = worker(&bench);
    let row = bench.until(job, "succeeded").await;
    assert_eq!((&row["epoch"], &row["attempt"]), (&3.into(), &2.into()));
    assert_ne!(row["run_id"], before["run_id"]);
    assert_eq!(bench.count(OPEN).await, 0);
    let log = lines(&bench, job).await;
    assert!(log.contains("begun with another configuration"), "{log}");
    send(Signal::SIGTERM, &second);
    assert_eq!(exit_code(second).await, Some(0));
    bench.stop().await;
}

/// Everything that a crawl writes, as one text.
async fn dump(bench: &Bench) -> Vec<String> {
    let mut all = Vec::new();
    for sql in [
        "select to_jsonb(t)::text from principals t order by 1",
        "select to_jsonb(t)::text from resources t order by 1",
        "select to_jsonb(t)::text from resource_assignments t order by 1",
        // It makes its system known before it takes the run, which changes nothing but is a call of its own.
        "select to_jsonb(t)::text from systems t order by 1",
        "select to_jsonb(t)::text from sync_sessions t where form <> 'call' order by 1",
        "select (to_jsonb(t) - 'views')::text from run_reports t order by 1",
        "select to_jsonb(t)::text from jobs t order by 1",
        "select to_jsonb(t)::text from job_log t order by 1",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&bench.pool)
            .await
            .expect(sql);
        all.extend(rows);
    }
    all
}

/// When a worker last asked for a job.
async fn last_seen(bench: &Bench, worker: &Value) -> String {
    sqlx::query_scalar("select last_seen_at::text from workers where name = $1")
        .bind(worker.as_str())
        .fetch_one(&bench.pool)
        .await
        .expect("a worker")
}

#[tokio::test]
async fn a_worker_that_slept_past_its_lease_changes_nothing_when_it_wakes_up() {
    let bench = bench(60).await;
    stand_still(&bench);
    let job = bench.queue(bench.simulator.client_secret()).await;
    let asleep = worker(&bench);
    let name = bench.until(job, "running").await["worker"].clone();
    send(Signal::SIGSTOP, &asleep);
    bench.simulator.faults().clear();
    bench.until(job, "queued").await;
    let second = worker(&bench);
    let row = bench.until(job, "succeeded").await;
    assert_eq!((&row["epoch"], &row["attempt"]), (&2.into(), &2.into()));
    send(Signal::SIGTERM, &second);
    assert_eq!(exit_code(second).await, Some(0));

    let before = dump(&bench).await;
    let seen = last_seen(&bench, &name).await;
    send(Signal::SIGCONT, &asleep);
    // It asks for jobs again, and by then it has given up the old one.
    tokio::time::timeout(PATIENCE, async {
        while last_seen(&bench, &name).await == seen {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it asks for jobs again");
    let after = dump(&bench).await;
    let changed: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(changed.is_empty(), "{changed:#?}");
    assert_eq!(after.len(), before.len());
    send(Signal::SIGTERM, &asleep);
    assert_eq!(exit_code(asleep).await, Some(0));
    bench.stop().await;
}

#[tokio::test]
async fn a_job_whose_workers_are_killed_is_dead_when_its_attempts_are_used_up() {
    let bench = bench(30).await;
    stand_still(&bench);
    let job = bench.queue(bench.simulator.client_secret()).await;
    for _ in 0..2 {
        let mut victim = worker(&bench);
        bench.until(job, "running").await;
        victim.kill().await.expect("is killed");
        let row = async {
            loop {
                let row = bench.job(job).await;
                if row["lease_until"].is_null() {
                    return row;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, row)
            .await
            .expect("it is taken back");
    }
    let row = bench.job(job).await;
    assert_eq!(
        (&row["state"], &row["attempt"]),
        (&"dead".into(), &2.into()),
        "{row:#}"
    );
    assert_eq!(bench.count(OPEN).await, 0, "nobody goes on with its loads");
    bench.stop().await;
}
