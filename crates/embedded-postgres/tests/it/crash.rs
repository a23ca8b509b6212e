//! What is left after something was killed is recovered.

use std::fs;
use std::path::Path;

use embedded_postgres::{Server, Settings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::child::{Owner, eventually};
use crate::{ask, place, run};

async fn make_with_data(folder: &Path) {
    let server = Server::start(Settings::new(folder)).await.expect("started");
    run(
        &server.url(),
        "CREATE TABLE kept AS SELECT 'here'::text AS word",
    )
    .await;
    server.stop().await.expect("stopped");
}

async fn assert_data_is_there(folder: &Path) {
    let server = Server::start(Settings::new(folder))
        .await
        .expect("started again");
    assert_eq!(ask(&server.url(), "SELECT word FROM kept").await, "here");
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_killed_server_is_recovered_by_the_next_start() {
    let place = place();
    let folder = place.path().join("data");
    let server = Server::start(Settings::new(&folder))
        .await
        .expect("started");
    run(
        &server.url(),
        "CREATE TABLE kept AS SELECT 'here'::text AS word",
    )
    .await;
    kill(Pid::from_raw(server.pid()), Signal::SIGKILL).expect("killed");
    server
        .stop()
        .await
        .expect("stopping a dead server is no error");
    assert!(
        folder.join("cluster/postmaster.pid").exists(),
        "it left its file behind"
    );
    assert_data_is_there(&folder).await;
}

#[tokio::test]
async fn a_killed_server_whose_connections_survive_is_recovered_too() {
    let place = place();
    let folder = place.path().join("data");
    let server = Server::start(Settings::new(&folder))
        .await
        .expect("started");
    run(
        &server.url(),
        "CREATE TABLE kept AS SELECT 'here'::text AS word",
    )
    .await;
    let mut busy = crate::connect(&server.url()).await;
    // Computes, and so notices the death of its server only when it has finished.
    let busy = tokio::spawn(async move {
        let sql = "SELECT count(*) FROM (SELECT generate_series(1, 30000000)) AS series";
        sqlx::raw_sql(sql).execute(&mut busy).await.is_ok()
    });
    let computing = "SELECT count(*)::text FROM pg_stat_activity \
                     WHERE state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()";
    let mut tries = 0;
    while ask(&server.admin_url(), computing).await != "1" {
        tries += 1;
        assert!(tries < 1000, "the statement does not run");
    }
    kill(Pid::from_raw(server.pid()), Signal::SIGKILL).expect("killed");
    drop(server);
    assert_data_is_there(&folder).await;
    busy.await.expect("joined");
}

#[tokio::test]
async fn a_server_stops_when_its_owner_is_killed() {
    let place = place();
    let folder = place.path().join("data");
    make_with_data(&folder).await;
    let mut owner = Owner::of(&folder);
    assert!(folder.join("cluster/postmaster.pid").exists());
    owner.kill();
    eventually("the server has stopped", || {
        !folder.join("cluster/postmaster.pid").exists()
    })
    .await;
    // The server says so after it removed its pid file.
    eventually("it stopped cleanly", || {
        let log = fs::read_to_string(folder.join("server.log")).expect("a log");
        log.trim_end().ends_with("database system is shut down")
    })
    .await;
    assert_data_is_there(&folder).await;
}

#[tokio::test]
async fn a_start_right_after_the_owner_was_killed_works() {
    let place = place();
    let folder = place.path().join("data");
    make_with_data(&folder).await;
    Owner::of(&folder).kill();
    assert_data_is_there(&folder).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_survived_its_owner_and_the_watchdog_is_stopped_by_the_next_start() {
    let place = place();
    let folder = place.path().join("data");
    make_with_data(&folder).await;
    let mut owner = Owner::of(&folder);
    let survivor: i32 = owner.said.parse().expect("a process id");
    for watchdog in watchdogs_of(&folder) {
        kill(watchdog, Signal::SIGKILL).expect("killed");
    }
    owner.kill();
    assert!(
        kill(Pid::from_raw(survivor), None).is_ok(),
        "the server still runs"
    );

    let server = Server::start(Settings::new(&folder))
        .await
        .expect("started");
    assert_ne!(server.pid(), survivor);
    assert_eq!(ask(&server.url(), "SELECT word FROM kept").await, "here");
    server.stop().await.expect("stopped");
    let log = fs::read_to_string(folder.join("server.log")).expect("a log");
    assert_eq!(
        log.matches("database system is ready to accept connections")
            .count(),
        3
    );
    assert!(
        !log.contains("not properly shut down"),
        "the survivor was asked, not killed: {log}"
    );
}

#[cfg(target_os = "linux")]
fn watchdogs_of(folder: &Path) -> Vec<Pid> {
    let folder = folder.to_str().expect("text");
    let is_watchdog = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("cadastre-postgres-watchdog") && line.contains(folder)
    };
    let entries = fs::read_dir("/proc")
        .expect("listed")
        .filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found: Vec<Pid> = pids.filter(is_watchdog).map(Pid::from_raw).collect();
    assert!(!found.is_empty(), "there is a watchdog");
    found
}

#[tokio::test]
async fn a_process_id_that_now_belongs_to_somebody_else_is_no_obstacle_and_is_left_alone() {
    let place = place();
    let folder = place.path().join("data");
    make_with_data(&folder).await;
    let cluster = folder.join("cluster");
    // A process of the same user as the server: another server.
    let other = Server::start(Settings::new(place.path().join("other")))
        .await
        .expect("started");
    let file = fs::read_to_string(place.path().join("other/cluster/postmaster.pid")).expect("read");
    let stale = file.replace("other/cluster", "data/cluster");
    // The other one's shared memory is really in use, so name none.
    let stale: Vec<&str> = stale
        .lines()
        .enumerate()
        .map(|(at, line)| if at == 6 { "" } else { line })
        .collect();
    fs::write(cluster.join("postmaster.pid"), stale.join("\n")).expect("written");
    assert_data_is_there(&folder).await;
    assert_eq!(ask(&other.url(), "SELECT 'alive'::text").await, "alive");
    other.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_first_start_that_was_interrupted_is_repeated() {
    let place = place();
    let folder = place.path().join("data");
    make_with_data(&folder).await;
    // As if the machine had stopped while the cluster was being made.
    fs::rename(folder.join("cluster"), folder.join("cluster.unfinished")).expect("renamed");
    fs::remove_file(folder.join("cluster.unfinished/PG_VERSION")).expect("removed");
    let server = Server::start(Settings::new(&folder))
        .await
        .expect("started");
    assert!(!folder.join("cluster.unfinished").exists());
    server.stop().await.expect("stopped");
}
