//! What the container runs: a worker without any right does its work, and no other process of its user sees its secrets.

use std::{fs, process::Stdio};

use ingest_api::ServerSettings;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tokio::process::Command;

use crate::bench::Bench;

/// Does a process of the worker's user get to see this of it?
async fn is_seen(id: u32, file: &str) -> bool {
    let read = Command::new("setpriv")
        .args(["--reuid=10001", "--regid=10001", "--clear-groups", "cat"])
        .arg(format!("/proc/{id}/{file}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    read.await.expect("runs").success()
}

#[tokio::test]
async fn a_worker_without_rights_on_a_root_folder_that_it_cannot_write_runs_jobs_and_is_looked_into_by_nobody()
 {
    let bench = Bench::start_with(30, ServerSettings::default()).await;
    let may = bench.contained_worker(&["--version"]).output().await;
    if !geteuid().is_root() || !may.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: it takes root, name spaces and setpriv to run the worker as a container does"
        );
        bench.stop().await;
        return;
    }
    let job = bench.queue(bench.simulator.client_secret()).await;
    let mut command = bench.contained_worker(&["--claim", "--log-level", "off"]);
    let mut worker = command.spawn().expect("starts");
    bench.until(job, "succeeded").await;

    let id = worker.id().expect("it waits for the next job");
    let about = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).expect("told");
    // The health check of the image.
    assert_eq!(about("comm").trim(), "cadastre-worker");
    let status = about("status");
    for line in [
        "Uid:\t10001\t10001\t10001\t10001",
        "NoNewPrivs:\t1",
        "CapBnd:\t0000000000000000",
        "CapEff:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let limits = about("limits");
    let cores = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .expect("a line about cores");
    assert!(cores.trim_start().starts_with("0 "), "{limits}");
    assert!(is_seen(id, "status").await);
    for file in ["environ", "mem", "maps"] {
        assert!(!is_seen(id, file).await, "{file}");
    }

    kill(Pid::from_raw(id as i32), Signal::SIGTERM).expect("told");
    assert_eq!(worker.wait().await.expect("ends").code(), Some(0));
    bench.stop().await;
}
