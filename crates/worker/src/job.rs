//! One run of one configuration.

use std::{sync::Arc, time::Duration};

use contract::{RunOutcome, RunReport};
use crawler_entra::{CrawlConfig, crawl};
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;

/// How long a crawl may take to give up its sessions and to report, once told to stop.
pub const GRACE: Duration = Duration::from_secs(8);

/// How a run ended, as far as the next one depends on it. In the order of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunEnd {
    /// Everything was read and landed.
    Complete,
    /// Something could not be read, or removals wait for a person.
    Partial,
    /// Nothing useful was read, or the register could not be used.
    Failed,
    /// The worker was told to stop.
    Cancelled,
}

impl From<RunOutcome> for RunEnd {
    fn from(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Complete => Self::Complete,
            RunOutcome::Partial | RunOutcome::Held => Self::Partial,
            RunOutcome::Failed => Self::Failed,
            RunOutcome::Cancelled => Self::Cancelled,
        }
    }
}

/// A configuration and the name that the log knows it by.
#[derive(Debug, Clone)]
pub struct Job {
    /// The name of its file.
    pub name: String,
    /// What to crawl.
    pub config: CrawlConfig,
}

impl Job {
    /// Crawls once and logs how it went. Told to stop, it comes back within [`GRACE`].
    pub async fn run(&self, stop: &CancellationToken) -> RunEnd {
        let journal = Arc::new(Journal::new(self.name.clone()));
        // In a task of its own: a crawl that panics is a failed run, not the end of the worker.
        let mut crawling = tokio::spawn(crawl(self.config.clone(), journal.clone(), stop.clone()));
        let ended = tokio::select! {
            ended = &mut crawling => ended,
            () = overdue(stop) => {
                crawling.abort();
                tracing::warn!(configuration = self.name, "the crawl did not end in time; its sessions expire unused");
                return RunEnd::Cancelled;
            }
        };
        match ended {
            Ok(Ok(report)) => {
                journal.report(&report);
                end_of(&report, stop)
            }
            Ok(Err(error)) => {
                tracing::error!(configuration = self.name, %error, "the run could not begin");
                failed(stop)
            }
            Err(error) => {
                tracing::error!(configuration = self.name, %error, "the run broke off");
                failed(stop)
            }
        }
    }
}

fn end_of(report: &RunReport, stop: &CancellationToken) -> RunEnd {
    match report.outcome.into() {
        RunEnd::Failed => failed(stop),
        end => end,
    }
}

/// What fails because it was stopped was stopped.
fn failed(stop: &CancellationToken) -> RunEnd {
    if stop.is_cancelled() {
        RunEnd::Cancelled
    } else {
        RunEnd::Failed
    }
}

async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}
