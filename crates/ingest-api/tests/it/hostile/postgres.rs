//! A PostgreSQL that keeps what it confirmed, and that can be killed or frozen as a whole.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use contract::Permission;
use embedded_postgres::{Server, Settings};
use ingest_api::auth::{NewKey, create_key};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection as _, PgConnection};

/// A guard against waiting for ever, no promise.
const PATIENCE: Duration = Duration::from_secs(120);

/// The server; it stops with the value, frozen or not.
pub struct Postgres {
    /// `None` while it is down.
    server: Option<Server>,
    settings: Settings,
    url: SecretString,
    frozen: Vec<Pid>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A frozen server could not be told to stop.
        self.thaw();
    }
}

impl Postgres {
    /// Starts one in `folder`, which must be empty, with further server settings.
    pub async fn start(folder: &Path, configuration: &[(&str, &str)]) -> Self {
        // The account that PostgreSQL runs as must be able to come here.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("opened");
        let mut settings = Settings::new(folder.join("postgres"));
        settings.configuration = configuration
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let server = Server::start(settings.clone()).await.expect("starts");
        // The same address after every start.
        settings.port = Some(server.port());
        Self {
            url: server.url(),
            server: Some(server),
            settings,
            frozen: Vec::new(),
        }
    }

    /// A key that may do everything, and the part of it that is no secret.
    pub async fn new_key(&self) -> (String, String) {
        let new = NewKey {
            workspace_id: 1,
            name: "test".into(),
            permissions: Permission::ALL.to_vec(),
            system_ids: None,
            expires_at: None,
            created_by: "test".into(),
        };
        let mut connection = self.connect().await;
        let (key, info) = create_key(&mut connection, &new).await.expect("a key");
        (key.key.expose_secret().to_owned(), info.key_id)
    }

    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// The same over TCP, for users who may not come to the folder of the socket.
    pub fn tcp_url(&self) -> String {
        let (role, place) = self.url.expose_secret().split_once('@').expect("a role");
        let (_, rest) = place.split_once(':').expect("a port");
        format!("{role}@127.0.0.1:{rest}")
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.url.expose_secret())
            .await
            .expect("connects")
    }

    /// A connection, if there is one to be had now.
    pub async fn try_connect(&self) -> Option<PgConnection> {
        PgConnection::connect(self.url.expose_secret()).await.ok()
    }

    /// Starts it again if it ended by itself.
    pub async fn ensure_up(&mut self) {
        if !self.is_up() {
            self.start_again().await;
        }
    }

    /// Does its main process run?
    fn is_up(&self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|server| is_alive(server.pid()))
    }

    /// Kills every process of the server at once, as a loss of power does, and waits until they are gone.
    pub async fn kill(&mut self) {
        let server = self.server.take().expect("it runs");
        let family = stop_family(server.pid());
        for pid in family.iter().rev() {
            signal(*pid, Signal::SIGKILL);
        }
        let give_up = Instant::now() + PATIENCE;
        while family.iter().any(|pid| is_alive(pid.as_raw())) {
            assert!(Instant::now() < give_up, "killed processes remain");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Collects the dead process and lets go of the folder; there is nothing left to stop.
        server.stop().await.expect("let go of");
    }

    /// Starts it again: on the same files, at the same address.
    pub async fn start_again(&mut self) {
        if let Some(ended) = self.server.take() {
            ended.stop().await.expect("let go of");
        }
        let server = Server::start(self.settings.clone()).await;
        self.server = Some(server.expect("starts again"));
    }

    /// Stops the time of every process of the server.
    pub fn freeze(&mut self) {
        let postmaster = self.server.as_ref().expect("it runs").pid();
        self.frozen = stop_family(postmaster);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&mut self) {
        for pid in self.frozen.drain(..).rev() {
            signal(pid, Signal::SIGCONT);
        }
    }
}

/// Freezes a process, then its children: it can make no new ones meanwhile. The parent comes first in the answer.
fn stop_family(parent: i32) -> Vec<Pid> {
    signal(Pid::from_raw(parent), Signal::SIGSTOP);
    let give_up = Instant::now() + PATIENCE;
    while processes()
        .iter()
        .any(|one| one.pid == parent && !matches!(one.state, 'T' | 'Z'))
    {
        assert!(Instant::now() < give_up, "{parent} does not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
    let children = processes().into_iter().filter(|one| one.parent == parent);
    let mut family = vec![Pid::from_raw(parent)];
    for child in children {
        signal(Pid::from_raw(child.pid), Signal::SIGSTOP);
        family.push(Pid::from_raw(child.pid));
    }
    family
}

/// A process may end before the signal comes.
fn signal(pid: Pid, what: Signal) {
    match kill(pid, what) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(errno) => panic!("{what} for process {pid}: {errno}"),
    }
}

struct Process {
    pid: i32,
    parent: i32,
    state: char,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("listed");
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            // `pid (name) state parent …`; the name may hold anything.
            let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let mut fields = line.rsplit_once(')')?.1.split_whitespace();
            Some(Process {
                pid,
                state: fields.next()?.chars().next()?,
                parent: fields.next()?.parse().ok()?,
            })
        })
        .collect()
}

/// One that only waits to be collected is not alive.
fn is_alive(pid: i32) -> bool {
    processes()
        .iter()
        .any(|one| one.pid == pid && !matches!(one.state, 'Z' | 'X'))
}
