//! Two servers on one database, crawlers, and workers' calls.

use std::time::Duration;

use ingest_api::{
    AppState, ServerSettings,
    job::{Settings, sweep},
    serve,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::{Answer, TestApp},
    crawlers,
};

/// Leases that only end when a test says so, and no waits between attempts.
pub fn settings() -> Settings {
    Settings {
        lease: Duration::from_secs(3_600),
        first_backoff: Duration::ZERO,
        longest_backoff: Duration::ZERO,
        ..Settings::default()
    }
}

fn server_settings() -> ServerSettings {
    ServerSettings {
        jobs: settings(),
        ..ServerSettings::default()
    }
}

/// Two servers.
pub struct Bench {
    pub app: TestApp,
    other: String,
    stop: CancellationToken,
    server: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bench {
    pub async fn start() -> Self {
        let app = TestApp::start_with(server_settings()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let other = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let state = AppState {
            keyring: app.keyring.clone(),
            ..AppState::with_settings(app.pool.clone(), server_settings())
        };
        let server = Some(tokio::spawn(serve(listener, state, stop.clone())));
        Self {
            app,
            other,
            stop,
            server,
        }
    }

    /// Stops the second server: whoever waits there is answered.
    pub fn stop_waiting(&self) {
        self.stop.cancel();
    }

    /// Waits until the second server has stopped.
    pub async fn wait_for_other(&mut self) {
        if let Some(server) = self.server.take() {
            server.await.expect("it ends").expect("it served");
        }
    }

    pub async fn crawler(&self, name: &str) -> Uuid {
        let mut body = crawlers::configuration(name, "CANARY");
        body["systemId"] = self.app.system_id.into();
        crawlers::create(&self.app, &body).await
    }

    /// Posts to one of the servers.
    pub async fn post(&self, server: usize, path: &str, body: &Value) -> Answer {
        let base = [self.app.base(), &self.other][server % 2];
        let request = reqwest::Client::new()
            .post(format!("{base}{path}"))
            .bearer_auth(&self.app.key)
            .json(body);
        self.app.send(request).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let request = self.app.request(Method::GET, path);
        self.app.send(request).await.expect(200)
    }

    pub async fn create(&self, crawler_id: Uuid, priority: i16) -> Uuid {
        let body = json!({"crawlerId": crawler_id, "priority": priority});
        let job = self.post(0, "/api/jobs", &body).await.expect(201);
        id_of(&job["jobId"])
    }

    /// What a worker is given, if anything.
    pub async fn claim(&self, server: usize, worker: &str) -> Option<Value> {
        let body = json!({"worker": worker, "version": "1", "claimId": Uuid::new_v4()});
        let answer = self
            .post(server, "/api/jobs/claim", &body)
            .await
            .expect(200);
        answer.get("claimed").cloned()
    }

    pub async fn finish(&self, job: Uuid, epoch: i64, outcome: &str) -> Answer {
        let body =
            json!({"epoch": epoch, "outcome": outcome, "mayRetry": true, "message": "so it went"});
        self.post(1, &format!("/api/jobs/{job}/finish"), &body)
            .await
    }

    pub async fn heartbeat(&self, job: Uuid, epoch: i64) -> Answer {
        let body = json!({"epoch": epoch, "progress": {"users": {"read": 7, "isDone": false}}});
        self.post(0, &format!("/api/jobs/{job}/heartbeat"), &body)
            .await
    }

    pub async fn job(&self, job: Uuid) -> Value {
        self.get(&format!("/api/jobs/{job}")).await
    }

    /// Lets the lease of a job run out, and one of the servers notice.
    pub async fn expire(&self, job: Uuid) {
        sqlx::query("update jobs set lease_until = now() - interval '1 second' where job_id = $1 and lease_until is not null")
            .bind(job)
            .execute(&self.app.pool)
            .await
            .expect("expires");
        // Both at once, beside the servers' own looks.
        let settings = settings();
        let (one, other) = tokio::join!(
            sweep(&self.app.pool, &settings),
            sweep(&self.app.pool, &settings)
        );
        one.and(other).expect("sweeps");
        // One that a server is just taking back.
        crate::app::until(async || self.overdue().await == 0).await;
    }

    async fn overdue(&self) -> i64 {
        sqlx::query_scalar("select count(*) from jobs where lease_until <= now()")
            .fetch_one(&self.app.pool)
            .await
            .expect("counts")
    }

    /// The job's row in full, to see whether anything changed.
    pub async fn row(&self, job: Uuid) -> Value {
        sqlx::query_scalar("select to_jsonb(j) || jsonb_build_object('lines', (select count(*) from job_log l where l.job_id = j.job_id)) \
             from jobs j where job_id = $1")
            .bind(job)
            .fetch_one(&self.app.pool)
            .await
            .expect("a row")
    }
}

pub fn id_of(value: &Value) -> Uuid {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an id")
}
