//! `graph-sim`: serves a generated tenant until it is told to stop.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use graph_sim::{Profile, SimOptions, Simulator, Tenant, TenantSpec, Throttle};

/// A simulated Microsoft Graph tenant.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Number of users, guests included.
    #[arg(long, default_value_t = 200)]
    users: usize,
    /// Number of groups.
    #[arg(long, default_value_t = 60)]
    groups: usize,
    /// Number of service principals.
    #[arg(long, default_value_t = 40)]
    service_principals: usize,
    /// The same seed gives the same tenant.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Milliseconds added to every call.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Whether requests are limited as Graph limits them.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    throttle: Switch,
    /// Faults and conditions, such as `flaky5` or `mixed:17`.
    #[arg(long, default_value_t = Profile::Calm)]
    profile: Profile,
    /// Divides waits, windows of limits and lifetimes of tokens.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    time_scale: f64,
    /// Writes what a crawl must find to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("must be a number above zero".to_owned()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let spec = TenantSpec::new(
        arguments.seed,
        arguments.users,
        arguments.groups,
        arguments.service_principals,
    );
    let options = SimOptions {
        port: arguments.port,
        latency: Duration::from_millis(arguments.latency_ms),
        profile: arguments.profile,
        time_scale: arguments.time_scale,
        throttle: match arguments.throttle {
            Switch::On => Throttle::on(),
            Switch::Off => Throttle::off(),
        },
        ..SimOptions::default()
    };
    let tenant = Tenant::generate(&spec);
    let simulator = Simulator::start(tenant, options).await?;
    if let Some(path) = &arguments.truth {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        serde_json::to_writer_pretty(BufWriter::new(file), &simulator.truth())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("base url:      {}", simulator.base_url());
    println!("tenant id:     {}", simulator.tenant_id());
    println!("client id:     {}", simulator.client_id());
    println!("client secret: {}", simulator.client_secret());
    wait_for_stop().await.context("cannot listen for signals")?;
    simulator.stop().await;
    Ok(())
}

/// Returns on Ctrl-C or SIGTERM.
async fn wait_for_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
