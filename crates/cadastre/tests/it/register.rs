//! A whole register against a whole simulated tenant, in one line: real server, real PostgreSQL, real crawler.

use std::{sync::Arc, time::Duration};

use contract::{ChangeSet, ChangeSetState, CollectionReport, Cost, Permission, RunReport};
use crawler_entra::{
    CrawlConfig, GraphConfig, IdentityFilter, Mode, RegisterConfig, Selection, Tuning, crawl,
    progress::Quiet,
};
use embedded_postgres::testing::{TestDatabase, copy_of};
use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec};
use ingest_api::{
    AppState, DatabaseSettings,
    auth::{NewKey, create_key},
    connect, migrate,
    secret::{KeyBytes, Keyring, LocalKey},
    serve,
};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::oracle;

/// A register and the tenant that is crawled into it; both stop with the value.
pub struct Register {
    pub pool: PgPool,
    pub simulator: Arc<Simulator>,
    pub base_url: String,
    /// A key that may do everything.
    pub key: String,
    /// What secrets of crawlers are sealed with.
    pub keyring: Keyring,
    http: reqwest::Client,
    stop: CancellationToken,
    /// The server inside the test and its database, where it has no process of its own.
    inside: Option<(JoinHandle<()>, TestDatabase)>,
}

impl Drop for Register {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

impl Register {
    pub async fn start(spec: &TenantSpec, mut options: SimOptions) -> Self {
        options.throttle.report_requests = None;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(Tenant::generate(spec), options).await;
        let database = copy_of("register", async |url| {
            migrate(&url.to_owned().into()).await.expect("migrates");
        })
        .await;
        let settings = DatabaseSettings {
            url: database.url().to_owned().into(),
            max_connections: 8,
            allow_not_durable: true,
        };
        let pool = connect(&settings).await.expect("connects");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let keyring = Keyring::new("test", Arc::new(LocalKey(KeyBytes::random())));
        let state = AppState {
            keyring: keyring.clone(),
            ..AppState::new(pool.clone())
        };
        let stopping = stop.clone();
        let server =
            tokio::spawn(async move { serve(listener, state, stopping).await.expect("serves") });
        Self {
            key: new_key(&pool, &Permission::ALL).await,
            keyring,
            simulator: Arc::new(simulator.expect("a simulated tenant")),
            base_url,
            http: reqwest::Client::new(),
            stop,
            inside: Some((server, database)),
            pool,
        }
    }

    /// One that somebody else serves.
    pub fn over(pool: PgPool, simulator: Simulator, base_url: String, key: String) -> Self {
        Self {
            key,
            keyring: Keyring::none(),
            simulator: Arc::new(simulator),
            base_url,
            http: reqwest::Client::new(),
            stop: CancellationToken::new(),
            inside: None,
            pool,
        }
    }

    /// Everything that this version reads, with waits that suit a test.
    pub fn config(&self) -> CrawlConfig {
        let simulator = &self.simulator;
        let mut graph = GraphConfig::new(
            simulator.tenant_id().to_string(),
            simulator.client_id().to_string(),
            simulator.client_secret().to_owned().into(),
        );
        graph.base_url = simulator.base_url().parse().expect("an address");
        graph.login_base_url = graph.base_url.clone();
        let register = RegisterConfig {
            base_url: self.base_url.parse().expect("an address"),
            api_key: self.key.clone().into(),
        };
        let mut config = CrawlConfig::new(graph, register);
        config.mode = Mode::Full;
        config.selection = Selection {
            service_principals: true,
            pim: true,
            ..Selection::default()
        };
        // The tenant's days do not go by as ours do.
        config.request_window_days = 36_500;
        config.tuning = Tuning {
            first_backoff: Duration::from_millis(20),
            max_backoff: Duration::from_millis(200),
            // The simulated tenant does not limit sign-in activity here: every test would wait for it.
            report_requests_per_10_s: 10_000.0,
            policy_requests_per_10_s: 10_000.0,
            ..Tuning::default()
        };
        let filter = IdentityFilter::parse(&oracle::identity_filter());
        config.identity_filter = Some(filter.expect("a filter"));
        config
    }

    /// Everything but entitlement management and access reviews.
    pub fn ungoverned(&self) -> CrawlConfig {
        let mut config = self.config();
        config.selection.governance = false;
        config
    }

    /// Crawls everything.
    pub async fn crawl(&self) -> RunReport {
        self.crawl_with(self.config()).await
    }

    pub async fn crawl_with(&self, config: CrawlConfig) -> RunReport {
        crawl(config, Arc::new(Quiet), CancellationToken::new())
            .await
            .expect("the crawl begins")
    }

    /// The address of the database.
    pub fn database_url(&self) -> &str {
        let (_, database) = self.inside.as_ref().expect("a database of its own");
        database.url()
    }

