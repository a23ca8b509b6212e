//! Figures about the server, for Prometheus.
//!
//! Counted where something happens, and asked of the database and of the pool when somebody looks; served on a listener
//! of their own ([`serve`]), never beside the API. Labels take their values from lists of ours: routes, methods,
//! entities, outcomes. What callers write never becomes one.

mod labels;
mod look;
mod serve;

use std::sync::{Arc, atomic::AtomicU64};

use contract::{Entity, IngestAnswer};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use self::labels::{Connections, Jobs, Request, Route, Rows};
pub use self::{
    labels::{UNMATCHED, method_label},
    serve::serve,
};

/// Upper bounds of the durations that are told apart, in seconds.
const SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

type Value = Gauge<f64, AtomicU64>;
type Durations = Family<Route, Histogram, fn() -> Histogram>;

/// The figures; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Durations,
    under_way: Gauge,
    rows: Family<Rows, Counter>,
    connections: Family<Connections, Gauge>,
    database_up: Gauge,
    open_sessions: Value,
    held_sets: Value,
    refresh_age: Value,
    jobs: Family<Jobs, Value>,
    jobs_waited: Value,
    workers: Value,
    memory: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let new: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut inner = Inner {
            registry: Registry::with_prefix("cadastre"),
            requests: Family::default(),
            durations: Family::new_with_constructor(new),
            under_way: Gauge::default(),
            rows: Family::default(),
            connections: Family::default(),
            database_up: Gauge::default(),
            open_sessions: Value::default(),
            held_sets: Value::default(),
            refresh_age: Value::default(),
            jobs: Family::default(),
            jobs_waited: Value::default(),
            workers: Value::default(),
            memory: Gauge::default(),
        };
        inner.register();
        Self(Arc::new(inner))
    }
}

impl Inner {
    fn register(&mut self) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let registry = &mut self.registry;
        registry.register("build", "What runs", build);
        registry.register(
            "http_requests",
            "Requests that were answered, or left by their client",
            self.requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "From the request's header to the last byte of the answer",
            self.durations.clone(),
        );
        registry.register(
            "http_requests_under_way",
            "Requests that are being answered",
            self.under_way.clone(),
        );
        registry.register(
            "ingest_rows",
            "Rows by what loads did with them, and refused records",
            self.rows.clone(),
        );
        registry.register(
            "database_connections",
            "Connections of this process to the database",
            self.connections.clone(),
        );
        registry.register(
            "database_up",
            "1 if the database answered the last look",
            self.database_up.clone(),
        );
        registry.register(
            "ingest_sessions_open",
            "Loads that are open",
            self.open_sessions.clone(),
        );
        registry.register(
            "held_change_sets",
            "Change sets that wait for a person",
            self.held_sets.clone(),
        );
        registry.register(
            "views_refresh_age_seconds",
            "Since the last good refresh of the view that was longest without one",
            self.refresh_age.clone(),
        );
        registry.register(
            "jobs",
            "Jobs that wait for a worker, and that have one",
            self.jobs.clone(),
        );
        registry.register(
            "jobs_waited_seconds",
            "Since the first of the jobs that wait could have been begun",
            self.jobs_waited.clone(),
        );
        registry.register(
            "workers",
            "Workers that have a job, or asked for one in the last two minutes",
            self.workers.clone(),
        );
        registry.register(
            "ingest_memory_bytes",
            "Memory that bodies take now",
            self.memory.clone(),
        );
    }
}

impl Metrics {
    /// A request begins.
    pub fn request_began(&self) {
        self.0.under_way.inc();
    }

    /// A request ended; `status` is `None` when its client left before there was an answer.
    pub fn request_ended(
        &self,
        method: &'static str,
        route: &str,
        status: Option<u16>,
        seconds: f64,
    ) {
        self.0.under_way.dec();
        let route = Route {
            method,
            route: route.to_owned(),
        };
        self.0.durations.get_or_create(&route).observe(seconds);
        let request = Request {
            method,
            route: route.route,
            status: status.map_or_else(|| "left".to_owned(), |status| status.to_string()),
        };
        self.0.requests.get_or_create(&request).inc();
    }

    /// A batch, or a load in one call, was stored.
    pub fn stored(&self, entity: Entity, answer: &IngestAnswer) {
        for (outcome, count) in [
            ("inserted", answer.inserted),
            ("updated", answer.updated),
            ("unchanged", answer.unchanged),
            ("duplicate", answer.duplicates),
            ("deleted", answer.deleted),
            ("rejected", answer.rejected),
        ] {
            self.count(entity, outcome, count);
        }
    }

    /// The end of a load, or a person, removed rows.
    pub fn removed(&self, entity: Entity, count: u64) {
        self.count(entity, "deleted", count);
    }

    fn count(&self, entity: Entity, outcome: &'static str, count: u64) {
        if count > 0 {
            let rows = Rows {
                entity: entity.wire_name(),
                outcome,
            };
            self.0.rows.get_or_create(&rows).inc_by(count);
        }
    }
}
