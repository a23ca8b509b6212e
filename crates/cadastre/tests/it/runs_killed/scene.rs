//! The real commands on a PostgreSQL that keeps what it confirmed, all of which can be killed.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use embedded_postgres::{Server, Settings};
use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec};
use ingest_api::secret::write_new_key;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection, PgPool};
use tempfile::TempDir;

use crate::{
    processes::{PATIENCE, Process, Serving, claiming, last_words, migrated, open_folder},
    register::{Register, new_key},
};
use contract::Permission;

/// A tenant, a server, PostgreSQL and two workers.
pub struct Scene {
    pub register: Register,
    workers: Vec<Process>,
    /// Process ids of workers that were killed or sleep.
    gone: Vec<String>,
    /// The worker that sleeps.
    asleep: Option<String>,
    worker_key: String,
    /// How much server and workers log.
    log_level: &'static str,
    server: Process,
    serving: Serving,
    /// `None` while it is down.
    postgres: Option<Server>,
    settings: Settings,
    folder: TempDir,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["server.log", "workers.log"] {
                last_words(&self.folder.path().join(name));
            }
        }
    }
}

impl Scene {
    pub async fn start(spec: &TenantSpec, options: SimOptions) -> Self {
        Self::start_logging(spec, options, "info", &[]).await
    }

    /// [`start`](Self::start) with a level of logs, and with settings of PostgreSQL.
    pub async fn start_logging(
        spec: &TenantSpec,
        options: SimOptions,
        log_level: &'static str,
        configuration: &[(&str, &str)],
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = open_folder();
        let mut settings = Settings::new(folder.path().join("postgres"));
        let given = configuration.iter();
        settings
            .configuration
            .extend(given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let postgres = Server::start(settings.clone()).await.expect("starts");
        // The same address after every start.
        settings.port = Some(postgres.port());
        let database = postgres.url();
        let pool = migrated(&database).await;
        write_new_key(&folder.path().join("keys"), "key-1").expect("a key");
        let simulator = Simulator::start(Tenant::generate(spec), options).await;
        let simulator = simulator.expect("a simulated tenant");
        let mut serving = Serving {
            database,
            key_file: folder.path().join("keys"),
            log: folder.path().join("server.log"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: vec![
                ("CADASTRE_LOG_LEVEL".into(), log_level.into()),
                // So that there is a site to sign in to.
                (
                    "CADASTRE_PUBLIC_URL".into(),
                    "https://cadastre.example.org".into(),
                ),
            ],
        };
        let server = serving.start().await;
        let worker_key = new_key(&pool, &[Permission::Ingest, Permission::Jobs]).await;
        let base_url = serving.base_url();
        let key = new_key(&pool, &Permission::ALL).await;
        let mut scene = Self {
            register: Register::over(pool, simulator, base_url, key),
            workers: Vec::new(),
            gone: Vec::new(),
            asleep: None,
            worker_key,
            log_level,
            server,
            serving,
            postgres: Some(postgres),
            settings,
            folder,
        };
        for _ in 0..2 {
            scene.start_worker().await;
        }
        scene
    }

    pub fn pool(&self) -> &PgPool {
        &self.register.pool
    }

    /// Where everything keeps its files and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What server and workers know that nobody else may: the key of the workers, and the database's address.
    pub fn known(&self) -> (&str, &SecretString) {
        (&self.worker_key, &self.serving.database)
    }

    /// Connects as PostgreSQL's own administrator.
    pub async fn administrator(&self) -> PgConnection {
        let postgres = self.postgres.as_ref().expect("it runs");
        let url = postgres.admin_url();
        let connected = PgConnection::connect(url.expose_secret()).await;
        connected.expect("connects")
    }

    async fn start_worker(&mut self) {
        let mut command = claiming(&self.serving.base_url(), &self.worker_key).await;
        command.args(["--log-level", self.log_level]);
        let log = self.folder.path().join("workers.log");
        self.workers.push(Process::spawn(&mut command, &log));
    }

    /// Which of the workers has a job; the first one when none has.
    async fn busy(&self) -> usize {
        let sql = "select split_part(worker, ' ', 2) from jobs where lease_until is not null";
        let busy: Option<String> = sqlx::query_scalar(sql)
            .fetch_optional(self.pool())
            .await
            .ok()
            .flatten();
        let is_busy = |worker: &Process| busy == Some(worker.id());
        self.workers.iter().position(is_busy).unwrap_or(0)
    }

    /// Kills the worker that has the job, and starts another one.
    pub async fn kill_worker(&mut self) {
        let busy = self.busy().await;
        // One that sleeps cannot have it.
        let sleeps = |worker: &Process| Some(worker.id()) == self.asleep;
        let busy = if sleeps(&self.workers[busy]) {
            self.workers.len() - 1 - busy
        } else {
            busy
        };
        let mut worker = self.workers.remove(busy);
        worker.kill();
        self.gone.push(worker.id());
        self.start_worker().await;
    }

    /// Lets the worker that has the job sleep until it is woken up; its lease runs out, and the other one goes on. One
    /// worker stays awake.
    pub async fn freeze_worker(&mut self) {
        if self.asleep.is_none() {
            let worker = &self.workers[self.busy().await];
            worker.signal(Signal::SIGSTOP);
            let pid = worker.id();
            self.asleep = Some(pid.clone());
            self.gone.push(pid);
        }
    }

    /// Wakes the worker up that sleeps, if one does.
    pub fn wake_worker(&mut self) {
        if let Some(pid) = self.asleep.take() {
            self.gone.retain(|gone| *gone != pid);
            let asleep = self.workers.iter().find(|worker| worker.id() == pid);
            asleep.expect("it sleeps").signal(Signal::SIGCONT);
        }
    }

    /// Kills the server and starts it again.
    pub async fn kill_server(&mut self) {
        self.server.kill();
        self.server = self.serving.start().await;
    }

    /// Kills PostgreSQL and starts it again.
    pub async fn kill_postgres(&mut self) {
        let postgres = self.postgres.take().expect("it runs");
        kill(Pid::from_raw(postgres.pid()), Signal::SIGKILL).expect("the signal is sent");
        // Collects the dead process and lets go of the folder.
        postgres.stop().await.expect("let go of");
        let again = Server::start(self.settings.clone()).await;
        self.postgres = Some(again.expect("starts again"));
        if self.server.has_ended() {
            self.server = self.serving.start().await;
        }
    }

    /// Time passes: the leases of workers that are gone are over, and so are the waits between attempts.
    pub async fn hurry(&self) {
        for sql in [
            "update jobs set lease_until = now() where lease_until > now() and split_part(worker, ' ', 2) = any ($1)",
            "update jobs set not_before = now() where state = 'queued' and not_before > now() and $1::text[] is not null",
        ] {
            // The database may just be away; the next call comes soon.
            let _ = sqlx::query(sql).bind(&self.gone).execute(self.pool()).await;
        }
    }

    /// Asks until the database answers what is hoped for.
    pub async fn until<T>(
        &self,
        what: &str,
        hoped: impl AsyncFn(&PgPool) -> sqlx::Result<Option<T>>,
    ) -> T {
        let give_up = Instant::now() + PATIENCE;
        loop {
            self.hurry().await;
            if let Ok(Some(found)) = hoped(self.pool()).await {
                return found;
            }
            assert!(Instant::now() < give_up, "{what} never came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
