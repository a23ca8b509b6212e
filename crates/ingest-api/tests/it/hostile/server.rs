//! The real server as a process of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};
use secrecy::{ExposeSecret, SecretString};

/// A guard against waiting for ever, no promise.
const PATIENCE: Duration = Duration::from_secs(120);

/// The process; it is killed with the value.
pub struct ServerProcess {
    child: Child,
    /// A free port at first, the same one ever after.
    listen: SocketAddr,
    log: PathBuf,
    database: SecretString,
    starts: u32,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the server's last words:\n{}", self.last_words());
        }
    }
}

impl ServerProcess {
    pub async fn start(folder: &Path, database: &SecretString) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let log = folder.join("server.log");
        let child = spawn(&log, listen, database);
        let mut server = Self {
            child,
            listen,
            log,
            database: database.clone(),
            starts: 1,
        };
        server.wait_until_it_listens().await;
        server
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().expect("asked").is_none()
    }

    /// SIGKILL: it has no chance to finish anything.
    pub fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        self.child.wait().expect("collected");
    }

    /// SIGTERM, as a supervisor sends it; answers how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, Signal::SIGTERM).expect("it runs");
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("asked") {
                return status;
            }
            assert!(
                Instant::now() < give_up,
                "it does not end:\n{}",
                self.last_words()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Starts it again on the same port, as a supervisor would: until it stays.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.log, self.listen, &self.database);
        self.starts += 1;
        self.wait_until_it_listens().await;
    }

    async fn wait_until_it_listens(&mut self) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(&self.log).expect("a log");
            let addresses: Vec<&str> = log
                .lines()
                .filter_map(|line| line.split_once("listening address=")?.1.split(' ').next())
                .collect();
            if addresses.len() >= self.starts as usize
                && let Some(address) = addresses.last()
            {
                self.listen = address.parse().expect("an address");
                return;
            }
            if !self.is_up() {
                // The database may be away still, or the port taken for a moment.
                self.child = spawn(&self.log, self.listen, &self.database);
            }
            assert!(
                Instant::now() < give_up,
                "the server does not start:\n{}",
                self.last_words()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

fn spawn(log: &Path, listen: SocketAddr, database: &SecretString) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log)
        .expect("a log");
    Command::new(env!("CARGO_BIN_EXE_ingest-api"))
        .env("DATABASE_URL", database.expose_secret())
        .env("CADASTRE_LISTEN", listen.to_string())
        .env("CADASTRE_LOG_LEVEL", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("runs")
}
