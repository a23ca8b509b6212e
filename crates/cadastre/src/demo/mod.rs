//! `cadastre demo`: the whole product against a simulated tenant, in one command.

mod summary;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::TimeDelta;
use clap::Args;
use contract::{Permission, RunOutcome, RunReport};
use crawler_entra::{
    CrawlConfig, GraphConfig, Mode, RegisterConfig, Selection,
    cli::{Display, ProgressForm},
    crawl,
};
use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec, Throttle};
use ingest_api::secret::KeySource;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    ask::Questions,
    cli::stop_signal,
    keys,
    place::{Place, usual_folder},
    server::{RunningServer, listen},
    text::number,
};

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Show what was found, then exit
    #[arg(long)]
    once: bool,
    /// Users of the simulated tenant
    #[arg(long, default_value_t = 2_000)]
    users: usize,
    /// Groups of the simulated tenant
    #[arg(long, default_value_t = 600)]
    groups: usize,
    /// Service principals of the simulated tenant
    #[arg(long, default_value_t = 400)]
    service_principals: usize,
    /// Another seed is another tenant
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let the simulated tenant throttle as Graph does
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    throttle: bool,
    /// Where to listen; a free port when this one is taken
    #[arg(long, env = "CADASTRE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the demo keeps its data [default: `demo` in the usual data folder]
    #[arg(long)]
    data_folder: Option<PathBuf>,
    /// Use this PostgreSQL instead of one of our own
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
}

/// How long the views may take to catch up before the demo gives up on them.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the demo; the exit code is the crawl's (0 complete, 3 partial or held, 1 failed).
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let place = place(&args)?;
    println!(
        "Cadastre demo: {} users, {} groups, {} service principals (seed {})\n",
        number(args.users as u64),
        number(args.groups as u64),
        number(args.service_principals as u64),
        args.seed
    );

    let keyring = place.keyring(KeySource::default())?;
    let opened = place.open().await?;
    step("Database", &opened.describe());
    let listener = listen(args.listen, true).await?;
    let server = RunningServer::start(&opened.url, keyring, listener).await?;
    step("Register", &server.base_url);
    let simulator = start_simulator(&args).await?;
    step(
        "Tenant",
        &format!("simulated Microsoft Graph at {}", simulator.base_url()),
    );

    let shown = tokio::select! {
        shown = crawl_and_show(&server, &simulator, args.throttle) => shown,
        stopped = stop_signal() => stopped.and_then(|()| bail!("stopped")),
    };
    let code = match shown {
        Ok((outcome, key)) => {
            if !args.once {
                summary::print_next_steps(&server.base_url, &key);
                stop_signal().await?;
                println!("Stopping.");
            }
            Ok(exit_code(outcome))
        }
        Err(error) => Err(error),
    };
    simulator.stop().await;
    server.stop().await?;
    opened.close().await?;
    code
}

fn exit_code(outcome: RunOutcome) -> ExitCode {
    match outcome {
        RunOutcome::Complete => ExitCode::SUCCESS,
        RunOutcome::Partial | RunOutcome::Held => ExitCode::from(3),
        RunOutcome::Failed | RunOutcome::Cancelled => ExitCode::FAILURE,
    }
}

fn step(name: &str, what: &str) {
    println!("  {name:<10} {what}");
}

/// A tenant of another size or seed is another tenant: it gets a database of its own, so that it is not taken for a
/// tenant that lost most of its users.
fn place(args: &DemoArgs) -> anyhow::Result<Place> {
    let folder = match &args.data_folder {
        Some(folder) => folder.clone(),
        None => usual_folder()?.join("demo").join(format!(
            "seed-{}-users-{}-groups-{}-service-principals-{}",
            args.seed, args.users, args.groups, args.service_principals
        )),
    };
    Ok(Place::choose(args.database_url.clone(), Some(folder))?)
}

