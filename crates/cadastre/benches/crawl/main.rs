//! What a crawl costs, end to end: a simulated Graph, the real crawler, the real server, PostgreSQL as it ships. Crawler and
//! server are processes of their own, built with optimisations, each measured by what the kernel says of it; the simulated
//! Graph lives in this one.
//!
//! `make bench-crawl`; the figures belong in `docs/performance.md`, with the command. A run that is not complete or leaves
//! another number of rows than the tenant has ends the benchmark with an error; a figure that misses its goal is marked.

mod bed;
mod count;
#[path = "../../../ingest-api/benches/load/process.rs"]
mod process;
mod scenario;
mod table;

use anyhow::Context;
use clap::Parser;

use scenario::{Scenario, Size};

/// Crawls simulated tenants and prints time, calls, CPU and memory.
#[derive(Debug, Parser)]
pub struct Options {
    /// What to measure; everything when nothing is named.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// How often each first load is measured (memory: once)
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Crawl each tenant a second time, unchanged
    #[arg(long)]
    again: bool,
    /// Users of the large tenant; everything else grows with them
    #[arg(long, default_value_t = 20_000)]
    users: usize,
    /// How many times larger the tenant is that the memory is compared with
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Memory: read sign-ins, too, at the pace that Graph allows (400 pages of the larger tenant take a quarter of an hour)
    #[arg(long)]
    sign_ins: bool,
    /// The same seed gives the same tenants
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take the programs of server and crawler from this folder instead of those that were built with the benchmark
    #[arg(long, value_name = "FOLDER")]
    programs: Option<std::path::PathBuf>,
    /// Keep the crawler's reports in this folder
    #[arg(long, value_name = "FOLDER")]
    reports: Option<std::path::PathBuf>,
    /// What `cargo bench` passes on.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let all = [
        Scenario::Latency,
        Scenario::Cap,
        Scenario::Quota,
        Scenario::Memory,
    ];
    let chosen = match options.scenarios.as_slice() {
        [] => &all[..],
        some => some,
    };
    for scenario in chosen {
        scenario
            .measure(options, Size::large(options.users))
            .await?;
    }
    Ok(())
}
