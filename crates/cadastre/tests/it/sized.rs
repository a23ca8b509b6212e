//! What is promised about a tenant of 20,000 users: every row, in few calls; and hardly any calls when nothing changed.
//!
//! `CADASTRE_TEST_WHOLE_TENANT=1` takes the tenant of the promise; otherwise it is one of a twentieth of the size, whose
//! bounds are a little above what it costs.

use contract::{CollectionStatus, RunOutcome, RunReport};
use crawler_entra::{CrawlConfig, Mode};
use graph_sim::{SimOptions, Tenant, TenantSpec, Throttle, Truth};

use crate::register::{Register, seed};

/// A tenant and what may be asked for it.
struct Size {
    users: usize,
    groups: usize,
    memberships: usize,
    service_principals: usize,
    access_packages: usize,
    /// Most HTTP calls of a run that reads everything.
    calls: u64,
    /// Most HTTP calls of a run that finds nothing changed.
    calls_unchanged: u64,
}

const WHOLE: Size = Size {
    users: 20_000,
    groups: 6_000,
    memberships: 200_000,
    service_principals: 4_000,
    access_packages: 100,
    calls: 1_400,
    calls_unchanged: 120,
};

const SMALL: Size = Size {
    users: 1_000,
    groups: 300,
    memberships: 10_000,
    service_principals: 200,
    access_packages: 5,
    calls: 110,
    calls_unchanged: 60,
};

fn size() -> &'static Size {
    match std::env::var("CADASTRE_TEST_WHOLE_TENANT").as_deref() {
        Ok("1") => &WHOLE,
        _ => &SMALL,
    }
}

impl Size {
    fn spec(&self, seed: u64) -> TenantSpec {
        let spec = TenantSpec::new(seed, self.users, self.groups, self.service_principals);
        let mut spec = spec.with_access_packages(self.access_packages);
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

    /// Is the tenant as large as is promised?
    fn assert_reached(&self, truth: &Truth) {
        let sizes = [
            (truth.users.len(), self.users),
            (truth.groups.len(), self.groups),
            (truth.members.len(), self.memberships),
            (truth.service_principals.len(), self.service_principals),
            (truth.governance.packages.len(), self.access_packages),
        ];
        for (found, wanted) in sizes {
            assert!(found >= wanted, "{found} instead of {wanted}");
        }
    }
}

/// Everything, as it is shipped; only the waits for the quota are left out.
fn config(register: &Register) -> CrawlConfig {
    let mut config = register.config();
    config.mode = Mode::Auto;
    config.tuning.resource_units_per_10_s = 1e9;
    config
}

/// Crawls; answers the report and the HTTP calls that the simulated Graph counted.
async fn crawl(register: &Register) -> (RunReport, u64) {
    register.simulator.reset_stats();
    let report = register.crawl_with(config(register)).await;
    let calls = register.simulator.stats().http_calls;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(report.traffic.http_calls, calls, "{:#?}", report.traffic);
    (report, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_tenant_is_read_row_by_row_in_few_calls_and_in_fewer_when_nothing_changed() {
    let size = size();
    let options = SimOptions {
        throttle: Throttle::off(),
        ..SimOptions::default()
    };
    let register = Register::start(&size.spec(seed()), options).await;
    size.assert_reached(&register.simulator.truth());

    let (report, calls) = crawl(&register).await;
    println!("{calls} calls");
    for line in &report.collections {
        let is_whole = line.status == CollectionStatus::Complete;
        assert!(is_whole && line.read > 0, "{line:#?}");
    }
    register.assert_equals_truth().await;
    assert!(calls <= size.calls, "{calls} calls: {}", costs(&report));

    let versions = register.row_versions().await;
    let (report, calls) = crawl(&register).await;
    println!("{calls} calls when nothing changed");
    assert!(
        versions == register.row_versions().await,
        "an unchanged tenant wrote rows"
    );
    register.assert_equals_truth().await;
    let most = size.calls_unchanged;
    assert!(calls <= most, "{calls} calls: {}", costs(&report));
}

/// The collections that asked, those that asked most first.
fn costs(report: &RunReport) -> String {
    let mut lines: Vec<(u64, &str)> = report
        .collections
        .iter()
        .filter(|line| line.cost.requests > 0)
        .map(|line| (line.cost.requests, line.collection.as_str()))
        .collect();
    lines.sort_unstable_by(|one, other| other.cmp(one));
    let lines = lines
        .iter()
        .map(|(requests, name)| format!("\n  {requests} requests for {name}"));
    lines.collect()
}
