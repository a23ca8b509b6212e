//! What is measured, and what was promised about it.

use std::time::Duration;

use anyhow::bail;
use graph_sim::{SimOptions, Tenant, TenantSpec, Throttle};

use crate::{
    Options,
    bed::{Bed, Crawled, Order},
    table::{Goal, Table},
};

/// The size of a tenant.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    users: usize,
    groups: usize,
    memberships: usize,
    service_principals: usize,
    access_packages: Option<usize>,
}

impl Size {
    /// The tenant that other crawlers were measured with.
    const PEERS: Self = Self {
        users: 5_000,
        groups: 500,
        memberships: 19_629,
        service_principals: 375,
        access_packages: None,
    };

    /// The large tenant, with so many users.
    pub fn large(users: usize) -> Self {
        Self {
            users,
            groups: users * 3 / 10,
            memberships: users * 10,
            service_principals: users / 5,
            access_packages: Some(users / 200),
        }
    }

    fn times(self, times: usize) -> Self {
        Self::large(self.users * times)
    }

    fn spec(self, seed: u64) -> TenantSpec {
        let mut spec = TenantSpec::new(seed, self.users, self.groups, self.service_principals);
        spec.access_packages = self.access_packages;
        spec.mean_group_size = self.memberships as f64 / self.groups as f64;
        loop {
            // A member that is drawn twice is there once, and no group is larger than the tenant.
            let found = Tenant::generate(&spec).members.count();
            if found >= self.memberships {
                return spec;
            }
            spec.mean_group_size *= 1.01 * self.memberships as f64 / found as f64;
        }
    }
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// 5,000 users behind 50 ms: calls, seconds, CPU
    Latency,
    /// The same behind a cap of 120 calls a second: complete, every row
    Cap,
    /// The large tenant behind 20 ms and Graph's quota: the crawler's share of a core
    Quota,
    /// The large tenant, and one ten times larger: the crawler's memory
    Memory,
}

/// All but sign-ins, which Graph gives away at half a request a second.
const WITHOUT_SIGN_INS: &[&str] = &[
    "--sync-service-principals",
    "--sync-pim",
    "--sync-sign-ins=false",
];
/// Everything.
const EVERYTHING: &[&str] = &["--sync-service-principals", "--sync-pim"];

impl Scenario {
    /// Measures and prints.
    pub async fn measure(self, options: &Options, large: Size) -> anyhow::Result<()> {
        match self {
            Self::Latency => latency(options).await,
            Self::Cap => cap(options).await,
            Self::Quota => quota(options, large).await,
            Self::Memory => memory(options, large).await,
        }
    }
}

/// Crawls a new register from nothing, several times; then, if that is wanted, once more.
async fn crawls(
    options: &Options,
    order: &Order,
    runs: usize,
    table: &mut Table,
) -> anyhow::Result<Vec<Crawled>> {
    let mut first_loads = Vec::new();
    for run in 1..=runs {
        let bed = Bed::start(order, options).await?;
        let first = bed.crawl(order, options).await?;
        table.add(&format!("first load {run}"), &first);
        if options.again && run == runs {
            let again = bed.crawl(order, options).await?;
            table.add("unchanged again", &again);
        }
        bed.stop().await?;
        first_loads.push(first);
    }
    Ok(first_loads)
}

async fn latency(options: &Options) -> anyhow::Result<()> {
    let order = Order {
        spec: Size::PEERS.spec(options.seed),
        simulator: SimOptions {
            latency: Duration::from_millis(50),
            ..SimOptions::default()
        },
        flags: WITHOUT_SIGN_INS,
    };
    let mut table = Table::new("latency: 50 ms, without sign-ins, Graph's quota");
    let crawled = crawls(options, &order, options.runs, &mut table).await?;
    table.print(&[
        Goal::at_most("HTTP calls", 160.0, |one| one.calls as f64, &crawled),
        Goal::at_most("seconds", 3.0, |one| one.seconds, &crawled),
        Goal::at_most("crawler's CPU, s", 1.0, |one| one.crawler_cpu, &crawled),
    ]);
    Ok(())
}

async fn cap(options: &Options) -> anyhow::Result<()> {
    let order = |calls: u32| Order {
        spec: Size::PEERS.spec(options.seed),
        simulator: SimOptions {
            latency: Duration::from_millis(50),
            throttle: Throttle {
                calls_per_second: Some(calls),
                ..Throttle::on()
            },
            ..SimOptions::default()
        },
        flags: WITHOUT_SIGN_INS,
    };
    let mut table = Table::new("cap: 50 ms, at most 120 calls a second; then 20, which strikes");
    crawls(options, &order(120), options.runs, &mut table).await?;
    let struck = crawls(options, &order(20), 1, &mut table).await?;
    if struck.iter().all(|one| one.throttled == 0) {
        bail!("a cap that never strikes proves nothing");
    }
    table.print(&[]);
    Ok(())
}

async fn quota(options: &Options, large: Size) -> anyhow::Result<()> {
    let order = Order {
        spec: large.spec(options.seed),
        simulator: SimOptions {
            latency: Duration::from_millis(20),
            ..SimOptions::default()
        },
        flags: WITHOUT_SIGN_INS,
    };
    let mut table = Table::new("quota: the large tenant, 20 ms, Graph's quota, without sign-ins");
    let crawled = crawls(options, &order, options.runs, &mut table).await?;
    table.print(&[
        Goal::at_most("HTTP calls", 1_400.0, |one| one.calls as f64, &crawled),
        Goal::at_most(
            "crawler's CPU, % of the time",
            20.0,
            |one| 100.0 * one.crawler_cpu / one.seconds,
            &crawled,
        ),
    ]);
    Ok(())
}

async fn memory(options: &Options, large: Size) -> anyhow::Result<()> {
    let order = |size: Size| Order {
        spec: size.spec(options.seed),
        simulator: SimOptions {
            throttle: Throttle::off(),
            ..SimOptions::default()
        },
        flags: if options.sign_ins {
            EVERYTHING
        } else {
            WITHOUT_SIGN_INS
        },
    };
    let mut table = Table::new("memory: the large tenant, and one several times larger");
    let once = crawls(options, &order(large), 1, &mut table).await?;
    let larger = crawls(options, &order(large.times(options.times)), 1, &mut table).await?;
    let megabytes = |one: &Crawled| one.crawler_peak as f64 / 1e6;
    table.print(&[
        Goal::at_most("crawler's memory, MB", 200.0, megabytes, &once),
        Goal::at_most(
            "times as much when larger",
            1.3,
            |one| megabytes(one) / megabytes(&once[0]),
            &larger,
        ),
    ]);
    Ok(())
}
