//! Reading a list for each of many parents, twenty parents to a batch. A parent whose list cannot be read to its end is
//! named, and its rows stay as they are.

mod outcome;
mod sweep;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use contract::{CheckpointEntry, CollectionReport, CollectionStatus, Failure, IngestAnswer};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    collection::{Collection, Ending, Run, commit, missing_permission, push_windows},
    feed::Parent,
    seen::Seen,
};
use crate::{
    delta,
    graph::{GraphError, NextLink, Page, Restarts, SubRequest, Version},
    journal::entry,
    mapping::{Mapped, Row, Windows},
    sink::Sink,
    stopping::Stopped,
};

use outcome::{COUNTS, GONE, Outcome, UNNAMED, left_out_stream};
pub(super) use sweep::{Sweep, read_rest, read_unswept, sweep};

/// Parents refused in a row after which asking for more is pointless.
const REFUSED_IN_A_ROW: u32 = 40;

/// The list to read for each parent.
pub(super) struct ChildList<R> {
    /// What a parent is, for people: `group`.
    pub of: &'static str,
    pub version: Version,
    /// The address of a parent's list, below the version.
    pub address: fn(Uuid, page_size: u32) -> String,
    /// A record out of an object.
    pub map: fn(&Parent, Value) -> Mapped<R>,
    /// Resource units per request, probably.
    pub estimate: f64,
    /// The list may name a row several times, once per time window.
    pub has_windows: bool,
}

/// What a parent's list has brought so far.
enum Brought<R: Row> {
    /// Sent page by page: the rows that were sent, so that a list that starts again sends none twice.
    Sent(Seen),
    /// Kept until the list ends: only then is it known which window a row shows.
    Kept(Windows<R>),
}

/// The keys under which the register knows the rows of a parent's list; `None` when they cannot be told.
type RowParents = Arc<dyn Fn(Uuid) -> Option<Vec<Uuid>> + Send + Sync>;
/// Looks at each record that comes.
type Observer<R> = Arc<dyn Fn(&Parent, &R) + Send + Sync>;
/// The address of a parent's list.
type AddressOf = Box<dyn Fn(Uuid, u32) -> String + Send + Sync>;
/// A record out of an object of a parent's list.
type MapOf<R> = Box<dyn Fn(&Parent, Value) -> Mapped<R> + Send + Sync>;

/// Reads the lists; several tasks may call [`read`](Self::read) at once.
pub(super) struct ChildReader<R> {
    list: ChildList<R>,
    /// The only parents that something is said about: those that are read, and those that are known to be gone.
    only: Option<Vec<Uuid>>,
    /// Where they are not the parent's own id.
    row_parents: Option<RowParents>,
    observer: Option<Observer<R>>,
    address: AddressOf,
    map: MapOf<R>,
    /// Rows stay when their source forgets them: no load counts as all there is.
    keeps_history: bool,
    collection: Collection,
    sink: Sink<R>,
    refused_in_a_row: AtomicU32,
    is_hopeless: AtomicBool,
    /// Records that came by a sweep, which every attempt of the run repeats.
    swept: AtomicU64,
    outcome: Mutex<Outcome>,
}

impl<R: Row> ChildReader<R> {
    /// A reader that knows what an earlier attempt of the run left out.
    pub fn new(list: ChildList<R>, collection: Collection, sink: Sink<R>) -> Self {
        let mut outcome = Outcome::default();
        let stream = left_out_stream(collection.name());
        for (key, value) in collection.journal().all_left(&stream) {
            outcome.restore(&collection, key, value);
        }
        Self {
            address: Box::new(list.address),
            map: Box::new(list.map),
            keeps_history: false,
            list,
            only: None,
            row_parents: None,
            observer: None,
            collection,
            sink,
            refused_in_a_row: AtomicU32::new(0),
            is_hopeless: AtomicBool::new(false),
            swept: AtomicU64::new(0),
            outcome: Mutex::new(outcome),
        }
    }

    /// Nothing is said about other parents than these; those among them that are not read have no rows.
    pub fn of_only(mut self, parents: Vec<Uuid>) -> Self {
        self.only = Some(parents);
        self
    }

