//! What to measure.

use std::path::PathBuf;

use clap::Parser;
use ingest_client::BatchLimits;

/// Measures the ingest engine: the real server on a real PostgreSQL, loaded as a crawler loads it.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "load",
    about = "Measures the ingest engine",
    bin_name = "cargo bench -p ingest-api --bench load --"
)]
pub struct Options {
    /// Principals (N); there are N/4 resources and 5N assignments
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..))]
    pub principals: u64,
    /// Load this many assignments once, with a fifth as many principals, and time every million of them
    #[arg(long, value_name = "N", conflicts_with = "small_batches", value_parser = clap::value_parser!(u64).range(5000..))]
    pub assignments: Option<u64>,
    /// Load principals of 1.2 KB in batches of 500, twice
    #[arg(long)]
    pub small_batches: bool,
    /// After the first load, load so many days, on each of which 1 % changes, and say how large the history is
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["small_batches", "assignments"])]
    pub days: Option<u32>,
    /// Promote attributes of the principals while readers and a load go on, and measure what those notice
    #[arg(long, conflicts_with_all = ["small_batches", "assignments"])]
    pub promotion: bool,
    /// Give this many attributes of the principals columns before the first load
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=5))]
    pub promoted: u8,
    /// Records in a batch, at most [default: the client's]
    #[arg(long, value_name = "RECORDS")]
    pub batch: Option<usize>,
    /// Batches under way at once per session [default: the client's]
    #[arg(long, value_name = "BATCHES")]
    pub in_flight: Option<usize>,
    /// Send bodies as they are
    #[arg(long)]
    pub no_compression: bool,
    /// Load principals, resources and assignments one after the other instead of side by side, as the crawler does
    /// (always so with --assignments)
    #[arg(long)]
    pub one_by_one: bool,
    /// How often to load what did not change and then what did; the ratio is that of the medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Leave out the floor: COPY of the same rows into the same tables
    #[arg(long)]
    pub no_floor: bool,
    /// Refresh the views after each load, as a crawler does, and time that too
    #[arg(long)]
    pub views: bool,
    /// Another tenant of the same size
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A PostgreSQL setting, `name=value`; several times for several
    #[arg(long = "postgres-setting", value_name = "NAME=VALUE", value_parser = setting)]
    pub postgres_settings: Vec<(String, String)>,
    /// Where the database is put, in a temporary folder [default: the system's temporary folder]
    #[arg(long, value_name = "FOLDER")]
    pub place: Option<PathBuf>,
    /// Write the figures to this file as JSON too (cargo starts the program in the crate's folder: give an absolute path)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Given by `cargo bench`; without it nothing runs
    #[arg(long, hide = true)]
    pub bench: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected name=value".to_owned())
}

/// How large a principal's record becomes by further text with `--small-batches`, in bytes: 1.2 KB in all.
const SMALL_BATCH_PADDING: usize = 380;

impl Options {
    /// When batches are sent.
    pub fn limits(&self) -> BatchLimits {
        let mut limits = BatchLimits::default();
        if self.small_batches {
            limits.max_records = 500;
        }
        limits.max_records = self.batch.unwrap_or(limits.max_records);
        limits.in_flight = self.in_flight.unwrap_or(limits.in_flight);
        limits
    }

    /// How many principals the tenant has.
    pub fn principal_count(&self) -> u64 {
        self.assignments
            .map_or(self.principals, |assignments| assignments / 5)
    }

    /// How many assignments the tenant has.
    pub fn assignment_count(&self) -> u64 {
        self.assignments.unwrap_or(5 * self.principals)
    }

    /// Further text in each principal.
    pub fn padding(&self) -> usize {
        if self.small_batches {
            SMALL_BATCH_PADDING
        } else {
            0
        }
    }
}
