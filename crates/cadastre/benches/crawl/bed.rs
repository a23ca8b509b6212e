//! The test bed: a simulated Graph in this process, PostgreSQL as it ships in a folder of its own, and the real server and
//! crawler as processes of their own.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use contract::{Permission, RunOutcome, RunReport};
use embedded_postgres::Settings;
use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec};
use ingest_api::auth::{NewKey, create_key};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{
    Options, count,
    process::{FamilyMemory, cpu_seconds, cpu_seconds_of_family, forget_peak, peak_memory},
};

/// The workspace that exists from the start.
const DEFAULT_WORKSPACE: i32 = 1;

/// How often the crawler is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// What to crawl, and how.
pub struct Order {
    /// The tenant.
    pub spec: TenantSpec,
    /// How Graph behaves.
    pub simulator: SimOptions,
    /// Flags of the crawler.
    pub flags: &'static [&'static str],
}

/// What a crawl cost.
#[derive(Debug, Clone)]
pub struct Crawled {
    /// From the start of the crawler's process to its end; what it read is committed by then.
    pub seconds: f64,
    /// HTTP calls that Graph counted; the token is not among them.
    pub calls: u64,
    /// Requests as Graph counts them: each part of a batch is one.
    pub requests: u64,
    /// Resource units.
    pub units: u64,
    /// Answers 429.
    pub throttled: u64,
    /// Rows in the register afterwards.
    pub rows: u64,
    /// CPU seconds of the crawler.
    pub crawler_cpu: f64,
    /// The most memory that the crawler had, in bytes.
    pub crawler_peak: u64,
    /// CPU seconds of the server.
    pub server_cpu: Option<f64>,
    /// The most memory that the server had, in bytes.
    pub server_peak: Option<u64>,
    /// CPU seconds of PostgreSQL.
    pub postgres_cpu: Option<f64>,
    /// The most memory that PostgreSQL had, in bytes.
    pub postgres_peak: Option<u64>,
    /// CPU seconds of the simulated Graph.
    pub graph_cpu: Option<f64>,
}

/// Everything that a crawl needs. Dropped in this order: the server first, then PostgreSQL, then the folder.
pub struct Bed {
    simulator: Simulator,
    register: PgPool,
    base_url: String,
    key: SecretString,
    server: Child,
    postgres: embedded_postgres::Server,
    folder: TempDir,
}

impl Bed {
    /// Starts everything.
    pub async fn start(order: &Order, options: &Options) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("cadastre-crawl-")
            .tempdir()?;
        // PostgreSQL may run as another user.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711))?;
        let settings = Settings::new(folder.path().join("postgres"));
        let postgres = embedded_postgres::Server::start(settings).await?;
        let (server, base_url) = start_server(&postgres.url(), options).await?;
        let register = PgPoolOptions::new()
            .max_connections(1)
            .connect(postgres.admin_url().expose_secret())
            .await?;
        let key = new_key(&register).await?;
        let tenant = Tenant::generate(&order.spec);
        let simulator = Simulator::start(tenant, order.simulator.clone()).await?;
        Ok(Self {
            simulator,
            register,
            base_url,
            key,
            server,
            postgres,
            folder,
        })
    }

    /// Stops everything.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.simulator.stop().await;
        self.register.close().await;
        self.server.kill().await?;
        self.postgres.stop().await?;
        Ok(())
    }

    /// Crawls once, checks that every row is there, and says what it cost.
    pub async fn crawl(&self, order: &Order, options: &Options) -> anyhow::Result<Crawled> {
        self.simulator.reset_stats();
        let server = pid(&self.server)?;
        let own = i32::try_from(std::process::id())?;
        forget_peak(server);
        let cpu = || {
            (
                cpu_seconds(server),
                cpu_seconds_of_family(self.postgres.pid()),
                cpu_seconds(own),
            )
        };
        let memory = FamilyMemory::watch(self.postgres.pid());
        let before = cpu();
        let ended = self.run_crawler(order, options).await?;
        let after = cpu();
        let postgres_peak = memory.finish();
        let report = ended.report(options)?;
        if report.outcome != RunOutcome::Complete {
            bail!("the crawl is not complete: {report:#?}");
        }
        let stats = self.simulator.stats();
        let rows = count::check(&self.register, &self.simulator.truth()).await?;
        let spent = |after: Option<f64>, before: Option<f64>| Some(after? - before?);
        Ok(Crawled {
            seconds: ended.took.as_secs_f64(),
            calls: stats.http_calls,
            requests: stats.requests,
            units: stats.resource_units,
            throttled: report.traffic.throttled,
            rows,
            crawler_cpu: ended.cpu_seconds,
            crawler_peak: ended.peak,
            server_cpu: spent(after.0, before.0),
            server_peak: peak_memory(server),
            postgres_cpu: spent(after.1, before.1),
            postgres_peak,
            graph_cpu: spent(after.2, before.2),
        })
    }

    async fn run_crawler(&self, order: &Order, options: &Options) -> anyhow::Result<Ended> {
        let config = self.folder.path().join("crawler.json");
        let printed = self.folder.path().join("printed");
        let graph = self.simulator.base_url();
        let graph = json!({"Graph": {
            "TenantId": self.simulator.tenant_id(),
            "ClientId": self.simulator.client_id(),
            "ClientSecret": self.simulator.client_secret(),
            "BaseUrl": graph,
            "LoginBaseUrl": graph,
        }, "RequestWindowDays": 36_500});
        std::fs::write(&config, graph.to_string())?;
        let output = std::fs::File::create(&printed)?;
        let complaints = output.try_clone()?;
        let began = Instant::now();
        let mut crawler = Command::new(program("crawler-entra", options)?)
            .arg("--config-file")
            .arg(&config)
            .args(["--progress", "json"])
            .args(order.flags)
            .env("CADASTRE_API_BASE_URL", &self.base_url)
            .env("CADASTRE_API_KEY", self.key.expose_secret())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(complaints)
            .kill_on_drop(true)
            .spawn()
            .context("starting the crawler")?;
        let crawler_pid = pid(&crawler)?;
        let (mut cpu, mut peak) = (0.0, 0);
        let took = loop {
            // A process that has ended keeps its CPU time until it is asked for its status, but not its memory.
            cpu = cpu_seconds(crawler_pid).unwrap_or(cpu);
            peak = peak_memory(crawler_pid).unwrap_or(peak);
            if crawler.try_wait()?.is_some() {
                break began.elapsed();
            }
            tokio::time::sleep(GLANCE).await;
        };
        Ok(Ended {
            took,
            cpu_seconds: cpu,
            peak,
            printed: std::fs::read_to_string(&printed)?,
        })
    }
}

