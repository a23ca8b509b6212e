//! What a crawl leaves at the register while it is under way, so that another one can go on in its place.
//!
//! Everything here follows one rule: what is remembered as done has landed. A list's place moves on when the records of the
//! pages before it were taken by the register; a parent is forgotten when the records of its children were. Whoever goes on
//! may therefore send some records a second time, which changes nothing, and never leaves any out. The rest of the truth is
//! with the sessions: a place is good only as long as the sessions that its records went to are there (see
//! [`Journal::place`]).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use contract::{
    CheckpointEntry, CollectionReport, Cost, MAX_CHECKPOINT_ENTRIES, SystemId, Traffic,
    session::{SessionState, SessionStatus},
};
use ingest_client::{ClientError, IngestClient};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    sink::Target,
    stopping::{Stopped, unless_cancelled},
};

/// The streams of a run's checkpoint. Those with a name have one stream for each.
const RUN: &str = "run";
const PLACES: &str = "list";
const REPORTS: &str = "report";
const COSTS: &str = "cost";
const SESSIONS: &str = "session";

/// Why a run cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResumeError {
    #[error("{0}")]
    Register(#[from] ClientError),
    #[error(
        "it was begun with another configuration; begin a new run (with --take-over, if its loads are still open)"
    )]
    OtherConfiguration,
    #[error("a load of it has expired or was given up; begin a new run")]
    LostLoad,
    #[error("its checkpoint is not readable; begin a new run")]
    Unreadable,
}

impl ResumeError {
    /// Would the next attempt find the same?
    pub fn is_final(&self) -> bool {
        match self {
            Self::Register(error) => matches!(error.status(), Some(404 | 409)),
            Self::OtherConfiguration | Self::LostLoad | Self::Unreadable => true,
        }
    }
}

/// How far a list was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    /// The next page; absent when the list was read to its end.
    pub next: Option<String>,
    /// What the reader of the list must know again.
    pub state: Value,
    /// The sessions that the records so far went to.
    pub sessions: Vec<Uuid>,
}

/// The checkpoint of a run.
pub(crate) struct Journal {
    keeper: Option<Keeper>,
    cancel: CancellationToken,
    /// What an earlier attempt left, by stream and key.
    left: HashMap<String, BTreeMap<String, Value>>,
    sessions: Vec<SessionStatus>,
    /// When the first attempt began, or earlier.
    began: Instant,
    pending: Mutex<Pending>,
    /// The last ticket that is saved; held while saving.
    saved: tokio::sync::Mutex<u64>,
}

/// The run at the register.
struct Keeper {
    client: IngestClient,
    run_id: Uuid,
    epoch: i32,
}

#[derive(Default)]
struct Pending {
    entries: Vec<CheckpointEntry>,
    ticket: u64,
    has_failed: bool,
    /// The register would not store something: what is remembered stays as it is from then on. Older places are good
    /// places, they only cost more requests.
    is_given_up: bool,
}

/// An entry to save.
pub(crate) fn entry(
    stream: impl Into<String>,
    key: impl Into<String>,
    value: Value,
) -> CheckpointEntry {
    CheckpointEntry {
        stream: stream.into(),
        key: key.into(),
        value: without_nul(value),
    }
}

/// The register stores no NUL. Names of objects may hold one; they are remembered for people only.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.replace('\0', "\u{fffd}"), without_nul(value)))
            .collect(),
        other => other,
    }
}

impl Journal {
    /// A run that nobody can go on with (a dry run).
    pub fn none(cancel: CancellationToken) -> Self {
        Self {
            keeper: None,
            cancel,
            left: HashMap::new(),
            sessions: Vec::new(),
            began: Instant::now(),
            pending: Mutex::default(),
            saved: tokio::sync::Mutex::default(),
        }
    }

    /// Takes a run, which may be new or one that an earlier attempt left, under the lease of its job, where it has one. `fingerprint` tells what is read and how: with
    /// another one, places in lists would mean something else.
    pub async fn claim(
        client: &IngestClient,
        (run_id, lease_epoch): (Uuid, Option<i32>),
        system_id: SystemId,
        fingerprint: &str,
        cancel: CancellationToken,
    ) -> Result<Self, ResumeError> {
        // No later than the register's own clock said.
        let asked = Instant::now();
        let claimed = client.claim_run(run_id, system_id, lease_epoch).await?;
        let mut journal = Self {
            keeper: Some(Keeper {
                client: client.clone(),
                run_id,
                epoch: claimed.epoch,
            }),
            ..Self::none(cancel)
        };
        if claimed.is_resumed {
            journal.load(client, run_id).await?;
            let known = journal.left(RUN, "fingerprint");
            // An attempt that ended before it had saved anything left nothing to go on with.
            if known.is_some_and(|known| known != fingerprint) {
                return Err(ResumeError::OtherConfiguration);
            }
            // The monotonic clock may not reach back that far; then the rule about rows of other loads is stricter on the
            // wrong side, so a run that old is not gone on with.
            let ago = Duration::from_millis(claimed.began_ms_ago);
            journal.began = asked.checked_sub(ago).ok_or(ResumeError::LostLoad)?;
        }
        let fingerprint = entry(RUN, "fingerprint", fingerprint.into());
        client
            .save_checkpoint(run_id, claimed.epoch, vec![fingerprint])
            .await?;
        Ok(journal)
    }