    /// Waits until all that was read has landed, and tells what is to be remembered of it. What fails here ends the
    /// collection.
    pub async fn land(&self) -> Result<Vec<CheckpointEntry>, Stopped> {
        if !self.collection.journal().is_kept() {
            return Ok(Vec::new());
        }
        if let Err(stopped) = self.sink.land().await {
            self.end(stopped);
            // It is told at the end; here it only ends the reading.
            return Err(Stopped::cancelled());
        }
        let stream = left_out_stream(self.collection.name());
        let mut outcome = self.outcome();
        let read = self.collection.read() - self.swept.load(Ordering::Relaxed);
        let counts = json!([read, outcome.parents_read]);
        let mut entries = std::mem::take(&mut outcome.unsaved);
        if outcome.parents_left_out {
            entries.push(entry(stream.as_str(), UNNAMED, Value::Bool(true)));
        }
        entries.push(entry(stream, COUNTS, counts));
        Ok(entries)
    }

    /// The collection as a whole cannot go on.
    fn end(&self, stopped: Stopped) {
        self.is_hopeless.store(true, Ordering::Relaxed);
        let mut outcome = self.outcome();
        outcome.parents_left_out = true;
        if outcome.stopped.is_none() {
            let failure = Failure {
                id: None,
                display_name: None,
                reason: stopped.to_string(),
            };
            outcome.failures.insert(0, failure);
            outcome.stopped = Some(stopped);
        }
    }

    /// The rows of a parent are not known by its id in the register but by these keys.
    pub fn rows_known_by(
        mut self,
        keys: impl Fn(Uuid) -> Option<Vec<Uuid>> + Send + Sync + 'static,
    ) -> Self {
        self.row_parents = Some(Arc::new(keys));
        self
    }

