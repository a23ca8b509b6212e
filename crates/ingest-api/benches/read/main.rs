//! Measures lists and exports over HTTP: the real server, as a process of its own, on a PostgreSQL of its own with its
//! shipping settings, over a register that was filled by SQL.
//!
//! ```bash
//! cargo bench -p ingest-api --bench read -- --principals 100000 --assignments 500000
//! ```
//!
//! Time is printed, never judged. A wrong number of rows ends the run with an error.

mod bed;
mod questions;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use reqwest::Response;
use serde_json::Value;

use crate::{
    bed::Bed,
    questions::{Question, all as all_questions},
};

/// Measures lists and exports.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "read",
    about = "Measures lists and exports",
    bin_name = "cargo bench -p ingest-api --bench read --"
)]
struct Options {
    /// Principals
    #[arg(long, default_value_t = 100_000)]
    principals: i64,
    /// Assignments
    #[arg(long, default_value_t = 500_000)]
    assignments: i64,
    /// Systems that they are spread over
    #[arg(long, default_value_t = 1)]
    systems: i32,
    /// How often each question is asked
    #[arg(long, default_value_t = 100)]
    requests: usize,
    /// A statement to run after filling, such as `create index …`; several times for several
    #[arg(long = "sql", value_name = "STATEMENT")]
    statements: Vec<String>,
    /// Leave out the exports
    #[arg(long)]
    no_exports: bool,
    /// Given by `cargo bench`; without it nothing runs
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if !options.bench {
        println!("This is a benchmark: cargo bench -p ingest-api --bench read -- --help");
        return Ok(());
    }
    let bed = Bed::start().await?;
    let began = Instant::now();
    bed.fill(options.systems, options.principals, options.assignments)
        .await?;
    println!("filled in {:.1} s", began.elapsed().as_secs_f64());
    for statement in &options.statements {
        let began = Instant::now();
        bed.run(statement).await?;
        println!("{:8.1} s  {statement}", began.elapsed().as_secs_f64());
    }
    println!("{:<60} {:>8} {:>8} {:>8}  ms", "list", "p50", "p95", "max");
    for question in all_questions() {
        list(&bed, &options, &question).await?;
    }
    if !options.no_exports {
        println!(
            "{:<60} {:>10} {:>8} {:>8}",
            "export", "rows/s", "MB/s", "grown MB"
        );
        for (path, rows) in [
            ("principals/export", options.principals),
            ("principals/export?format=csv", options.principals),
            (
                "principals/export?fields=id,displayName,department",
                options.principals,
            ),
            ("resource-assignments/export", options.assignments),
            (
                "resource-assignments/export?format=csv",
                options.assignments,
            ),
        ] {
            export(&bed, path, rows).await?;
        }
    }
    Ok(())
}

/// Asks for the same kind of page again and again: each time one further page, where the question walks on.
async fn list(bed: &Bed, options: &Options, question: &Question) -> anyhow::Result<()> {
    let mut times = Vec::with_capacity(options.requests);
    let mut place = String::new();
    for _ in 0..options.requests {
        let path = format!("{}{place}", question.path);
        let began = Instant::now();
        let text = bed.get(&path).await?.text().await?;
        times.push(began.elapsed());
        let page: Value = serde_json::from_str(&text)?;
        let items = page["items"].as_array().context("items")?;
        ensure!(!items.is_empty(), "{path}: no rows");
        if let Some((link, parameter)) = question.walks {
            place = page[link]
                .as_str()
                .map_or(String::new(), |word| format!("&{parameter}={word}"));
        }
    }
    times.sort();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
    println!(
        "{:<60} {:8.1} {:8.1} {:8.1}",
        question.name,
        at(0.5),
        at(0.95),
        at(1.0)
    );
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

async fn export(bed: &Bed, path: &str, rows: i64) -> anyhow::Result<()> {
    let before = bed.peak_memory(true)?;
    let began = Instant::now();
    let response = bed.get(path).await?;
    let (bytes, lines) = drain(response).await?;
    let seconds = began.elapsed().as_secs_f64();
    let header = i64::from(path.contains("csv"));
    ensure!(
        lines == rows + header,
        "{path}: {lines} lines for {rows} rows"
    );
    let grown = bed.peak_memory(false)?.saturating_sub(before);
    println!(
        "{path:<60} {:10.0} {:8.1} {:8.1}",
        rows as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        grown as f64 / 1024.0
    );
    Ok(())
}

async fn drain(mut response: Response) -> anyhow::Result<(usize, i64)> {
    let (mut bytes, mut lines) = (0, 0);
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len();
        lines += memchr::memchr_iter(b'\n', &chunk).count() as i64;
    }
    Ok((bytes, lines))
}
