//! A tenant, a register and a crawl in one line each.

pub mod fake_graph;
mod register;

use std::sync::{Arc, Mutex};

use contract::{CollectionReport, RunReport};
use crawler_entra::{
    CrawlConfig, GraphConfig, Mode, ProgressEvent, RegisterConfig, Selection, Tuning, crawl,
};
use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec, Throttle};
use tokio_util::sync::CancellationToken;

pub use register::{Register, Session};

/// The key of the register in every test.
pub const API_KEY: &str = "fgc_CANARY_api_key";

/// A simulated tenant and a register.
pub struct Bench {
    pub simulator: Simulator,
    pub register: Register,
    pub events: Arc<Mutex<Vec<ProgressEvent>>>,
}

/// A small tenant with every special structure, without request limits.
pub fn unlimited() -> SimOptions {
    SimOptions {
        throttle: Throttle::off(),
        ..SimOptions::default()
    }
}

impl Bench {
    pub async fn start(options: SimOptions) -> Self {
        Self::with_tenant(Tenant::generate(&TenantSpec::new(7, 150, 45, 40)), options).await
    }

    pub async fn with_tenant(tenant: Tenant, options: SimOptions) -> Self {
        let simulator = Simulator::start(tenant, options)
            .await
            .expect("the simulator starts");
        Self {
            simulator,
            register: Register::start(API_KEY).await,
            events: Arc::default(),
        }
    }

    /// Everything that this version reads, impatient, in small pages.
    pub fn config(&self) -> CrawlConfig {
        let address = self.simulator.base_url().parse().expect("url");
        let mut graph = GraphConfig::new(
            self.simulator.tenant_id().to_string(),
            self.simulator.client_id().to_string(),
            self.simulator.client_secret().to_owned().into(),
        );
        graph.base_url = address;
        graph.login_base_url = graph.base_url.clone();
        let register = RegisterConfig {
            base_url: self.register.base_url(),
            api_key: API_KEY.to_owned().into(),
        };
        let mut config = CrawlConfig::new(graph, register);
        config.mode = Mode::Full;
        config.selection = Selection {
            service_principals: true,
            pim: true,
            ..Selection::default()
        };
        config.tuning = Tuning {
            first_backoff: std::time::Duration::from_millis(1),
            max_backoff: std::time::Duration::from_millis(5),
            resource_units_per_10_s: 1e9,
            report_requests_per_10_s: 1e9,
            policy_requests_per_10_s: 1e9,
            page_size: 20,
            batch_records: 50,
            ..Tuning::default()
        };
        config
    }

    pub async fn crawl(&self, config: CrawlConfig) -> RunReport {
        self.crawl_until(config, CancellationToken::new()).await
    }

    pub async fn crawl_until(&self, config: CrawlConfig, cancel: CancellationToken) -> RunReport {
        let events = self.events.clone();
        let sink = move |event| events.lock().expect("events").push(event);
        crawl(config, Arc::new(sink), cancel)
            .await
            .expect("the crawl begins")
    }

    pub async fn stop(self) {
        self.register.stop().await;
        self.simulator.stop().await;
    }
}

/// The line of a collection.
pub fn line<'a>(report: &'a RunReport, collection: &str) -> &'a CollectionReport {
    let found = report
        .collections
        .iter()
        .find(|c| c.collection == collection);
    found.unwrap_or_else(|| panic!("no line for {collection} in {report:#?}"))
}
