//! A tenant, a register and a worker.

use std::{process::Stdio, sync::Arc, time::Duration};

use contract::Permission;
use embedded_postgres::testing::{TestDatabase, copy_of};
use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec, Throttle};
use ingest_api::{
    AppState, DatabaseSettings, ServerSettings,
    auth::{NewKey, create_key},
    connect, migrate,
    secret::{KeyBytes, Keyring, LocalKey, unlock},
    serve,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A simulated tenant beside a server with a database of its own.
pub struct Bench {
    pub simulator: Simulator,
    pub pool: PgPool,
    /// The worker's.
    pub key: String,
    /// The one that asks for jobs.
    admin: String,
    http: reqwest::Client,
    api: String,
    folder: TempDir,
    stop: CancellationToken,
    server: JoinHandle<()>,
    _database: TestDatabase,
}

impl Bench {
    pub async fn start(users: usize) -> Self {
        Self::start_with(users, ServerSettings::default()).await
    }

    /// With settings of the server.
    pub async fn start_with(users: usize, settings: ServerSettings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = SimOptions {
            throttle: Throttle::off(),
            ..SimOptions::default()
        };
        let tenant = Tenant::generate(&TenantSpec::new(3, users, 20, 10));
        let simulator = Simulator::start(tenant, options).await.expect("simulates");
        let database = copy_of("register", async |url| {
            migrate(&url.to_owned().into()).await.expect("migrates");
        })
        .await;
        let database_settings = DatabaseSettings {
            url: database.url().to_owned().into(),
            max_connections: 12,
            allow_not_durable: true,
        };
        let server_pool = connect(&database_settings).await.expect("connects");
        // The test's own questions do not wait behind a crawl's batches.
        let pool = connect(&database_settings).await.expect("connects");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let api = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let keyring = Keyring::new("test", Arc::new(LocalKey(KeyBytes::random())));
        unlock(&pool, &keyring).await.expect("a new key");
        let state = AppState {
            keyring,
            ..AppState::with_settings(server_pool, settings)
        };
        let stopping = stop.clone();
        let server =
            tokio::spawn(async move { serve(listener, state, stopping).await.expect("serves") });
        let worker = [Permission::Ingest, Permission::Jobs];
        Self {
            simulator,
            key: new_key(&pool, &worker).await,
            admin: new_key(&pool, &[Permission::Admin]).await,
            http: reqwest::Client::new(),
            api,
            folder: tempfile::tempdir().expect("a folder"),
            stop,
            server,
            pool,
            _database: database,
        }
    }

    /// A configuration file for the tenant; answers its path.
    pub fn config_file(&self, name: &str, client_secret: &str) -> String {
        self.write(name, &self.config(client_secret))
    }

    fn config(&self, client_secret: &str) -> Value {
        let address = self.simulator.base_url();
        json!({"Graph": {
            "TenantId": self.simulator.tenant_id(), "ClientId": self.simulator.client_id(),
            "ClientSecret": client_secret, "BaseUrl": address, "LoginBaseUrl": address,
        }})
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.send(self.http.post(format!("{}{path}", self.api)), path, body)
            .await
    }

    /// Changes the settings of a job's crawler.
    pub async fn change(&self, job: Uuid, settings: &Value) {
        let path = format!(
            "/api/crawlers/{}",
            self.job(job).await["crawler_id"].as_str().expect("an id")
        );
        let body = json!({"version": 1, "settings": settings});
        self.send(self.http.patch(format!("{}{path}", self.api)), &path, &body)
            .await;
    }

    async fn send(&self, request: reqwest::RequestBuilder, path: &str, body: &Value) -> Value {
        let response = request.bearer_auth(&self.admin).json(body).send().await;
        let response = response.expect("an answer");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// A crawler of the tenant with this secret.
    pub async fn crawler(&self, client_secret: &str) -> Uuid {
        let address = self.simulator.base_url();
        let graph = json!({
            "tenantId": self.simulator.tenant_id(), "clientId": self.simulator.client_id(),
            "baseUrl": address, "loginBaseUrl": address,
        });
        let crawler = json!({
            "name": "tenant", "settings": {"graph": graph}, "secrets": {"clientSecret": client_secret},
        });
        let made = self.post("/api/crawlers", &crawler).await;
        made["crawlerId"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id")
    }

    /// Queues a crawl of the tenant with this secret; answers the job.
    pub async fn queue(&self, client_secret: &str) -> Uuid {
        self.ask(client_secret, json!({"mode": "full"})).await
    }

    /// The same, with more to say about the job.
    pub async fn ask(&self, client_secret: &str, mut job: Value) -> Uuid {
        job["crawlerId"] = json!(self.crawler(client_secret).await);
        let made = self.post("/api/jobs", &job).await;
        made["jobId"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id")
    }

    /// Asks for a look at the tenant, with this secret and further settings of its crawler; answers the job.
    pub async fn look(&self, kind: &str, client_secret: &str, settings: &Value) -> Uuid {
        let crawler = self.crawler(client_secret).await;
        let path = format!("/api/crawlers/{crawler}");
        // One looks before one switches a crawler on.
        let body = json!({"version": 1, "enabled": false, "settings": settings});
        self.send(self.http.patch(format!("{}{path}", self.api)), &path, &body)
            .await;
        self.job_of(crawler, kind).await
    }

    /// Asks for a look with the crawler of another job.
    pub async fn look_of(&self, job: Uuid, kind: &str) -> Uuid {
        let crawler = self.shown(job).await.crawler_id;
        self.job_of(crawler, kind).await
    }

    async fn job_of(&self, crawler: Uuid, kind: &str) -> Uuid {
        let body = json!({"crawlerId": crawler, "kind": kind});
        let made = self.post("/api/jobs", &body).await;
        made["jobId"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id")
    }

    /// The job as the API shows it.
    pub async fn shown(&self, job: Uuid) -> contract::Job {
        let path = format!("{}/api/jobs/{job}", self.api);
        let response = self.http.get(path).bearer_auth(&self.admin).send().await;
        let text = response.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).expect("a job")
    }

    /// Asks for the end of a job.
    pub async fn cancel(&self, job: Uuid) {
        self.post(&format!("/api/jobs/{job}/cancel"), &json!({}))
            .await;
    }

    /// The job's row.
    pub async fn job(&self, job: Uuid) -> Value {
        sqlx::query_scalar("select to_jsonb(j) from jobs j where job_id = $1")
            .bind(job)
            .fetch_one(&self.pool)
            .await
            .expect("a job")
    }

    /// Waits until the job stands so; answers its row.
    pub async fn until(&self, job: Uuid, state: &str) -> Value {
        let reached = async {
            loop {
                let row = self.job(job).await;
                if row["state"] == state {
                    return row;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let patience = Duration::from_secs(180);
        let Ok(row) = tokio::time::timeout(patience, reached).await else {
            panic!("the job never became {state}: {:#}", self.job(job).await)
        };
        row
    }

    fn write(&self, name: &str, config: &Value) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, config.to_string()).expect("a file");
        path.display().to_string()
    }

    /// The configuration file that works.
    pub fn good_file(&self) -> String {
        self.config_file("good.json", self.simulator.client_secret())
    }

    /// The worker, told about the register by its environment.
    pub fn worker(&self, flags: &[&str]) -> Command {
        self.tell(Command::new(env!("CARGO_BIN_EXE_cadastre-worker")), flags)
    }

    /// The same as a container runs it: a numbered user without any right, on a root folder that it cannot write.
    pub fn contained_worker(&self, flags: &[&str]) -> Command {
        const CONTAIN: &str = "mount -o remount,bind,ro / && exec setpriv --reuid=10001 --regid=10001 --clear-groups \
             --no-new-privs --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", CONTAIN])
            .arg(env!("CARGO_BIN_EXE_cadastre-worker"));
        let mut command = self.tell(command, flags);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn tell(&self, mut command: Command, flags: &[&str]) -> Command {
        command
            .env_clear()
            .env("CADASTRE_API_BASE_URL", &self.api)
            .env("CADASTRE_API_KEY", &self.key)
            .env("CADASTRE_ALLOW_HOSTS", "127.0.0.1")
            .args(["--log-format", "json"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the worker to its end; answers the exit code and the log.
    pub async fn run(&self, flags: &[&str]) -> (i32, Log) {
        let output = self.worker(flags).output().await.expect("the worker runs");
        assert!(output.stdout.is_empty(), "the log is on the standard error");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code().expect("an exit code"), Log { text })
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let count = sqlx::query_scalar(sql).fetch_one(&self.pool).await;
        count.expect(sql)
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.server.await.expect("the server ends");
        self.simulator.stop().await;
    }
}

async fn new_key(pool: &PgPool, permissions: &[Permission]) -> String {
    let new = NewKey {
        workspace_id: 1,
        name: "test".into(),
        permissions: permissions.to_vec(),
        system_ids: None,
        expires_at: None,
        created_by: "test".into(),
    };
    let mut connection = pool.acquire().await.expect("a connection");
    let (generated, _) = create_key(&mut connection, &new).await.expect("a key");
    generated.key.expose_secret().to_owned()
}

/// What the worker wrote.
pub struct Log {
    pub text: String,
}

impl Log {
    /// The lines with this message.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let lines = self
            .text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
        lines.filter(|line| line["message"] == message).collect()
    }
}
