//! The figures as a person reads them, in lines of at most 100 letters, and as JSON.

use std::collections::HashSet;

use serde::Serialize;

use crate::{
    check::REGISTER_TABLES,
    floor::Floor,
    measure::{PerPart, Sizes},
    phase::{CHANGED, Phase, UNCHANGED},
};

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it began.
    pub began_at: chrono::DateTime<chrono::Utc>,
    /// PostgreSQL's version.
    pub postgres_version: String,
    /// Processors of the machine.
    pub processors: usize,
    /// What was asked for, as the command line.
    pub arguments: Vec<String>,
    /// The loads.
    pub phases: Vec<Phase>,
    /// The least that PostgreSQL needs.
    pub floors: Vec<Floor>,
    /// Room taken after the first load.
    pub sizes_after_first_load: Option<Sizes>,
    /// Room taken at the end.
    pub sizes_at_end: Option<Sizes>,
}

const MB: f64 = 1e6;
/// Tables and indexes smaller than this are not listed.
const WORTH_LISTING: i64 = 100_000;

fn or_dash(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn mb(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / MB)
}

impl Report {
    /// The floor that loads are compared with: the better order, one connection.
    fn floor(&self) -> Option<f64> {
        self.best(1)
    }

    fn best(&self, connections: usize) -> Option<f64> {
        self.floors
            .iter()
            .filter(|floor| floor.connections == connections)
            .map(|floor| floor.rows_per_second)
            .reduce(f64::max)
    }

    /// Prints it.
    pub fn print(&self) {
        self.print_phases();
        self.print_resources();
        self.print_parts();
        self.print_floors();
        self.print_tuples();
        for (when, sizes) in [
            ("after the first load", &self.sizes_after_first_load),
            ("at the end", &self.sizes_at_end),
        ] {
            if let Some(sizes) = sizes {
                print_sizes(when, sizes);
            }
        }
        self.print_history();
        self.print_conclusions();
    }

    /// How much the history takes beside the tables that it is about.
    fn print_history(&self) {
        if let Some(sizes) = &self.sizes_at_end {
            let (history, live) = sizes.history_and_live();
            println!(
                "\nHistory: {} MB, {:.1} % of the {} MB of the live tables (indexes and long values included)",
                mb(history),
                100.0 * history as f64 / live as f64,
                mb(live)
            );
        }
    }

    fn print_phases(&self) {
        println!(
            "\n{:<26}{:>9}{:>8}{:>9}{:>7}{:>10}{:>9}{:>9}{:>9}",
            "", "", "", "", "% of", "batches", "p50", "p99", "max"
        );
        println!(
            "{:<26}{:>9}{:>8}{:>9}{:>7}{:>10}{:>9}{:>9}{:>9}",
            "LOAD", "rows", "s", "rows/s", "floor", "", "ms", "ms", "ms"
        );
        for phase in &self.phases {
            let share = self
                .floor()
                .map(|floor| phase.rows_per_second / floor * 100.0);
            println!(
                "{:<26}{:>9}{:>8.2}{:>9.0}{:>7}{:>10}{:>9.0}{:>9.0}{:>9.0}",
                phase.name,
                phase.rows,
                phase.cost.seconds,
                phase.rows_per_second,
                or_dash(share, 1),
                phase.latency.batches,
                phase.latency.p50_ms,
                phase.latency.p99_ms,
                phase.latency.max_ms
            );
        }
    }

    fn print_resources(&self) {
        println!(
            "\n{:<26}{:>27}{:>27}{:>9}{:>9}",
            "", "CPU s per million rows", "peak memory MB", "WAL", "full"
        );
        println!(
            "{:<26}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "COST", "server", "postgres", "client", "server", "postgres", "client", "MB", "pages"
        );
        for phase in &self.phases {
            let cost = &phase.cost;
            let per_million =
                |seconds: Option<f64>| or_dash(seconds.map(|s| s / phase.rows as f64 * 1e6), 1);
            let [server, postgres, client] = each(cost.cpu_seconds, per_million);
            let [server_mb, postgres_mb, client_mb] =
                each(cost.peak_bytes, |bytes: Option<u64>| {
                    or_dash(bytes.map(|bytes| bytes as f64 / MB), 0)
                });
            println!(
                "{:<26}{server:>9}{postgres:>9}{client:>9}{server_mb:>9}{postgres_mb:>9}{client_mb:>9}{:>9}{:>9}",
                phase.name,
                mb(cost.wal_bytes),
                cost.wal_full_pages,
            );
        }
    }

    fn print_parts(&self) {
        println!(
            "\n{:<26}{:<13}{:>9}{:>8}{:>9}{:>9}{:>10}",
            "LISTS", "", "rows", "s", "rows/s", "commit s", "JSON MB"
        );
        for phase in self.first_of_each() {
            for part in &phase.parts {
                println!(
                    "{:<26}{:<13}{:>9}{:>8.2}{:>9.0}{:>9.2}{:>10}",
                    phase.name,
                    part.name,
                    part.rows,
                    part.seconds,
                    part.rows as f64 / part.seconds,
                    part.commit_seconds,
                    mb(part.json_bytes as i64)
                );
            }
            if let Some(seconds) = phase.views_seconds {
                println!("{:<26}{:<13}{:>17.2}", phase.name, "views", seconds);
            }
        }
    }

