//! The figures, for a person and for `docs/performance.md`.

use crate::bed::Crawled;

/// Figures of the crawls of one scenario.
pub struct Table {
    title: String,
    lines: Vec<String>,
}

/// What was promised, and the best that was measured.
pub struct Goal {
    name: &'static str,
    most: f64,
    best: f64,
}

impl Goal {
    /// No crawl should have more than this; the best one counts, because the machine does other things, too.
    pub fn at_most(
        name: &'static str,
        most: f64,
        figure: impl Fn(&Crawled) -> f64,
        crawls: &[Crawled],
    ) -> Self {
        let best = crawls.iter().map(figure).fold(f64::INFINITY, f64::min);
        Self { name, most, best }
    }
}

const HEADINGS: &str = "| | calls | requests | units | 429 | rows | s | CPU, s: crawler, server, PostgreSQL, Graph | peak MB: crawler, server, PostgreSQL |\n|---|---|---|---|---|---|---|---|---|";

impl Table {
    /// An empty table.
    pub fn new(title: &str) -> Self {
        println!("\n## {title}\n\n{HEADINGS}");
        Self {
            title: title.to_owned(),
            lines: Vec::new(),
        }
    }

    /// A crawl; printed at once, because a scenario may take minutes.
    pub fn add(&mut self, name: &str, crawled: &Crawled) {
        let seconds = |figure: Option<f64>| figure.map_or("?".into(), |s| format!("{s:.2}"));
        let megabytes = |bytes: u64| format!("{:.0}", bytes as f64 / 1e6);
        let some = |bytes: Option<u64>| bytes.map_or("?".into(), megabytes);
        let line = format!(
            "| {name} | {} | {} | {} | {} | {} | {:.2} | {:.2}, {}, {}, {} | {}, {}, {} |",
            crawled.calls,
            crawled.requests,
            crawled.units,
            crawled.throttled,
            crawled.rows,
            crawled.seconds,
            crawled.crawler_cpu,
            seconds(crawled.server_cpu),
            seconds(crawled.postgres_cpu),
            seconds(crawled.graph_cpu),
            megabytes(crawled.crawler_peak),
            some(crawled.server_peak),
            some(crawled.postgres_peak),
        );
        println!("{line}");
        self.lines.push(line);
    }

    /// What became of the promises.
    pub fn print(self, goals: &[Goal]) {
        println!();
        for goal in goals {
            let met = if goal.best <= goal.most {
                "met"
            } else {
                "MISSED"
            };
            println!(
                "{}: {:.2}, promised {} at most: {met}",
                goal.name, goal.best, goal.most
            );
        }
        let crawls = self.lines.len();
        println!("{} ({crawls} crawls): every row is there.", self.title);
    }
}
