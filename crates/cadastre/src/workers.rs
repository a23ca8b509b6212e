//! `cadastre workers`: who asks a server for jobs; over its API.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use contract::{WorkerInfo, WorkerList};

use crate::{
    ask::{Questions, ServerArgs},
    text::{clean, show, table},
};

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub enum WorkersCommand {
    /// List the workers of the last seven days, the one that was heard of last first
    List(ServerArgs),
}

/// Runs a `workers` command.
pub async fn run(command: WorkersCommand) -> anyhow::Result<()> {
    let WorkersCommand::List(server) = command;
    let known: WorkerList = Questions::of(server)?.get("workers", &[]).await?;
    let rows: Vec<Vec<String>> = known.items.iter().map(row).collect();
    let head = ["Worker", "Version", "Key", "Since", "Last seen", "Works on"];
    show(&table(&head, &rows))?;
    Ok(())
}

fn row(worker: &WorkerInfo) -> Vec<String> {
    let second = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
    let jobs: Vec<String> = worker.jobs.iter().map(ToString::to_string).collect();
    vec![
        clean(&worker.name, 120),
        clean(&worker.version, 20),
        clean(&worker.key_id, 20),
        second(worker.first_seen_at),
        second(worker.last_seen_at),
        if jobs.is_empty() {
            "-".to_owned()
        } else {
            jobs.join(", ")
        },
    ]
}