    /// Lets somebody look at each record that comes.
    pub fn observed_by(mut self, look: impl Fn(&Parent, &R) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(look));
        self
    }

    /// Were all parents that came read to their end so far?
    pub fn has_read_all(&self) -> bool {
        let outcome = self.outcome();
        outcome.stopped.is_none()
            && !outcome.parents_left_out
            && outcome.incomplete_parents.is_empty()
    }

    /// The list of parents, which needs `permission`, could not even begin, so there is nothing to read either.
    pub async fn give_up(self, stopped: &Stopped, permission: &str) -> CollectionReport {
        self.sink.abandon().await;
        let ending = Ending::stopped(stopped, false, permission);
        self.collection.finish(ending)
    }

    /// The same lists at addresses that more is to be known for than the parent.
    pub fn at(mut self, address: impl Fn(Uuid, u32) -> String + Send + Sync + 'static) -> Self {
        self.address = Box::new(address);
        self
    }

    /// The same lists with a mapping that remembers, or knows more than the parent.
    pub fn mapped_by(
        mut self,
        map: impl Fn(&Parent, Value) -> Mapped<R> + Send + Sync + 'static,
    ) -> Self {
        self.map = Box::new(map);
        self
    }

    /// Rows stay when their source forgets them.
    pub fn keeping_history(mut self) -> Self {
        self.keeps_history = true;
        self
    }

    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        // A list of failures is valid after any panic.
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is there no sense in reading more?
    pub fn is_hopeless(&self) -> bool {
        self.is_hopeless.load(Ordering::Relaxed)
    }

    /// Reads the lists of these parents (at most 20).
    pub async fn read(&self, run: &Run, parents: &[Parent]) {
        if self.is_hopeless() {
            self.outcome().parents_left_out = true;
            return;
        }
        let page_size = run.config.tuning.page_size;
        let requests: Vec<SubRequest> = parents
            .iter()
            .map(|parent| SubRequest {
                url: (self.address)(parent.id, page_size),
                estimate: self.list.estimate,
            })
            .collect();
        let answers = run
            .graph
            .batch_each(self.list.version, &requests, &self.collection.meter)
            .await;
        for ((parent, request), answer) in parents.iter().zip(&requests).zip(answers) {
            let read = match answer {
                Ok(body) => self.read_parent(run, parent, &request.url, body).await,
                Err(error) => Err(error.into()),
            };
            self.note(parent, read);
        }
    }

    /// Reads a parent's list from its first page on, from the start again when its page token expires.
    async fn read_parent(
        &self,
        run: &Run,
        parent: &Parent,
        address: &str,
        first: Value,
    ) -> Result<(), Stopped> {
        let mut first = Page::deserialize(first).ok();
        let mut restarts = Restarts::default();
        let mut brought = if self.list.has_windows {
            Brought::Kept(Windows::default())
        } else {
            Brought::Sent(Seen::default())
        };
        let ended = loop {
            let page = if let Some(page) = first.take() {
                page
            } else {
                let meter = &self.collection.meter;
                match run.graph.get(self.list.version, address, meter).await {
                    Ok(page) => page,
                    Err(error) => break Err(error.into()),
                }
            };
            match self.read_pages(run, parent, page, &mut brought).await {
                Err(Stopped::Source(error)) if restarts.allow(&error) => {
                    if let Brought::Kept(windows) = &mut brought {
                        *windows = Windows::default();
                    }
                }
                ended => break ended,
            }
        };
        restarts.end(&ended, &self.collection.meter);
        match brought {
            Brought::Sent(_) => ended,
            Brought::Kept(windows) => {
                self.collection.add(windows.read());
                push_windows(&self.sink, windows, ended).await
            }
        }
    }

    async fn read_pages(
        &self,
        run: &Run,
        parent: &Parent,
        mut page: Page,
        brought: &mut Brought<R>,
    ) -> Result<(), Stopped> {
        let mut links = NextLink::default();
        let address = (self.address)(parent.id, run.config.tuning.page_size);
        let is_eventual = run.graph.is_eventual(self.list.version, &address)?;
        let mut unreadable = false;
        loop {
            let next = links.after(&run.graph, &page);
            let mut records = Vec::new();
            for value in page.value {
                match (self.map)(parent, value) {
                    Mapped::Record(record) => {
                        if let Some(look) = &self.observer {
                            look(parent, &record);
                        }
                        match brought {
                            Brought::Sent(seen) => {
                                if seen.is_new(&record.row_key()) {
                                    records.push(*record);
                                }
                            }
                            Brought::Kept(windows) => windows.take(*record),
                        }
                    }
                    Mapped::Echo => {}
                    Mapped::Unreadable => unreadable = true,
                }
            }
            self.sink.push_all(&records).await?;
            self.collection.add(records.len() as u64);
            match next? {
                Some(url) => {
                    let meter = &self.collection.meter;
                    page = run.graph.page(url, is_eventual, meter).await?;
                }
                None if unreadable => return Err(GraphError::LimitedObjects.into()),
                None => return Ok(()),
            }
        }
    }

    /// Books how the reading of a parent ended.
    fn note(&self, parent: &Parent, read: Result<(), Stopped>) {
        let mut outcome = self.outcome();
        let stopped = match read {
            Ok(()) => {
                outcome.parents_read += 1;
                self.refused_in_a_row.store(0, Ordering::Relaxed);
                return;
            }
            Err(stopped) => stopped,
        };
        if is_about_all(&stopped) {
            // Said once: it says nothing about this parent.
            drop(outcome);
            self.end(stopped);
            return;
        }
        let is_refused = match &stopped {
            Stopped::Source(GraphError::Forbidden { .. } | GraphError::Unlicensed { .. }) => {
                self.refused_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSED_IN_A_ROW
                    || outcome.parents_read == 0
            }
            _ => false,
        };
        let reason = match &stopped {
            Stopped::Source(GraphError::NotFound { code }) => {
                format!("{GONE} ({code})")
            }
            other => other.to_string(),
        };
        let missing = match &stopped {
            Stopped::Source(error) => missing_permission(error, self.collection.permission()),
            Stopped::Register(_) => None,
        };
        outcome.leave_out(&self.collection, parent, reason, missing);
        if is_refused {
            self.is_hopeless.store(true, Ordering::Relaxed);
            outcome.stopped.get_or_insert(stopped);
        }
    }

    /// The list was read, but it may not be all there is.
    pub fn doubt(&self, parent: &Parent, reason: &str, permission: &str) {
        let missing = Some(permission.to_owned());
        let reason = reason.to_owned();
        self.outcome()
            .leave_out(&self.collection, parent, reason, missing);
    }

    /// The list could not even be asked for.
    pub fn leave_out(&self, parent: &Parent, reason: String) {
        self.outcome()
            .leave_out(&self.collection, parent, reason, None);
    }

    /// Commits and reports. `parents_complete` tells whether every parent was known; `message` what else is to say.
    pub async fn finish(
        self,
        run: &Run,
        parents_complete: bool,
        message: Option<String>,
    ) -> CollectionReport {
        let mut outcome = std::mem::take(&mut *self.outcome());
        let remarks = std::mem::take(&mut outcome.remarks);
        let permission = self.collection.permission();
        let gives_up = run.cancel.is_cancelled()
            || matches!(&outcome.stopped, Some(Stopped::Register(_)))
            || matches!(&outcome.stopped, Some(stopped) if stopped.is_cancelled());
        let committed = if gives_up {
            self.sink.abandon().await;
            Ok(IngestAnswer::default())
        } else {
            // Complete would mean that what was not met is gone.
            let all_known = parents_complete && !self.keeps_history;
            let completeness = match &self.only {
                None => outcome.completeness(all_known, self.row_parents.as_ref()),
                Some(only) => outcome.completeness_of(only, all_known),
            };
            let committed = commit(run, &self.sink, completeness).await;
            committed.map(|answer| IngestAnswer {
                // That nothing was removed is no news where nothing ever is.
                removals_skipped: answer.removals_skipped.filter(|_| !self.keeps_history),
                ..answer
            })
        };
        let lacks_some = !outcome.incomplete_parents.is_empty();
        if parents_complete && lacks_some && outcome.is_forgivable() {
            delta::forgive(run, self.collection.name()).await;
        }
        let message = message.or_else(|| {
            (!parents_complete).then(|| {
                format!(
                    "not every {} is known, so nothing was removed",
                    self.list.of
                )
            })
        });
        let had_begun = self.collection.read() > 0 || outcome.parents_read > 0;
        let ending = match (outcome.stopped, committed) {
            (_, Err(stopped)) => Ending::stopped(&stopped, true, permission),
            (None, Ok(_)) if gives_up => {
                Ending::stopped(&GraphError::Cancelled.into(), had_begun, permission)
            }
            (Some(stopped), Ok(answer)) => Ending {
                answer,
                failures: outcome.failures,
                failed_parents: outcome.incomplete_parents.len() as u64,
                message,
                ..Ending::stopped(&stopped, had_begun, permission)
            },
            (None, Ok(answer)) => {
                let is_partial = !parents_complete || !outcome.incomplete_parents.is_empty();
                Ending {
                    status: if is_partial {
                        CollectionStatus::Partial
                    } else {
                        CollectionStatus::Complete
                    },
                    failures: outcome.failures,
                    failed_parents: outcome.incomplete_parents.len() as u64,
                    missing_permission: outcome.missing_permission,
                    message,
                    ..Ending::complete(answer)
                }
            }
        };
        self.collection.finish(ending.remarked(remarks))
    }
}

impl Ending {
    /// Says this, too.
    fn remarked(self, remarks: Vec<String>) -> Self {
        let told = self.message.or(self.answer.removals_skipped.clone());
        let all: Vec<String> = told.into_iter().chain(remarks).collect();
        Self {
            message: (!all.is_empty()).then(|| all.join("; ")),
            ..self
        }
    }
}

/// Does this keep every parent from being read, and not one?
fn is_about_all(stopped: &Stopped) -> bool {
    match stopped {
        Stopped::Register(_) => true,
        Stopped::Source(error) => matches!(
            error,
            GraphError::Cancelled | GraphError::SignIn(_) | GraphError::Unauthorized
        ),
    }
}
