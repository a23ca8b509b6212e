//! Cancelled at any moment, a crawl leaves the real register as the next one wants to find it.

use std::{sync::Arc, time::Duration};

use contract::{Permission, RunOutcome, RunReport};
use crawler_entra::{
    CrawlConfig, GraphConfig, Mode, RegisterConfig, Selection, Tuning, crawl, progress::Quiet,
};
use embedded_postgres::testing::{TestDatabase, copy_of};
use graph_sim::{Simulator, Tenant, TenantSpec};
use ingest_api::{
    AppState, DatabaseSettings,
    auth::{NewKey, create_key},
    connect, migrate, serve,
};
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::support::unlimited;

/// How long every answer of the register is on its way: most moments then have a request under way.
const ANSWER_DELAY: Duration = Duration::from_millis(15);

/// A guard against waiting for ever, not a promise about speed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tenant beside the real server, whose answers come late.
struct RealRegister {
    simulator: Simulator,
    pool: PgPool,
    config: CrawlConfig,
    /// How many pieces of answers the register has sent.
    answers: watch::Sender<u64>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _database: TestDatabase,
}

impl RealRegister {
    async fn start() -> Self {
        let tenant = Tenant::generate(&TenantSpec::new(11, 120, 30, 20));
        let simulator = Simulator::start(tenant, unlimited()).await;
        let simulator = simulator.expect("the simulator starts");
        let database = copy_of("register", async |url| {
            migrate(&url.to_owned().into()).await.expect("migrates");
        })
        .await;
        let settings = DatabaseSettings {
            url: database.url().to_owned().into(),
            max_connections: 12,
            allow_not_durable: true,
        };
        let pool = connect(&settings).await.expect("connects");
        let new = NewKey {
            workspace_id: 1,
            name: "crawler".into(),
            permissions: vec![Permission::Ingest],
            system_ids: None,
            expires_at: None,
            created_by: "test".into(),
        };
        let mut connection = pool.acquire().await.expect("a connection");
        let (generated, _) = create_key(&mut connection, &new).await.expect("a key");
        drop(connection);

        let (listener, outer) = (listener().await, listener().await);
        let inner = listener.local_addr().expect("an address");
        let base_url = format!("http://{}", outer.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (state, until) = (AppState::new(pool.clone()), stop.clone());
        tasks.spawn(async move { serve(listener, state, until).await.expect("serves") });
        let answers = watch::Sender::new(0);
        let delayed = delay_answers(outer, inner.to_string(), answers.clone(), stop.clone());
        tasks.spawn(delayed);
        let register = RegisterConfig {
            base_url: base_url.parse().expect("url"),
            api_key: generated.key,
        };
        Self {
            config: config(&simulator, register),
            simulator,
            pool,
            answers,
            stop,
            tasks,
            _database: database,
        }
    }

    async fn crawl(&self, cancel: CancellationToken) -> RunReport {
        let crawling = crawl(self.config.clone(), Arc::new(Quiet), cancel);
        let ended = timeout(PATIENCE, crawling).await.expect("it ends");
        ended.expect("it begins")
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let count = sqlx::query_scalar(sql).fetch_one(&self.pool).await;
        count.expect(sql)
    }

    async fn assert_nothing_is_open_or_removed(&self) {
        let open: Vec<String> = sqlx::query_scalar(
            "select entity || ' ' || scope_key from sync_sessions where state = 'open'",
        )
        .fetch_all(&self.pool)
        .await
        .expect("sessions");
        assert!(open.is_empty(), "left open: {open:?}");
        let removed = "select (select count(*) from principals where deleted_at is not null) \
             + (select count(*) from resources where deleted_at is not null) \
             + (select count(*) from resource_assignments where deleted_at is not null)";
        assert_eq!(self.count(removed).await, 0);
    }

    /// A crawl that nobody cancels needs no take-over and brings what the tenant has.
    async fn assert_a_normal_crawl_matches(&self) {
        let report = self.crawl(CancellationToken::new()).await;
        assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
        let truth = self.simulator.truth();
        let users =
            "select count(*) from principals where principal_type in ('User', 'ExternalUser')";
        assert_eq!(self.count(users).await, truth.users.len() as i64);
        let groups = "select count(*) from resources where resource_type = 'EntraGroup'";
        assert_eq!(self.count(groups).await, truth.groups.len() as i64);
        let members = "select count(*) from resource_assignments a join resources r \
             on r.system_id = a.system_id and r.id = a.resource_id \
             where a.assignment_type = 'Direct' and r.resource_type = 'EntraGroup'";
        assert_eq!(self.count(members).await, truth.members.len() as i64);
        self.assert_nothing_is_open_or_removed().await;
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("the server ends in order");
        }
        self.simulator.stop().await;
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

/// Everything that this version reads, in small batches, so that there are many moments to cancel at.
fn config(simulator: &Simulator, register: RegisterConfig) -> CrawlConfig {
    let mut graph = GraphConfig::new(
        simulator.tenant_id().to_string(),
        simulator.client_id().to_string(),
        simulator.client_secret().to_owned().into(),
    );
    graph.base_url = simulator.base_url().parse().expect("url");
    graph.login_base_url = graph.base_url.clone();
    let mut config = CrawlConfig::new(graph, register);
    // What did not change would leave little to cancel.
    config.mode = Mode::Full;
    config.selection = Selection {
        service_principals: true,
        pim: true,
        // Twice the sessions, all ended in the same way.
        governance: false,
        ..Selection::default()
    };
    config.tuning = Tuning {
        resource_units_per_10_s: 1e9,
        report_requests_per_10_s: 1e9,
        policy_requests_per_10_s: 1e9,
        page_size: 20,
        batch_records: 30,
        ..Tuning::default()
    };
    config
}

/// Passes requests on at once and answers late, until told to stop; counts what is answered.
async fn delay_answers(
    outer: TcpListener,
    inner: String,
    answers: watch::Sender<u64>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = outer.accept() => accepted,
        };
        let (client, _) = accepted.expect("a connection");
        let server = TcpStream::connect(&inner).await.expect("the server");
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        connections.spawn(pass_on(from_client, to_server, Duration::ZERO, None));
        let answers = Some(answers.clone());
        connections.spawn(pass_on(from_server, to_client, ANSWER_DELAY, answers));
    }
}