    async fn load(&mut self, client: &IngestClient, run_id: Uuid) -> Result<(), ResumeError> {
        self.sessions = client.sessions_of_run(run_id).await?;
        let is_lost = |session: &SessionStatus| {
            !matches!(session.state, SessionState::Open | SessionState::Committed)
        };
        if self.sessions.iter().any(is_lost) {
            return Err(ResumeError::LostLoad);
        }
        for entry in client.checkpoint(run_id).await? {
            let stream = self.left.entry(entry.stream).or_default();
            stream.insert(entry.key, entry.value);
        }
        let is_known = |id: &str| {
            let mut known = self.sessions.iter();
            known.any(|session| session.sync_id.to_string() == id)
        };
        if !self.all_left(SESSIONS).all(|(id, _)| is_known(id)) {
            return Err(ResumeError::LostLoad);
        }
        let places = self.left.get(PLACES).into_iter().flatten();
        for (_, value) in places {
            let place: Place =
                serde_json::from_value(value.clone()).map_err(|_| ResumeError::Unreadable)?;
            let is_known = |id: &Uuid| self.sessions.iter().any(|known| known.sync_id == *id);
            if !place.sessions.iter().all(is_known) {
                return Err(ResumeError::LostLoad);
            }
        }
        Ok(())
    }

    /// Which claim of the run this is; none for a run that is not kept.
    pub fn epoch(&self) -> Option<i32> {
        self.keeper.as_ref().map(|keeper| keeper.epoch)
    }

    /// Is this the continuation of an earlier attempt?
    pub fn is_resumed(&self) -> bool {
        !self.left.is_empty()
    }

    /// Is anything remembered at all?
    pub fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// When the reading began: in the first attempt.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// What an earlier attempt left under a stream and key.
    fn left(&self, stream: &str, key: &str) -> Option<&Value> {
        self.left.get(stream)?.get(key)
    }

