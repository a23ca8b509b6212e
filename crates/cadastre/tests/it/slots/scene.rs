//! Two servers, three workers and a PostgreSQL whose clock the test sets. The other processes have clocks that are wrong by
//! hours and jump, for only the database's counts.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use contract::{Crawler, Permission, Schedule};
use embedded_postgres::{Server, Settings};
use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec};
use ingest_api::secret::write_new_key;
use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::PgPool;
use tempfile::TempDir;
use uuid::Uuid;

use super::clock::{Clock, WrongClock};
use crate::{
    processes::{PATIENCE, Process, Serving, claiming, last_words, migrated, open_folder},
    register::{Register, new_key, seed},
};

/// Which server each of the workers asks.
const WORKERS: [usize; 3] = [0, 0, 1];

/// Everything; it stops with the value.
pub struct Scene {
    // Before the database: they end first.
    workers: Vec<Process>,
    servers: Vec<Process>,
    serving: Vec<Serving>,
    pub register: Register,
    /// The other tenants.
    _simulators: Vec<Simulator>,
    pub crawlers: Vec<Uuid>,
    pub clock: Clock,
    wrong_clocks: [WrongClock; 2],
    worker_key: String,
    _postgres: Server,
    folder: TempDir,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["server-0.log", "server-1.log", "workers.log"] {
                last_words(&self.folder.path().join(name));
            }
        }
    }
}

impl Scene {
    pub async fn start(moment: DateTime<Utc>, crawlers: usize) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = open_folder();
        let clock = Clock::set_first(folder.path(), moment);
        let mut settings = Settings::new(folder.path().join("postgres"));
        settings.environment = clock.environment();
        // Its helpers are started inside of waits, where the library does not answer.
        let no_helpers = ("max_parallel_workers".to_owned(), "0".to_owned());
        settings.configuration.push(no_helpers);
        let postgres = Server::start(settings).await.expect("starts");
        let database = postgres.url();
        let pool = migrated(&database).await;
        let key_file = folder.path().join("keys");
        write_new_key(&key_file, "key-1").expect("a key");
        let wrong_clocks = [
            WrongClock::new(folder.path(), 2),
            WrongClock::new(folder.path(), -2),
        ];
        let (mut servers, mut serving) = (Vec::new(), Vec::new());
        for (number, wrong) in wrong_clocks.iter().enumerate() {
            let mut server = Serving {
                database: database.clone(),
                key_file: key_file.clone(),
                log: folder.path().join(format!("server-{number}.log")),
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                environment: wrong.environment(),
            };
            servers.push(server.start().await);
            serving.push(server);
        }
        let mut simulators = Vec::new();
        for number in 0..crawlers {
            simulators.push(tiny_tenant(number).await);
        }
        let worker_key = new_key(&pool, &[Permission::Ingest, Permission::Jobs]).await;
        let key = new_key(&pool, &Permission::ALL).await;
        let first = simulators.remove(0);
        let register = Register::over(pool, first, serving[0].base_url(), key);
        let mut made = vec![make_crawler(&register, &register.simulator, 0).await];
        for (number, simulator) in simulators.iter().enumerate() {
            made.push(make_crawler(&register, simulator, number + 1).await);
        }
        let mut scene = Self {
            workers: Vec::new(),
            servers,
            serving,
            register,
            _simulators: simulators,
            crawlers: made,
            clock,
            wrong_clocks,
            worker_key,
            _postgres: postgres,
            folder,
        };
        scene.start_workers().await;
        scene
    }

    pub fn pool(&self) -> &PgPool {
        &self.register.pool
    }

    pub async fn schedule(&self, body: &serde_json::Value) -> Schedule {
        self.register.post("/api/schedules", body).await
    }

    /// Two workers whose clocks are wrong, and one whose clock is the machine's.
    pub async fn start_workers(&mut self) {
        let log = self.folder.path().join("workers.log");
        for (number, server) in WORKERS.into_iter().enumerate() {
            let base_url = self.serving[server].base_url();
            let mut command = claiming(&base_url, &self.worker_key).await;
            if let Some(wrong) = self.wrong_clocks.get(number) {
                command.envs(wrong.environment());
            }
            self.workers.push(Process::spawn(&mut command, &log));
        }
    }

    pub fn stop_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.stop();
        }
    }

    /// One is killed, one ends in order.
    pub fn stop_servers(&mut self) {
        self.servers[0].kill();
        self.servers[1].stop();
    }

    pub async fn start_servers(&mut self) {
        for (server, serving) in self.servers.iter_mut().zip(&mut self.serving) {
            *server = serving.start().await;
        }
    }

    /// The server does nothing until it is woken up.
    pub fn put_to_sleep(&self, server: usize) {
        self.servers[server].signal(Signal::SIGSTOP);
    }

    pub fn wake_up(&self, server: usize) {
        self.servers[server].signal(Signal::SIGCONT);
    }

    /// The database's clock shows a later moment; those that are wrong jump by hours, forth or back.
    pub fn set_clock(&mut self, moment: DateTime<Utc>) {
        self.clock.set(moment);
        for wrong in &mut self.wrong_clocks {
            wrong.jump();
        }
    }

    /// Asks until something is so.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&PgPool) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !is_so(self.pool()).await {
            assert!(Instant::now() < give_up, "{what} never came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn tiny_tenant(number: usize) -> Simulator {
    let spec = TenantSpec::new(seed() + number as u64, 6, 4, 2);
    let mut options = SimOptions::default();
    options.throttle.report_requests = None;
    let simulator = Simulator::start(Tenant::generate(&spec), options).await;
    simulator.expect("a simulated tenant")
}

async fn make_crawler(register: &Register, simulator: &Simulator, number: usize) -> Uuid {
    let address = simulator.base_url();
    let crawler = json!({
        "name": format!("tenant {number}"),
        "settings": {
            "graph": {
                "tenantId": simulator.tenant_id(), "clientId": simulator.client_id(), "baseUrl": address, "loginBaseUrl": address,
            },
        },
        "secrets": {"clientSecret": simulator.client_secret()},
    });
    let crawler: Crawler = register.post("/api/crawlers", &crawler).await;
    crawler.crawler_id
}
