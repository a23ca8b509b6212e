//! Measures the ingest engine, end to end: the real server, as a process of its own, on a PostgreSQL of its own with its
//! shipping, durable settings, loaded over HTTP with the client that crawlers use.
//!
//! ```bash
//! cargo bench -p ingest-api --bench load -- --principals 100000
//! ```
//!
//! Time is printed, never judged. What the register answers and holds is: a wrong count ends the run with an error.

mod bed;
mod check;
mod drive;
mod floor;
mod generate;
mod measure;
mod options;
mod phase;
mod process;
mod promotion;
mod report;
mod words;

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    bed::Bed,
    generate::Tenant,
    measure::Sizes,
    options::Options,
    phase::{Phase, Round, Shape},
    report::Report,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if !options.bench {
        println!("This is a benchmark: cargo bench -p ingest-api --bench load -- --help");
        return Ok(());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let report = tokio::select! {
        report = measure_all(&options) => report?,
        // Left like this, everything that was started is stopped as well.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    };
    report.print();
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

async fn measure_all(options: &Options) -> anyhow::Result<Report> {
    let tenant = Arc::new(Tenant::new(
        options.seed,
        options.principal_count(),
        options.assignment_count(),
        options.padding(),
    ));
    let shape = Shape {
        parallel: !options.one_by_one && options.assignments.is_none(),
        principals_only: options.small_batches || options.promotion,
        views: options.views,
    };
    let bed = Bed::start(options).await?;
    let mut report = Report {
        began_at: chrono::Utc::now(),
        postgres_version: bed.postgres.version(),
        processors: std::thread::available_parallelism()?.get(),
        arguments: std::env::args().skip(1).collect(),
        phases: Vec::new(),
        floors: Vec::new(),
        sizes_after_first_load: None,
        sizes_at_end: None,
    };
    introduce(options, &tenant, &bed, shape)?;
    bed.warm_up().await?;
    if options.promoted > 0 {
        promotion::promote(&bed, usize::from(options.promoted)).await?;
    }

    report
        .phases
        .push(load(&bed, &tenant, Round::First, shape).await?);
    report.sizes_after_first_load = Some(Sizes::read(&bed.admin).await?);
    if options.promotion {
        promotion::measure(&bed, &tenant).await?;
        return Ok(report);
    }
    if options.assignments.is_some() {
        return Ok(report);
    }
    if let Some(days) = options.days {
        for day in 1..=days {
            let phase = load(&bed, &tenant, Round::Daily(day), shape).await?;
            report.phases.push(phase);
        }
        report.sizes_at_end = Some(Sizes::read(&bed.admin).await?);
        return Ok(report);
    }
    if !options.no_floor && !options.small_batches {
        eprintln!("… floor");
        report.floors = floor::measure(&bed).await?;
    }
    for day in 1..=options.rounds {
        let again = load(&bed, &tenant, Round::Unchanged(day - 1), shape).await?;
        report.phases.push(again);
        if options.small_batches {
            break;
        }
        let changed = load(&bed, &tenant, Round::Changed(day), shape).await?;
        report.phases.push(changed);
    }
    report.sizes_at_end = Some(Sizes::read(&bed.admin).await?);
    Ok(report)
}

async fn load(
    bed: &Bed,
    tenant: &Arc<Tenant>,
    round: Round,
    shape: Shape,
) -> anyhow::Result<Phase> {
    eprintln!("… {}", round.name());
    let loaded = phase::run(bed, tenant, round, shape).await;
    loaded.with_context(|| round.name().to_owned())
}

/// Says what is measured, and the processes to look at while it is.
fn introduce(options: &Options, tenant: &Tenant, bed: &Bed, shape: Shape) -> anyhow::Result<()> {
    let limits = options.limits();
    if shape.principals_only {
        println!("{} principals", options.principal_count());
    } else {
        println!(
            "{} principals, {} resources, {} assignments (largest group: {} members)",
            options.principal_count(),
            tenant.resources_total(),
            tenant.assignments_total(),
            tenant.largest_group()
        );
    }
    println!(
        "Batches of at most {} records or {} bytes, {} under way per session, {}, lists {}",
        limits.max_records,
        limits.max_bytes,
        limits.in_flight,
        if options.no_compression {
            "not compressed"
        } else {
            "zstd"
        },
        if shape.parallel {
            "side by side"
        } else {
            "one after the other"
        }
    );
    println!(
        "{} processors, PostgreSQL {}; processes: server {}, PostgreSQL {}, this {}",
        std::thread::available_parallelism()?,
        bed.postgres.version(),
        bed.server_pid()?,
        bed.postgres.pid(),
        std::process::id()
    );
    Ok(())
}
