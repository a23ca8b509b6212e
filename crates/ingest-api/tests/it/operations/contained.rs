//! What the container runs: the server as a numbered user without any right, on a root folder that it cannot write.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::unistd::geteuid;

use crate::hostile::Postgres;

/// A mount name space of its own, its root folder read-only, then another user with nothing left to gain.
const CONTAIN: &str = "mount -o remount,bind,ro / && exec setpriv --reuid=10001 --regid=10001 --clear-groups \
     --no-new-privs --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"";

fn contained(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            CONTAIN,
            program,
        ])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}

/// The server; it is killed with the value.
struct Contained(Child);

impl Drop for Contained {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        self.0.wait().expect("collected");
    }
}

/// The check that the image asks the server with, on another port.
fn health_check(port: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Dockerfile");
    let text = fs::read_to_string(path).expect("a Dockerfile");
    let command = text
        .split("HEALTHCHECK")
        .nth(1)
        .and_then(|rest| rest.split("CMD ").nth(1)?.lines().next())
        .expect("a health check");
    let parts: Vec<String> = serde_json::from_str(command).expect("the form with a list");
    let parts = parts.into_iter();
    parts
        .map(|part| part.replace("/8080", &format!("/{port}")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_runs_as_nobody_in_particular_on_a_root_folder_that_it_cannot_write() {
    let binary = env!("CARGO_BIN_EXE_ingest-api");
    let may = contained(binary).arg("--version").output();
    if !geteuid().is_root() || !may.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: it takes root, name spaces and setpriv to run the server as a container does"
        );
        return;
    }
    let place = tempfile::tempdir().expect("a folder");
    let postgres = Postgres::start(place.path(), &[]).await;
    let log = place.path().join("server.log");
    let child = contained(binary)
        .env("DATABASE_URL", postgres.tcp_url())
        .env("CADASTRE_LISTEN", "127.0.0.1:0")
        .env("CADASTRE_LOG_FORMAT", "json")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).expect("a log"))
        .spawn()
        .expect("runs");
    let mut child = Contained(child);
    let port = || {
        let text = fs::read_to_string(&log).ok()?;
        let address = text.split("\"address\":\"127.0.0.1:").nth(1)?;
        Some(address.split('"').next()?.to_owned())
    };
    // A guard against waiting for ever, no promise.
    for _ in 0..30_000 {
        if port().is_some() || child.0.try_wait().expect("asked").is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = fs::read_to_string(&log).expect("a log");
    assert!(port().is_some(), "{told}");
    let about =
        |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.0.id())).expect("told");
    let status = about("status");
    for line in [
        "Uid:\t10001\t10001\t10001\t10001",
        "Groups:\t ",
        "NoNewPrivs:\t1",
        "CapBnd:\t0000000000000000",
        "CapEff:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let mounts = about("mountinfo");
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"))
        .expect("a root");
    assert!(
        root.split(' ').nth(5).expect("options").starts_with("ro"),
        "{root}"
    );

    let check = health_check(&port().expect("a port"));
    let healthy = Command::new(&check[0])
        .args(&check[1..])
        .status()
        .expect("runs");
    assert!(healthy.success(), "{check:?}");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.0.id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .expect("told");
    assert_eq!(
        child.0.wait().expect("ends").code(),
        Some(0),
        "{}",
        fs::read_to_string(&log).expect("a log")
    );
    let unhealthy = Command::new(&check[0])
        .args(&check[1..])
        .stderr(Stdio::null())
        .status();
    assert!(!unhealthy.expect("runs").success());
}