    /// Everything that an earlier attempt left in a stream.
    pub fn all_left(&self, stream: &str) -> impl Iterator<Item = (&str, &Value)> {
        let entries = self.left.get(stream).into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), value))
    }

    /// How far an earlier attempt came in a list.
    pub fn place(&self, list: &str) -> Option<Place> {
        // What is not readable was refused when the run was taken.
        serde_json::from_value(self.left(PLACES, list)?.clone()).ok()
    }

    /// The entry for a place.
    pub fn place_entry(list: &str, place: &Place) -> CheckpointEntry {
        let value = serde_json::to_value(place).expect("texts, ids and JSON are JSON");
        entry(PLACES, list, value)
    }

    /// The line of a collection that an earlier attempt finished.
    pub fn report(&self, collection: &str) -> Option<CollectionReport> {
        serde_json::from_value(self.left(REPORTS, collection)?.clone()).ok()
    }

    /// The entry for a collection that is finished.
    pub fn report_entry(line: &CollectionReport) -> CheckpointEntry {
        let value = serde_json::to_value(line).expect("a report is JSON");
        entry(REPORTS, line.collection.clone(), value)
    }

    /// What collections have cost the source in earlier attempts.
    pub fn costs_before(&self) -> impl Iterator<Item = (&str, Cost)> {
        let costs = self.all_left(COSTS);
        costs.filter_map(|(name, value)| Some((name, Cost::deserialize(value).ok()?)))
    }

    /// The entry for what a collection has cost the source in all attempts together.
    pub fn cost_entry(collection: &str, cost: &Cost) -> CheckpointEntry {
        let value = serde_json::to_value(cost).expect("numbers are JSON");
        entry(COSTS, collection, value)
    }

    /// What earlier attempts cost the source.
    pub fn traffic_before(&self) -> Traffic {
        self.left(RUN, "traffic")
            .and_then(|value| serde_json::from_value(value.clone()).ok())
            .unwrap_or_default()
    }

    /// The entry for what all attempts together cost the source.
    pub fn traffic_entry(traffic: &Traffic) -> CheckpointEntry {
        let value = serde_json::to_value(traffic).expect("numbers are JSON");
        entry(RUN, "traffic", value)
    }

    /// A session was opened. Without it, what was sent to it cannot be told from what is gone, so a run that has lost one is
    /// not gone on with.
    pub async fn opened(&self, session: Uuid) -> Result<(), Stopped> {
        self.save(vec![entry(
            SESSIONS,
            session.to_string(),
            Value::Bool(true),
        )])
        .await
    }

    /// The session of an earlier attempt for this target: one that is open, else one that is committed.
    pub fn session_for(&self, target: &Target) -> Option<&SessionStatus> {
        let fits = |session: &&SessionStatus| {
            session.entity == target.entity
                && session.scope == target.scope
                && session.sync_mode == target.sync_mode
        };
        let is_open = |session: &&SessionStatus| session.state == SessionState::Open;
        let all = || self.sessions.iter().filter(fits);
        all().find(is_open).or_else(|| all().next_back())
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // A list and a number are valid after any panic.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves entries, in this order, and waits until they are saved. Calls that come together are saved together.
    pub async fn save(&self, entries: Vec<CheckpointEntry>) -> Result<(), Stopped> {
        let Some(keeper) = &self.keeper else {
            return Ok(());
        };
        let ticket = {
            let mut pending = self.pending();
            pending.entries.extend(entries);
            pending.ticket += 1;
            pending.ticket
        };
        let mut saved = self.saved.lock().await;
        if *saved >= ticket {
            return Ok(());
        }
        let (entries, last_ticket) = {
            let mut pending = self.pending();
            if pending.is_given_up {
                return Ok(());
            }
            if pending.has_failed {
                return Err(Stopped::Register(ClientError::Interrupted));
            }
            // If this is dropped on the way, the entries are lost, and with them the right to save later ones.
            pending.has_failed = true;
            (std::mem::take(&mut pending.entries), pending.ticket)
        };
        for part in parts(entries) {
            let saving = keeper
                .client
                .save_checkpoint(keeper.run_id, keeper.epoch, part);
            match unless_cancelled(&self.cancel, saving).await {
                Err(Stopped::Register(ClientError::Refused { problem, .. }))
                    if matches!(problem.status, 400 | 413 | 422) =>
                {
                    tracing::warn!(detail = %problem.detail, "how far the crawl is cannot be remembered any more");
                    self.pending().is_given_up = true;
                    break;
                }
                saved => saved?,
            }
        }
        self.pending().has_failed = false;
        *saved = last_ticket;
        Ok(())
    }
}

/// Bytes of JSON that one call may save, with room for what stands around the entries.
const MAX_PART_BYTES: usize = 900 * 1024;

/// The entries in as many parts as the register takes at once, in their order.
fn parts(entries: Vec<CheckpointEntry>) -> Vec<Vec<CheckpointEntry>> {
    let mut parts: Vec<Vec<CheckpointEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = serde_json::to_vec(&entry).map_or(MAX_PART_BYTES, |json| json.len() + 1);
        let fits = bytes + size <= MAX_PART_BYTES;
        match parts.last_mut() {
            Some(part) if fits && part.len() < MAX_CHECKPOINT_ENTRIES => part.push(entry),
            _ => {
                parts.push(vec![entry]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_in_parts_that_the_register_takes_and_keep_their_order() {
        let long = "x".repeat(300_000);
        let entries: Vec<CheckpointEntry> = (0..12_000)
            .map(|n| {
                let value = if n % 4_000 < 5 {
                    long.clone()
                } else {
                    String::new()
                };
                entry("s", n.to_string(), value.into())
            })
            .collect();
        let parts = parts(entries.clone());
        for part in &parts {
            let bytes = serde_json::to_vec(part).expect("JSON").len();
            assert!(bytes < 1024 * 1024 && part.len() <= MAX_CHECKPOINT_ENTRIES);
        }
        assert_eq!(parts.concat(), entries);
    }

    #[test]
    fn a_name_with_a_nul_can_be_remembered() {
        let value = serde_json::json!({"na\0me": ["a\0b", {"x": "\0"}], "n": 1});
        let text = entry("s", "k", value).value.to_string();
        assert!(
            !text.contains("\\u0000") && text.contains("a\u{fffd}b"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn without_a_register_nothing_is_remembered() {
        let journal = Journal::none(CancellationToken::new());
        let saved = journal.save(vec![entry("s", "k", Value::Null)]).await;
        assert!(saved.is_ok() && !journal.is_kept() && !journal.is_resumed());
        assert!(journal.place("users").is_none());
    }
}
