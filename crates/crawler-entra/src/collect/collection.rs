//! What every collection needs, and how each becomes a line of the report.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use contract::{
    CheckpointEntry, CollectionReport, CollectionStatus, Cost, Failure, IngestAnswer, Traffic,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    CrawlConfig, ProgressEvent, ProgressSink,
    delta::{Deltas, Endpoint},
    graph::{Graph, GraphError, Meter},
    journal::Journal,
    mapping::{Row, Windows},
    sink::{Register, Sink, Target},
    stopping::Stopped,
};

/// A crawl under way.
pub(crate) struct Run {
    pub graph: Graph,
    pub config: CrawlConfig,
    /// The tenant; ids that we derive are derived from it.
    pub tenant_id: Uuid,
    /// Absent in a dry run.
    pub register: Option<Register>,
    pub progress: Arc<dyn ProgressSink>,
    pub cancel: CancellationToken,
    /// What is remembered for whoever goes on with this run.
    pub journal: Arc<Journal>,
    /// What is known about deltas.
    pub deltas: Deltas,
}

impl Run {
    /// Remembers this, with what the run has cost so far.
    pub async fn save(&self, mut entries: Vec<CheckpointEntry>) -> Result<(), Stopped> {
        if self.journal.is_kept() {
            let grown = self.graph.ledger.grown();
            entries.extend(grown.iter().map(|(of, cost)| Journal::cost_entry(of, cost)));
            entries.push(Journal::traffic_entry(&self.traffic()));
            self.journal.save(entries).await?;
        }
        Ok(())
    }

    /// What the run has cost the source, earlier attempts included.
    pub fn traffic(&self) -> Traffic {
        let (before, now) = (self.journal.traffic_before(), self.graph.traffic());
        // What collections cost has that of earlier attempts in it.
        Traffic {
            http_calls: before.http_calls + now.http_calls,
            waited_ms: before.waited_ms + now.waited_ms,
            received_bytes: before.received_bytes + now.received_bytes,
            ..now
        }
    }

    pub fn sink<R: Serialize>(&self, target: Target) -> Sink<R> {
        Sink::new(self.register.clone(), target, self.cancel.clone())
    }
}

/// A collection that is being read.
pub(crate) struct Collection {
    name: &'static str,
    /// The permission that lets an application read it.
    permission: &'static str,
    progress: Arc<dyn ProgressSink>,
    journal: Arc<Journal>,
    pub meter: Arc<Meter>,
    read: AtomicU64,
    started: Instant,
}

/// What became of a collection.
pub(crate) struct Ending {
    pub status: CollectionStatus,
    pub answer: IngestAnswer,
    pub failures: Vec<Failure>,
    pub failed_parents: u64,
    pub missing_permission: Option<String>,
    pub message: Option<String>,
}

impl Ending {
    pub fn complete(answer: IngestAnswer) -> Self {
        Self {
            status: CollectionStatus::Complete,
            answer,
            failures: Vec::new(),
            failed_parents: 0,
            missing_permission: None,
            message: None,
        }
    }

    /// How a collection ended whose reading ended so, and whose scope was closed with this answer. `had_begun` as in
    /// [`stopped`](Self::stopped).
    pub fn of(
        ended: Result<&(), &Stopped>,
        closed: Result<IngestAnswer, Stopped>,
        had_begun: bool,
        permission: &str,
    ) -> Self {
        match (ended, closed) {
            (_, Err(stopped)) => Self::stopped(&stopped, true, permission),
            (Ok(()), Ok(answer)) => Self::complete(answer),
            (Err(stopped), Ok(answer)) => Self {
                answer,
                ..Self::stopped(stopped, had_begun, permission)
            },
        }
    }

    /// Rows that the register kept because another load brought them meanwhile may be gone from the source: nothing but
    /// another full reading can tell.
    fn less_what_was_spared(self) -> Self {
        let spared = self.answer.spared;
        if spared == 0 || self.status != CollectionStatus::Complete {
            return self;
        }
        let told = format!(
            "rows that were not read stay because another load wrote them meanwhile: {spared}"
        );
        Self {
            status: CollectionStatus::Partial,
            message: Some(match self.message {
                Some(message) => format!("{message}; {told}"),
                None => told,
            }),
            ..self
        }
    }

