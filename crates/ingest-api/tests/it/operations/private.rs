//! The memory of a process that holds secrets is nobody else's (S08).

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

use crate::hostile::Postgres;

/// Runs a program as the user that the tests are, or as one without rights where they are root, with cores allowed.
fn as_a_user(program: &str, folder: &std::path::Path) -> Command {
    let mut command = Command::new("sh");
    let drop_rights = if geteuid().is_root() {
        "exec setpriv --reuid=10001 --regid=10001 --clear-groups \"$0\" \"$@\""
    } else {
        "exec \"$0\" \"$@\""
    };
    command
        .args([
            "-c",
            &format!("ulimit -c unlimited; {drop_rights}"),
            program,
        ])
        .current_dir(folder);
    command
}

/// Sends a signal until the process ends by it: Rust's own handler of SIGSEGV waits for the fault to come again.
async fn end_of(mut child: Child, signal: Signal) -> (Option<i32>, bool) {
    for _ in 0..3_000 {
        if let Some(status) = child.try_wait().expect("asked") {
            return (status.signal(), status.core_dumped());
        }
        kill(Pid::from_raw(child.id() as i32), signal).expect("sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().expect("killed");
    panic!("it does not end by {signal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_leaves_no_core_and_shows_its_memory_and_environment_to_no_process_of_its_user() {
    let place = tempfile::tempdir().expect("a folder");
    let postgres = Postgres::start(place.path(), &[]).await;
    let folder = place.path().join("cores");
    fs::create_dir(&folder).expect("a folder");
    if geteuid().is_root() {
        nix::unistd::chown(&folder, Some(10_001.into()), Some(10_001.into())).expect("its own");
    }
    // What a process that does nothing about it does, so that the test sees a difference.
    let sleeping = as_a_user("sleep", &folder)
        .arg("600")
        .spawn()
        .expect("runs");
    let read = |id: u32, file: &str| {
        let read = as_a_user("cat", &folder)
            .arg(format!("/proc/{id}/{file}"))
            .stderr(Stdio::null())
            .output();
        let read = read.expect("runs");
        read.status.success().then_some(read.stdout)
    };
    let is_there = async |id: u32, name: &str| {
        for _ in 0..3_000 {
            let found = fs::read_to_string(format!("/proc/{id}/comm")).expect("it runs");
            if found.trim() == name {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} does not begin");
    };
    is_there(sleeping.id(), "sleep").await;
    assert!(read(sleeping.id(), "environ").is_some());
    let (_, others_can) = end_of(sleeping, Signal::SIGSEGV).await;
    if !others_can {
        eprintln!("this machine keeps no cores: that of the server could not be there anyway");
    }

    for signal in [Signal::SIGSEGV, Signal::SIGABRT] {
        let log = place.path().join(format!("{signal}.log"));
        let server = as_a_user(env!("CARGO_BIN_EXE_ingest-api"), &folder)
            .env("DATABASE_URL", postgres.tcp_url())
            .env("CADASTRE_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("runs");
        crate::app::until(async || {
            fs::read_to_string(&log)
                .expect("a log")
                .contains("listening")
        })
        .await;
        for file in ["environ", "mem", "maps", "io"] {
            assert_eq!(read(server.id(), file), None, "{file}");
        }
        let limits = read(server.id(), "limits").expect("its limits are no secret");
        let limits = String::from_utf8_lossy(&limits).into_owned();
        let cores = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max core file size"))
            .expect("a line about cores");
        let cores: Vec<&str> = cores.split_whitespace().collect();
        assert_eq!(cores[..2], ["0", "0"], "{limits}");
        assert_eq!(end_of(server, signal).await, (Some(signal as i32), false));
        let left = fs::read_dir(&folder).expect("a folder").count();
        assert!(left <= usize::from(others_can), "a core was left");
    }
}
