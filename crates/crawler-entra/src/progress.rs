//! What happens during a crawl, for whoever watches: the command line, the worker, the demo.

use std::{fmt::Write as _, time::Duration};

use contract::{CollectionReport, CollectionStatus, RunOutcome};
use serde::Serialize;
use uuid::Uuid;

/// Something that happened. Events hold no secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum ProgressEvent {
    /// The crawl began.
    RunStarted {
        /// The run.
        run_id: Uuid,
    },
    /// The tenant is known.
    TenantKnown {
        /// Its id.
        tenant_id: Uuid,
        /// Its name.
        display_name: String,
    },
    /// The reading of a collection began.
    CollectionStarted {
        /// The collection, such as `users`.
        collection: String,
    },
    /// More of a collection was read.
    Read {
        /// The collection.
        collection: String,
        /// Records so far; less than before when the source made the list start again.
        records: u64,
    },
    /// A collection is done; `report` says how it went.
    CollectionFinished {
        /// What became of it.
        report: Box<CollectionReport>,
    },
    /// Everybody waits because the source asked for it.
    Waiting {
        /// Why, in a few words.
        reason: String,
        /// For how long.
        wait_ms: u64,
    },
    /// The run is not one that this attempt can go on with; another one has to be begun.
    RunIsLost {
        /// Why.
        reason: String,
    },
    /// Something worth telling.
    Message {
        /// One sentence.
        text: String,
    },
    /// The crawl ended.
    RunFinished {
        /// How.
        outcome: RunOutcome,
    },
}

impl ProgressEvent {
    /// A [`Waiting`](Self::Waiting) event.
    pub(crate) fn waiting(reason: impl Into<String>, wait: Duration) -> Self {
        Self::Waiting {
            reason: reason.into(),
            wait_ms: wait.as_millis() as u64,
        }
    }

    /// The event in one line of plain text.
    pub fn plain_line(&self) -> String {
        match self {
            Self::RunStarted { run_id } => format!("run {run_id} started"),
            Self::TenantKnown {
                tenant_id,
                display_name,
            } => format!("tenant {display_name} ({tenant_id})"),
            Self::CollectionStarted { collection } => format!("{collection}: reading"),
            Self::Read {
                collection,
                records,
            } => format!("{collection}: {records} read"),
            Self::CollectionFinished { report } => finished_line(report),
            Self::Waiting { reason, wait_ms } => {
                format!("waiting {:.1} s: {reason}", *wait_ms as f64 / 1000.0)
            }
            Self::RunIsLost { reason } => reason.clone(),
            Self::Message { text } => text.clone(),
            Self::RunFinished { outcome } => {
                format!("run ended: {}", crate::report::outcome_word(*outcome))
            }
        }
    }
}

fn finished_line(report: &CollectionReport) -> String {
    let status = crate::report::ending_word(report);
    let mut line = format!("{}: {status}", report.collection);
    if report.status != CollectionStatus::Skipped {
        let _ = write!(line, ", {} read", report.read);
    }
    if let Some(permission) = &report.missing_permission {
        let _ = write!(line, ", grant {permission}");
    }
    if report.failed_parents > 0 {
        let _ = write!(line, ", {} groups not in full", report.failed_parents);
    } else if let Some(failure) = report.failures.first().filter(|f| f.reason != status) {
        let _ = write!(line, ": {}", failure.reason);
    }
    if let Some(message) = &report.message {
        let _ = write!(line, " ({message})");
    }
    line
}

/// Somebody who watches a crawl. Called often and from several tasks: it must return at once.
pub trait ProgressSink: Send + Sync {
    /// Takes note of an event.
    fn event(&self, event: ProgressEvent);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl ProgressSink for Quiet {
    fn event(&self, _event: ProgressEvent) {}
}

impl<F: Fn(ProgressEvent) + Send + Sync> ProgressSink for F {
    fn event(&self, event: ProgressEvent) {
        self(event);
    }
}