async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    count: Option<watch::Sender<u64>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    // A connection that breaks is what happens to a client that goes away.
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(count) = &count {
            count.send_modify(|count| *count += 1);
        }
        sleep(delay).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Numbers that look random and are the same in every run of the test.
struct Moments(u64);

impl Moments {
    /// A number below the limit.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_at_any_moment_a_crawl_leaves_no_session_open_and_removes_nothing() {
    let bench = RealRegister::start().await;
    let mut moments = Moments(4);
    // Answers of a whole crawl; a little less than that before one was counted.
    let mut whole_crawl = 40;
    let mut cancelled = 0;
    // Into an empty register first, then into one that knows everything.
    for _ in 0..2 {
        for _ in 0..25 {
            let cancel = CancellationToken::new();
            let moment = *bench.answers.borrow() + moments.below(whole_crawl);
            let (mut answers, canceller) = (bench.answers.subscribe(), cancel.clone());
            let waiting = tokio::spawn(async move {
                let is_time = answers.wait_for(|count| *count > moment).await;
                is_time.expect("the proxy runs");
                canceller.cancel();
            });
            let report = bench.crawl(cancel).await;
            waiting.abort();
            cancelled += u32::from(report.outcome == RunOutcome::Cancelled);
            bench.assert_nothing_is_open_or_removed().await;
        }
        let before = *bench.answers.borrow();
        bench.assert_a_normal_crawl_matches().await;
        whole_crawl = *bench.answers.borrow() - before;
    }
    println!("a whole crawl gets {whole_crawl} answers; {cancelled} of 50 were cancelled");
    assert!(cancelled >= 40, "only {cancelled} crawls were cancelled");
    let aborted = "select count(*) from sync_sessions where state = 'aborted'";
    assert!(bench.count(aborted).await > 40, "sessions were under way");
    bench.stop().await;
}