    /// The collection stopped early. `had_begun` tells a collection that is not there from one that broke off.
    pub fn stopped(stopped: &Stopped, had_begun: bool, permission: &str) -> Self {
        let (status, missing_permission) = match stopped {
            Stopped::Register(_) => (CollectionStatus::Failed, None),
            Stopped::Source(error) => {
                let status = match error.collection_status() {
                    CollectionStatus::Unavailable if had_begun => CollectionStatus::Failed,
                    status => status,
                };
                (status, missing_permission(error, permission))
            }
        };
        Self {
            status,
            failures: vec![Failure {
                id: None,
                display_name: None,
                reason: stopped.to_string(),
            }],
            missing_permission,
            ..Self::complete(IngestAnswer::default())
        }
    }
}

/// The permission to grant: the one Graph names, else the one that the collection needs.
pub(super) fn missing_permission(error: &GraphError, needed: &str) -> Option<String> {
    match error {
        GraphError::Forbidden { permission, .. } => {
            Some(permission.clone().unwrap_or_else(|| needed.to_owned()))
        }
        _ => None,
    }
}

impl Collection {
    pub fn start(run: &Run, name: &'static str, permission: &'static str) -> Self {
        run.progress.event(ProgressEvent::CollectionStarted {
            collection: name.to_owned(),
        });
        Self {
            name,
            permission,
            progress: run.progress.clone(),
            journal: run.journal.clone(),
            meter: run.graph.ledger.meter(name),
            read: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub fn permission(&self) -> &'static str {
        self.permission
    }

    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// More was read.
    pub fn add(&self, records: u64) {
        let records = self.read.fetch_add(records, Ordering::Relaxed) + records;
        self.announce(records);
    }

    /// The list starts again.
    pub fn restart(&self) {
        self.read.store(0, Ordering::Relaxed);
        self.announce(0);
    }

    fn announce(&self, records: u64) {
        self.progress.event(ProgressEvent::Read {
            collection: self.name.to_owned(),
            records,
        });
    }

    pub fn say(&self, text: String) {
        self.progress.event(ProgressEvent::Message { text });
    }

    pub fn finish(self, ending: Ending) -> CollectionReport {
        let ending = ending.less_what_was_spared();
        let answer = ending.answer;
        let message = ending.message.or(answer.removals_skipped);
        let failures = ending.failures.into_iter().map(storable).collect();
        let report = CollectionReport {
            collection: self.name.to_owned(),
            status: ending.status,
            read: self.read(),
            inserted: answer.inserted,
            updated: answer.updated,
            unchanged: answer.unchanged,
            deleted: answer.deleted,
            rejected: answer.rejected,
            spared: answer.spared,
            held: answer.held,
            cost: self.meter.cost(),
            failed_parents: ending.failed_parents,
            failures,
            missing_permission: ending.missing_permission,
            message: message.map(without_nul),
            duration_ms: self.started.elapsed().as_millis() as u64,
        };
        self.progress.event(ProgressEvent::CollectionFinished {
            report: Box::new(report.clone()),
        });
        report
    }
}

/// The register stores no NUL, and names of objects and what Graph says may hold one: a report with it would be refused whole.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn storable(failure: Failure) -> Failure {
    Failure {
        id: failure.id,
        display_name: failure.display_name.map(without_nul),
        reason: without_nul(failure.reason),
    }
}

/// The lines of an endpoint of which nothing is to be read: nothing changed, or nothing tells whether anything did. `payer`
/// is one of its collections that has begun, or one that was to be read for their sake.
pub(super) fn as_it_was(endpoint: &Endpoint, payer: Collection) -> Vec<CollectionReport> {
    let paid = payer.finish(Ending::complete(IngestAnswer::default()));
    let mut lines = unread(endpoint);
    for line in &mut lines {
        if line.collection == paid.collection {
            line.cost = paid.cost;
            line.duration_ms = paid.duration_ms;
        }
    }
    lines
}

/// The lines of an endpoint of which nothing is read.
pub(super) fn unread(endpoint: &Endpoint) -> Vec<CollectionReport> {
    let line = |name: &&'static str| {
        let status = if endpoint.untold.contains(name) {
            CollectionStatus::Skipped
        } else {
            CollectionStatus::Complete
        };
        CollectionReport {
            status,
            message: None,
            ..skipped(name, "")
        }
    };
    endpoint.collections.iter().map(line).collect()
}

