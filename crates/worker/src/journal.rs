//! The log of a run: a line when it begins, one per collection, one at its end.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use contract::{CollectionReport, CollectionStatus, RunOutcome, RunReport};
use crawler_entra::{ProgressEvent, ProgressSink, report};

/// Writes what happens in a run to the log.
pub(crate) struct Journal {
    configuration: String,
    /// Collections that have their line.
    told: Mutex<BTreeSet<String>>,
}

impl Journal {
    pub fn new(configuration: String) -> Self {
        Self {
            configuration,
            told: Mutex::default(),
        }
    }

    /// The end of a run.
    pub fn report(&self, report: &RunReport) {
        for collection in &report.collections {
            self.collection(collection);
        }
        let held: u64 = report.collections.iter().filter_map(held).sum();
        let sum = |count: fn(&CollectionReport) -> u64| -> u64 {
            report.collections.iter().map(count).sum()
        };
        let duration = report.finished_at - report.started_at;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    configuration = self.configuration,
                    run_id = %report.run_id,
                    system_id = report.system_id,
                    outcome = report::outcome_word(report.outcome),
                    read = sum(|c| c.read),
                    inserted = sum(|c| c.inserted),
                    updated = sum(|c| c.updated),
                    unchanged = sum(|c| c.unchanged),
                    deleted = sum(|c| c.deleted),
                    rejected = sum(|c| c.rejected),
                    held,
                    requests = report.traffic.requests,
                    throttled = report.traffic.throttled,
                    duration_ms = duration.num_milliseconds(),
                    reason = report.message.as_deref(),
                    "run ended"
                )
            };
        }
        match report.outcome {
            RunOutcome::Complete | RunOutcome::Cancelled => line!(info),
            RunOutcome::Partial | RunOutcome::Held => line!(warn),
            RunOutcome::Failed => line!(error),
        }
    }

    /// A collection's line, once.
    fn collection(&self, collection: &CollectionReport) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.insert(collection.collection.clone()) {
            return;
        }
        drop(told);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    configuration = self.configuration,
                    collection = collection.collection,
                    status = report::status_word(collection.status),
                    read = collection.read,
                    inserted = collection.inserted,
                    updated = collection.updated,
                    unchanged = collection.unchanged,
                    deleted = collection.deleted,
                    rejected = collection.rejected,
                    held = held(collection),
                    requests = collection.cost.requests,
                    resource_units = collection.cost.resource_units,
                    throttled = collection.cost.throttled,
                    waited_ms = collection.cost.waited_ms,
                    recovered = collection.cost.recovered.total(),
                    failed_parents = collection.failed_parents,
                    missing_permission = collection.missing_permission.as_deref(),
                    duration_ms = collection.duration_ms,
                    reason = reason(collection),
                    "collection ended"
                )
            };
        }
        match collection.status {
            CollectionStatus::Complete if collection.rejected == 0 => line!(info),
            CollectionStatus::Skipped => line!(debug),
            _ => line!(warn),
        }
    }
}

fn held(collection: &CollectionReport) -> Option<u64> {
    collection.held.as_ref().map(|held| held.would_delete)
}

/// Why a collection is not complete: what it says itself, else its first failure.
fn reason(collection: &CollectionReport) -> Option<&str> {
    let first = || collection.failures.first();
    collection
        .message
        .as_deref()
        .or_else(|| first().map(|failure| failure.reason.as_str()))
}

impl ProgressSink for Journal {
    fn event(&self, event: ProgressEvent) {
        let configuration = self.configuration.as_str();
        match event {
            ProgressEvent::RunStarted { run_id } => {
                tracing::info!(configuration, %run_id, "run started");
            }
            ProgressEvent::TenantKnown {
                tenant_id,
                display_name,
            } => tracing::info!(configuration, %tenant_id, tenant = display_name, "tenant known"),
            ProgressEvent::CollectionFinished { report } => self.collection(&report),
            ProgressEvent::Waiting { reason, wait_ms } => {
                tracing::debug!(configuration, reason, wait_ms, "waiting for the source");
            }
            ProgressEvent::Message { text } => tracing::warn!(configuration, "{text}"),
            // The reading itself is told once it is done, the run's end with the report.
            ProgressEvent::CollectionStarted { .. }
            | ProgressEvent::Read { .. }
            | ProgressEvent::RunIsLost { .. }
            | ProgressEvent::RunFinished { .. } => {}
        }
    }
}