/// A crawler that has ended.
struct Ended {
    took: Duration,
    cpu_seconds: f64,
    peak: u64,
    printed: String,
}

impl Ended {
    /// The last line that it printed.
    fn report(&self, options: &Options) -> anyhow::Result<RunReport> {
        let last = self.printed.lines().last().unwrap_or_default();
        let report: RunReport = serde_json::from_str(last)
            .with_context(|| format!("the crawler printed no report:\n{}", self.printed))?;
        if let Some(folder) = &options.reports {
            std::fs::create_dir_all(folder)?;
            let name = format!("{}.jsonl", report.run_id);
            std::fs::write(folder.join(name), &self.printed)?;
        }
        Ok(report)
    }
}

fn pid(process: &Child) -> anyhow::Result<i32> {
    let pid = process.id().context("the process has ended")?;
    Ok(i32::try_from(pid)?)
}

/// A program: that of the server, or one that lies beside it.
fn program(name: &str, options: &Options) -> anyhow::Result<PathBuf> {
    let built = Path::new(env!("CARGO_BIN_EXE_cadastre")).parent();
    let folder = options.programs.as_deref().or(built);
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program = folder.unwrap_or(Path::new(".")).join(name);
    if !program.exists() {
        bail!("there is no {}: cargo build --release", program.display());
    }
    Ok(program)
}

/// Starts the server's own program and waits until it says where it listens.
async fn start_server(
    database_url: &SecretString,
    options: &Options,
) -> anyhow::Result<(Child, String)> {
    let mut server = Command::new(program("cadastre", options)?)
        .args(["up", "--listen", "127.0.0.1:0"])
        .env("DATABASE_URL", database_url.expose_secret())
        .env("CADASTRE_LOG_LEVEL", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the server")?;
    let stdout = server.stdout.take().context("the server's messages")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix("Register") {
            let base_url = address.trim().to_owned();
            // Ends with the server, whose messages it reads.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((server, base_url));
        }
    }
    bail!("the server did not start")
}

async fn new_key(register: &PgPool) -> anyhow::Result<SecretString> {
    let new = NewKey {
        workspace_id: DEFAULT_WORKSPACE,
        name: "bench".into(),
        permissions: vec![Permission::Ingest, Permission::Read],
        system_ids: None,
        expires_at: None,
        created_by: "bench".into(),
    };
    let (generated, _) = create_key(&mut *register.acquire().await?, &new).await?;
    Ok(generated.key)
}