/// The line of a collection that is not read.
pub(crate) fn skipped(name: &str, why: &str) -> CollectionReport {
    CollectionReport {
        collection: name.to_owned(),
        status: CollectionStatus::Skipped,
        read: 0,
        inserted: 0,
        updated: 0,
        unchanged: 0,
        deleted: 0,
        rejected: 0,
        spared: 0,
        held: None,
        cost: Cost::default(),
        failed_parents: 0,
        failures: Vec::new(),
        missing_permission: None,
        message: Some(why.to_owned()),
        duration_ms: 0,
    }
}

/// The line of a collection whose reader crashed. Its session expires and removes nothing.
pub(crate) fn crashed(reason: &str) -> CollectionReport {
    CollectionReport {
        status: CollectionStatus::Failed,
        ..skipped("unknown", reason)
    }
}

/// Rows of a list of time windows that are unpacked at a time.
const PUSHED_AT_ONCE: usize = 1_000;

/// Sends the rows of a list of time windows when its reading has ended. Of a list that broke off, what was read lands, too.
pub(super) async fn push_windows<R: Row>(
    sink: &Sink<R>,
    windows: Windows<R>,
    read: Result<(), Stopped>,
) -> Result<(), Stopped> {
    if !read.as_ref().is_err_and(Stopped::is_cancelled) {
        let mut rows = windows.into_rows();
        loop {
            let some: Vec<R> = rows.by_ref().take(PUSHED_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            sink.push_all(&some).await?;
        }
    }
    read
}

/// Commits or gives up a scope after its reading ended.
pub(super) async fn close<R: Serialize>(
    run: &Run,
    sink: &Sink<R>,
    ended: Result<&(), &Stopped>,
) -> Result<IngestAnswer, Stopped> {
    let complete = match ended {
        Ok(()) => true,
        Err(stopped) if stopped.is_cancelled() => {
            sink.abandon().await;
            return Ok(IngestAnswer::default());
        }
        Err(Stopped::Register(_)) => {
            sink.abandon().await;
            return Ok(IngestAnswer::default());
        }
        Err(Stopped::Source(_)) => false,
    };
    let completeness = contract::Completeness {
        complete,
        ..contract::Completeness::default()
    };
    commit(run, sink, completeness).await
}

/// Ends a collection whose reading was shared with others, or is known by its result alone: commits or gives up, and
/// reports.
pub(super) async fn end_shared<R: Serialize>(
    run: &Run,
    collection: Collection,
    sink: &Sink<R>,
    ended: &Result<(), Stopped>,
    message: Option<String>,
) -> CollectionReport {
    let closed = close(run, sink, ended.as_ref()).await;
    conclude(collection, ended.as_ref(), closed, message)
}

/// The line of a collection that was read so far and closed with this answer.
pub(super) fn conclude(
    collection: Collection,
    ended: Result<&(), &Stopped>,
    closed: Result<IngestAnswer, Stopped>,
    message: Option<String>,
) -> CollectionReport {
    let ending = Ending::of(
        ended,
        closed,
        collection.read() > 0,
        collection.permission(),
    );
    collection.finish(Ending { message, ..ending })
}

/// Commits a scope; a cancelled run gives it up instead.
pub(super) async fn commit<R: Serialize>(
    run: &Run,
    sink: &Sink<R>,
    completeness: contract::Completeness,
) -> Result<IngestAnswer, Stopped> {
    let complete = completeness.complete;
    let parents_left_out = completeness.incomplete_parents.len();
    let committed = sink.finish(completeness).await;
    if committed.is_err() {
        sink.abandon().await;
    }
    let answer = committed?;
    if run.register.is_none() {
        run.progress.event(ProgressEvent::Message {
            text: format!(
                "dry run: would send {} records to {}, {}{}",
                answer.records,
                sink.target().describe(),
                if complete { "complete" } else { "incomplete" },
                if parents_left_out > 0 {
                    format!(" but for {parents_left_out} parents")
                } else {
                    String::new()
                },
            ),
        });
    }
    Ok(answer)
}

/// A list that Graph refuses with 400 most likely fails because of a property that we were told to ask for.
pub(super) fn hint_at(report: &mut CollectionReport, flag: &str) {
    let is_bad_request = report
        .failures
        .iter()
        .any(|failure| failure.reason.starts_with("HTTP 400"));
    if is_bad_request && report.read == 0 {
        report.message = Some(format!("check the names given with {flag}"));
    }
}