    /// Serves another database from now on.
    pub async fn serve_from(&mut self, pool: PgPool) {
        self.stop.cancel();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.base_url = format!("http://{}", listener.local_addr().expect("an address"));
        self.stop = CancellationToken::new();
        let state = AppState {
            keyring: self.keyring.clone(),
            ..AppState::new(pool.clone())
        };
        let stopping = self.stop.clone();
        let server =
            tokio::spawn(async move { serve(listener, state, stopping).await.expect("serves") });
        let (before, _) = self.inside.as_mut().expect("a server of its own");
        std::mem::replace(before, server)
            .await
            .expect("the one before ends");
        self.pool = pool;
    }

    /// The same tenant behind a simulator with other options.
    pub async fn restart_simulator(&mut self, mut options: SimOptions) {
        options.throttle.report_requests = None;
        let tenant = self.simulator.with_tenant(|tenant| tenant.clone());
        let simulator = Simulator::start(tenant, options).await;
        self.simulator = Arc::new(simulator.expect("a simulated tenant"));
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> T {
        let response = request.bearer_auth(&self.key).send().await;
        let response = response.expect("an answer");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).expect("the answer that was promised")
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.ask(self.http.get(format!("{}{path}", self.base_url)))
            .await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> T {
        let url = format!("{}{path}", self.base_url);
        self.ask(self.http.post(url).json(body)).await
    }

    /// What is answered at an address, whatever it is.
    pub async fn answer(&self, url: &str) -> (StatusCode, String) {
        let response = self.http.get(url).bearer_auth(&self.key).send().await;
        let response = response.expect("an answer");
        (response.status(), response.text().await.expect("a body"))
    }

    /// The removals that wait for a person.
    pub async fn held(&self) -> Vec<ChangeSet> {
        let known: Items<ChangeSet> = self.get("/api/ingest/held").await;
        let waiting = known.items.into_iter();
        waiting
            .filter(|set| set.state == ChangeSetState::Held)
            .collect()
    }

    /// Approves what waits, as a person would after having looked; returns what that was.
    pub async fn approve_all(&self) -> Vec<ChangeSet> {
        let waiting = self.held().await;
        for set in &waiting {
            let id = set.change_set_id;
            let url = format!("{}/api/ingest/held/{id}/approve", self.base_url);
            let decision = json!({"reason": "the test knows that they are gone"});
            let decided: ChangeSet = self.ask(self.http.post(url).json(&decision)).await;
            assert_eq!(decided.state, ChangeSetState::Approved);
        }
        waiting
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let counted = sqlx::query_scalar(sql).fetch_one(&self.pool).await;
        counted.expect(sql)
    }

    /// The loads of a run.
    pub async fn loads_of(&self, run: &RunReport) -> Vec<Uuid> {
        sqlx::query_scalar("select sync_id from sync_sessions where run_id = $1")
            .bind(run.run_id)
            .fetch_all(&self.pool)
            .await
            .expect("sessions")
    }
}

pub async fn new_key(pool: &PgPool, permissions: &[Permission]) -> String {
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

/// The seed of tests that hold for any tenant: fixed, unless `CADASTRE_TEST_SEED` names another.
pub fn seed() -> u64 {
    let chosen = std::env::var("CADASTRE_TEST_SEED").ok();
    let seed = chosen.map_or(20_261_122, |text| text.parse().expect("a number"));
    println!("CADASTRE_TEST_SEED={seed}");
    seed
}

/// The line of a collection in a report.
#[track_caller]
pub fn line<'a>(report: &'a RunReport, collection: &str) -> &'a CollectionReport {
    let found = report
        .collections
        .iter()
        .find(|line| line.collection == collection);
    found.unwrap_or_else(|| panic!("no line for {collection} in {report:#?}"))
}

/// What the lines cost is what the run cost, and nobody waited longer than the run.
#[track_caller]
pub fn assert_costs_add_up(report: &RunReport) {
    let (sum, traffic) = (report.summed_cost(), report.traffic);
    let counted = |cost: Cost| {
        let counts = [
            cost.requests,
            cost.resource_units,
            cost.pages,
            cost.throttled,
            cost.retries,
        ];
        (counts, cost.recovered)
    };
    let of_run = Cost {
        requests: traffic.requests,
        resource_units: traffic.resource_units,
        pages: traffic.pages,
        throttled: traffic.throttled,
        retries: traffic.retries,
        waited_ms: traffic.waited_ms,
        recovered: traffic.recovered,
    };
    assert_eq!(counted(sum), counted(of_run), "{report:#?}");
    for line in &report.collections {
        assert!(line.cost.waited_ms <= traffic.waited_ms, "{line:#?}");
    }
}