async fn start_simulator(args: &DemoArgs) -> anyhow::Result<Simulator> {
    let spec = TenantSpec::new(args.seed, args.users, args.groups, args.service_principals);
    let tenant = tokio::task::spawn_blocking(move || Tenant::generate(&spec)).await?;
    let throttle = if args.throttle {
        Throttle::on()
    } else {
        Throttle::off()
    };
    let options = SimOptions {
        throttle,
        ..SimOptions::default()
    };
    Simulator::start(tenant, options)
        .await
        .context("starting the simulated tenant")
}

async fn crawl_and_show(
    server: &RunningServer,
    simulator: &Simulator,
    is_throttled: bool,
) -> anyhow::Result<(RunOutcome, SecretString)> {
    let lifetime = TimeDelta::days(1);
    let (ingest_key, _) = keys::make(
        &server.pool,
        "demo crawler",
        &[Permission::Ingest],
        None,
        lifetime,
    )
    .await?;
    let (read_key, _) = keys::make(
        &server.pool,
        "demo reader",
        &[Permission::Read],
        None,
        lifetime,
    )
    .await?;

    println!("\nCrawling the tenant:");
    let report = crawl_tenant(server, simulator, ingest_key, is_throttled).await?;
    println!("\n{}", crawler_entra::report::render(&report));

    let questions = Questions::new(&server.base_url.parse()?, read_key.clone())?;
    let waited = wait_for_views(&questions).await?;
    println!(
        "Views are up to date {:.1} s after the crawl.\n",
        waited.as_secs_f64()
    );
    summary::print(&questions).await?;
    let took = report.finished_at - report.started_at;
    println!(
        "Crawl and ingest took {:.1} s{}.",
        took.as_seconds_f64(),
        peak_memory_mb().map_or_else(String::new, |peak| format!(
            "; server, crawler and simulated tenant together used at most {} MB of memory",
            number(peak)
        )),
    );
    Ok((report.outcome, read_key))
}

async fn crawl_tenant(
    server: &RunningServer,
    simulator: &Simulator,
    api_key: SecretString,
    is_throttled: bool,
) -> anyhow::Result<RunReport> {
    let mut graph = GraphConfig::new(
        simulator.tenant_id().to_string(),
        simulator.client_id().to_string(),
        simulator.client_secret().to_owned().into(),
    );
    graph.base_url = simulator.base_url().parse()?;
    graph.login_base_url = graph.base_url.clone();
    let register = RegisterConfig {
        base_url: server.base_url.parse()?,
        api_key,
    };
    let mut config = CrawlConfig::new(graph, register);
    // The simulated tenant starts anew with the process and knows nothing of changes before.
    config.mode = Mode::Full;
    config.selection = Selection {
        service_principals: true,
        pim: true,
        ..Selection::default()
    };
    // The simulated tenant's days are always the same ones.
    config.request_window_days = 36_500;
    if !is_throttled {
        // Nobody has to wait for sign-ins where nobody limits them.
        config.tuning.report_requests_per_10_s = 10_000.0;
        config.tuning.policy_requests_per_10_s = 10_000.0;
    }
    // A demo that was killed leaves its sessions open.
    config.take_over = true;
    let display = Arc::new(Display::new(ProgressForm::automatic()));
    let report = crawl(config, display.clone(), CancellationToken::new()).await;
    display.finish();
    Ok(report?)
}

#[derive(Deserialize)]
struct RefreshStatus {
    views: Vec<views::ViewStatus>,
}

/// Waits until what the crawl brought is in the views.
async fn wait_for_views(questions: &Questions) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let status: RefreshStatus = questions.get("ingest/refresh-views", &[]).await?;
        if status
            .views
            .iter()
            .all(|view| !view.is_stale && !view.is_running)
        {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            let errors: Vec<String> = status
                .views
                .into_iter()
                .filter_map(|view| view.error)
                .collect();
            bail!(
                "the views did not catch up in {} s {}",
                PATIENCE.as_secs(),
                errors.join("; ")
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The most memory that this process ever used, as Linux counts it.
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024)
}

/// The key as a line for a shell.
fn export_line(key: &SecretString) -> String {
    format!("export CADASTRE_API_KEY={}", key.expose_secret())
}
