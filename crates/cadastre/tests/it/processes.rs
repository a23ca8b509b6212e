//! The real commands as processes of a test, which may be killed at any time.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ingest_api::migrate;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;

use crate::command::worker_command;

/// A guard against waiting for ever, no promise.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A folder that the account may enter which PostgreSQL runs as.
pub fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    folder
}

/// The database, with the schema that servers want.
pub async fn migrated(database: &SecretString) -> PgPool {
    migrate(database).await.expect("migrates");
    PgPoolOptions::new()
        .max_connections(4)
        .connect(database.expose_secret())
        .await
        .expect("connects")
}

/// A process that ends with the value, by its own id.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    pub fn spawn(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log);
        let log = log.expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the same log"))
            .stderr(log)
            .spawn();
        Self(child.expect("runs"))
    }

    /// The process id, as the names of workers tell it.
    pub fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// SIGKILL: it has no chance to finish anything.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().expect("collected");
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id() as i32);
        kill(pid, signal).expect("the signal is sent");
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.0.wait().expect("collected");
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("asked").is_some()
    }
}

/// How a server is started.
pub struct Serving {
    pub database: SecretString,
    pub key_file: PathBuf,
    pub log: PathBuf,
    /// After the first start the address that it has.
    pub listen: SocketAddr,
    pub environment: Vec<(String, String)>,
}

impl Serving {
    pub fn base_url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Starts the server, until it stays: the database may be away, or the port taken for a moment.
    pub async fn start(&mut self) -> Process {
        let before = self.addresses().len();
        let mut server = self.spawn();
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(address) = self.addresses().get(before) {
                self.listen = *address;
                return server;
            }
            if server.has_ended() {
                server = self.spawn();
            }
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(
                Instant::now() < give_up,
                "the server does not start:\n{}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn spawn(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cadastre"));
        command
            .arg("up")
            .env("DATABASE_URL", self.database.expose_secret())
            .env("CADASTRE_LISTEN", self.listen.to_string())
            .env("CADASTRE_KEY_FILE", &self.key_file)
            .envs(self.environment.iter().cloned());
        Process::spawn(&mut command, &self.log)
    }

    /// The addresses that it said it listens on, one for each start.
    fn addresses(&self) -> Vec<SocketAddr> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let addresses = text.lines().filter_map(|line| {
            line.split_once("Register ")?
                .1
                .trim()
                .strip_prefix("http://")
        });
        addresses
            .map(|address| address.parse().expect("an address"))
            .collect()
    }
}

/// A worker that claims jobs from the server at an address.
pub async fn claiming(base_url: &str, key: &str) -> Command {
    let mut command = Command::new(worker_command().await);
    command
        .env_clear()
        .env("CADASTRE_API_BASE_URL", base_url)
        .env("CADASTRE_API_KEY", key)
        .env("CADASTRE_ALLOW_HOSTS", "127.0.0.1")
        .arg("--claim");
    command
}

/// Prints the end of a log.
pub fn last_words(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(60)..].join("\n");
    eprintln!("last words of {}:\n{last}", log.display());
}
