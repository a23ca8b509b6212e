//! Measures lists and exports over HTTP: the real server, as a process of its own, on a PostgreSQL of its own with its
//! shipping settings, over a register that was filled by SQL.
//!
//! ```bash
//! cargo bench -p ingest-api --bench read -- --principals 100000 --resources 25000 --assignments 500000 --exported 100000
//! ```
//!
//! Time is printed, never judged. A wrong number of rows ends the run with an error.

mod bed;
mod questions;

use std::{
    fs::File,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use reqwest::Response;
use serde_json::Value;

use crate::{
    bed::{Bed, Size},
    questions::{Question, Start},
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
    /// Resources
    #[arg(long, default_value_t = 25_000)]
    resources: i64,
    /// Assignments
    #[arg(long, default_value_t = 500_000)]
    assignments: i64,
    /// Systems that they are spread over
    #[arg(long, default_value_t = 1)]
    systems: i32,
    /// Principals, and assignments, in the system that is exported, beside all others
    #[arg(long, default_value_t = 100_000)]
    exported: i64,
    /// How often each question is asked
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// The same for questions that read a whole table; 0 to leave them out
    #[arg(long, default_value_t = 5)]
    whole_requests: usize,
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
    let mut bed = Bed::start().await?;
    // Before the rows: each is written with its columns, as a load would.
    bed.promote("costCenter", "text").await?;
    bed.promote("badge", "number").await?;
    let began = Instant::now();
    bed.fill(Size {
        systems: options.systems,
        principals: options.principals,
        resources: options.resources,
        assignments: options.assignments,
        exported: options.exported,
    })
    .await?;
    println!("filled in {:.1} s", began.elapsed().as_secs_f64());
    for statement in &options.statements {
        let began = Instant::now();
        bed.run(statement).await?;
        println!("{:8.1} s  {statement}", began.elapsed().as_secs_f64());
    }
    for (entity, field) in questions::INDEXED {
        let began = Instant::now();
        bed.index(entity, field).await?;
        let seconds = began.elapsed().as_secs_f64();
        println!("{seconds:8.1} s  index of {entity} by {field}, on request");
    }
    println!("{:<64} {:>8} {:>8} {:>8}  ms", "list", "p50", "p95", "max");
    for question in questions::usual()
        .into_iter()
        .chain(questions::by_fields(options.principals))
    {
        list(&bed, options.requests, &question).await?;
    }
    if options.whole_requests > 0 {
        println!("whole tables");
        for question in questions::whole() {
            list(&bed, options.whole_requests, &question).await?;
        }
    }
    if !options.no_exports {
        println!(
            "{:<64} {:>8} {:>8} {:>8} {:>8}",
            "export", "rows/s", "MB/s", "MB", "grown MB"
        );
        for table in ["principals", "resource-assignments"] {
            for format in ["ndjson", "csv", "parquet"] {
                export(&bed, table, format, options.exported).await?;
            }
        }
    }
    Ok(())
}

/// Asks for the same kind of page again and again: each time one further page, where the question walks on.
async fn list(bed: &Bed, requests: usize, question: &Question) -> anyhow::Result<()> {
    let mut times = Vec::with_capacity(requests);
    let start = match &question.start {
        Start::Beginning => String::new(),
        Start::End => "&before=end".to_owned(),
        Start::Behind(path) => {
            let page: Value = serde_json::from_str(&bed.get(path).await?.text().await?)?;
            let next = page["next"].as_str().context("rows behind it")?;
            format!("&after={next}")
        }
    };
    let mut place = start.clone();
    for _ in 0..requests {
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
                .map_or_else(|| start.clone(), |word| format!("&{parameter}={word}"));
        }
    }
    times.sort();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
    println!(
        "{:<64} {:8.1} {:8.1} {:8.1}",
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

async fn export(bed: &Bed, table: &str, format: &str, rows: i64) -> anyhow::Result<()> {
    let path = format!("{table}/export?format={format}");
    let before = bed.peak_memory(true)?;
    let began = Instant::now();
    let response = bed.export(&path).await?;
    let mut file = tempfile::tempfile()?;
    let (bytes, lines) = drain(response, &mut file).await?;
    let seconds = began.elapsed().as_secs_f64();
    let grown = bed.peak_memory(false)?.saturating_sub(before);
    let found = match format {
        "parquet" => {
            let file = SerializedFileReader::new(file)?;
            file.metadata().file_metadata().num_rows()
        }
        "csv" => lines - 1,
        _ => lines,
    };
    ensure!(found == rows, "{path}: {found} rows of {rows}");
    println!(
        "{path:<64} {:8.0} {:8.1} {:8.1} {:8.1}",
        rows as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        bytes as f64 / 1e6,
        grown as f64 / 1024.0
    );
    Ok(())
}

/// Keeps the body in a file: a client that does next to nothing.
async fn drain(mut response: Response, file: &mut File) -> anyhow::Result<(usize, i64)> {
    let (mut bytes, mut lines) = (0, 0);
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len();
        lines += memchr::memchr_iter(b'\n', &chunk).count() as i64;
        file.write_all(&chunk)?;
    }
    Ok((bytes, lines))
}