    fn print_floors(&self) {
        if self.floors.is_empty() {
            return;
        }
        println!(
            "\n{:<26}{:>9}{:>8}{:>9}{:>18}{:>10}",
            "FLOOR (COPY)", "rows", "s", "rows/s", "postgres CPU s/M", "WAL MB"
        );
        for floor in &self.floors {
            let connections = match floor.connections {
                1 => "1 connection",
                _ => "2 connections",
            };
            println!(
                "{:<26}{:>9}{:>8.2}{:>9.0}{:>18}{:>10}",
                format!("{}, {connections}", floor.order),
                floor.rows,
                floor.seconds,
                floor.rows_per_second,
                or_dash(
                    floor
                        .postgres_cpu_seconds
                        .map(|seconds| seconds / floor.rows as f64 * 1e6),
                    1
                ),
                mb(floor.wal_bytes)
            );
        }
    }

    fn print_tuples(&self) {
        println!(
            "\n{:<26}{:<24}{:>11}{:>11}{:>11}{:>11}",
            "TUPLES WRITTEN", "", "inserted", "updated", "(hot)", "deleted"
        );
        for phase in self.first_of_each() {
            for (table, tuples) in &phase.cost.tuples {
                println!(
                    "{:<26}{table:<24}{:>11}{:>11}{:>11}{:>11}",
                    phase.name, tuples.inserted, tuples.updated, tuples.hot_updated, tuples.deleted
                );
            }
        }
    }

    fn print_conclusions(&self) {
        println!();
        let named = |name: &str| self.phases.iter().find(|phase| phase.name == name);
        let first = named("first load");
        if let (Some(first), Some(one), Some(two)) = (first, self.best(1), self.best(2)) {
            println!(
                "First load: {:.1} % of the floor ({one:.0} rows/s on one connection); {:.1} % of two connections",
                first.rows_per_second / one * 100.0,
                first.rows_per_second / two * 100.0
            );
        }
        let again = named(UNCHANGED);
        if let (Some(first), Some(again)) = (first, again) {
            let written: i64 = REGISTER_TABLES
                .iter()
                .filter_map(|table| again.cost.tuples.get(*table))
                .map(|tuples| tuples.total())
                .sum();
            println!(
                "Unchanged: {written} tuples written into the register, WAL {:.1} % of the first load's",
                again.cost.wal_bytes as f64 / first.cost.wal_bytes as f64 * 100.0
            );
        }
        if let (Some(again), Some(changed)) = (self.median(UNCHANGED), self.median(CHANGED)) {
            println!(
                "1 % changed + 1 % removed: {:.2} times as long as unchanged (medians: {changed:.2} s, {again:.2} s)",
                changed / again
            );
        }
        self.print_millions();
    }

    /// Loads of one kind differ little in what they do: what is long is printed for one of each.
    fn first_of_each(&self) -> impl Iterator<Item = &Phase> {
        let mut seen = HashSet::new();
        self.phases
            .iter()
            .filter(move |phase| seen.insert(phase.name))
    }

    /// The seconds that loads of one kind took; half of them took no longer.
    fn median(&self, name: &str) -> Option<f64> {
        let mut seconds: Vec<f64> = self
            .phases
            .iter()
            .filter(|phase| phase.name == name)
            .map(|phase| phase.cost.seconds)
            .collect();
        seconds.sort_unstable_by(f64::total_cmp);
        seconds.get(seconds.len().checked_sub(1)? / 2).copied()
    }

    fn print_millions(&self) {
        for part in self.phases.iter().flat_map(|phase| &phase.parts) {
            if let [first, .., last] = part.million_seconds.as_slice() {
                let all: Vec<String> = part
                    .million_seconds
                    .iter()
                    .map(|seconds| format!("{seconds:.1}"))
                    .collect();
                println!(
                    "Seconds of each million {}: {}; last / first {:.2}",
                    part.name,
                    all.join(" "),
                    last / first
                );
            }
        }
    }
}

fn each<T: Copy>(parts: PerPart<T>, text: impl Fn(Option<T>) -> String) -> [String; 3] {
    [parts.server, parts.postgres, parts.client].map(text)
}

fn print_sizes(when: &str, sizes: &Sizes) {
    println!(
        "\n{:<50}{:>10}{:>10}{:>10}{:>10}",
        format!("SIZES {when}, MB"),
        "heap",
        "toast",
        "indexes",
        "total"
    );
    for table in &sizes.tables {
        let total = table.heap + table.toast + table.indexes;
        if total < WORTH_LISTING {
            continue;
        }
        println!(
            "{:<50}{:>10}{:>10}{:>10}{:>10}",
            table.name,
            mb(table.heap),
            mb(table.toast),
            mb(table.indexes),
            mb(total)
        );
        for index in sizes
            .indexes
            .iter()
            .filter(|index| index.table == table.name && index.bytes >= WORTH_LISTING)
        {
            println!("  {:<48}{:>30}", index.name, mb(index.bytes));
        }
    }
    println!(
        "{:<50}{:>40}",
        "the whole database (WAL apart)",
        mb(sizes.database)
    );
}
