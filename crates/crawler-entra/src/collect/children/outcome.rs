//! What came of reading children so far: what could not be read, and what may therefore be said about the rest.

use std::collections::BTreeSet;

use contract::{CheckpointEntry, Completeness, Failure, MAX_COMPLETE_PARENTS};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Collection, Parent, RowParents};
use crate::{journal::entry, stopping::Stopped};

/// Failures that a report names.
const NAMED_FAILURES: usize = 100;

/// Incomplete parents that a commit names; with more of them the whole load counts as incomplete. A commit may have 1 MiB.
const MAX_INCOMPLETE_PARENTS: usize = 20_000;

/// How the reason begins for a parent that is not there any more.
pub(super) const GONE: &str = "it was gone when it was read";

#[derive(Default)]
pub(super) struct Outcome {
    pub parents_read: u64,
    pub incomplete_parents: BTreeSet<Uuid>,
    pub failures: Vec<Failure>,
    pub missing_permission: Option<String>,
    /// The collection as a whole cannot go on.
    pub stopped: Option<Stopped>,
    /// Parents were left out without being named, because asking had become pointless.
    pub parents_left_out: bool,
    /// Something lacks that another reading may bring.
    pub lacks: bool,
    /// What is to be said beside how it ended.
    pub remarks: Vec<String>,
    /// What is not in the run's checkpoint yet.
    pub unsaved: Vec<CheckpointEntry>,
}

/// What is remembered about a parent that could not be read.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeftOut {
    name: Option<String>,
    reason: String,
    missing_permission: Option<String>,
}

/// The key under which it is remembered that parents were left out without being named.
pub(super) const UNNAMED: &str = "";
/// The key under which counts are remembered.
pub(super) const COUNTS: &str = "counts";

impl Outcome {
    /// What may be said about the reading. Naming incomplete parents tells the register that all others are complete, so
    /// they are named only when that is true.
    pub fn completeness(
        &self,
        parents_complete: bool,
        row_parents: Option<&RowParents>,
    ) -> Completeness {
        let known_by = |parent: &Uuid| match row_parents {
            Some(keys) => keys(*parent),
            None => Some(vec![*parent]),
        };
        let named: Option<Vec<Vec<Uuid>>> = self.incomplete_parents.iter().map(known_by).collect();
        let named = named.map(|keys| keys.concat());
        let named = named.filter(|keys| {
            parents_complete
                && self.stopped.is_none()
                && !self.parents_left_out
                && keys.len() <= MAX_INCOMPLETE_PARENTS
        });
        Completeness {
            complete: named.is_some(),
            incomplete_parents: named.unwrap_or_default(),
            complete_parents: Vec::new(),
        }
    }

    /// What may be said when only some parents were looked at.
    pub fn completeness_of(&self, only: &[Uuid], parents_complete: bool) -> Completeness {
        let is_incomplete = |id: &&Uuid| self.incomplete_parents.contains(*id);
        let was_read = only.iter().filter(|id| !is_incomplete(id));
        let complete_parents: Vec<Uuid> = was_read.copied().collect();
        let is_whole = parents_complete
            && self.stopped.is_none()
            && !self.parents_left_out
            && !complete_parents.is_empty()
            && complete_parents.len() <= MAX_COMPLETE_PARENTS;
        if is_whole {
            Completeness {
                complete: true,
                complete_parents,
                ..Completeness::default()
            }
        } else {
            Completeness::default()
        }
    }

    /// Is all that lacks lacking for good (a permission), or told by the next round of changes (what was gone)?
    pub fn is_forgivable(&self) -> bool {
        self.stopped.is_none() && !self.parents_left_out && !self.lacks
    }

    pub fn leave_out(
        &mut self,
        collection: &Collection,
        parent: &Parent,
        reason: String,
        missing_permission: Option<String>,
    ) {
        let left_out = LeftOut {
            name: parent.name.clone(),
            reason,
            missing_permission,
        };
        if collection.journal().is_kept() {
            let value = serde_json::to_value(&left_out).expect("texts are JSON");
            let stream = left_out_stream(collection.name());
            self.unsaved
                .push(entry(stream, parent.id.to_string(), value));
        }
        self.name(parent.id, left_out);
    }

    fn name(&mut self, id: Uuid, left_out: LeftOut) {
        let is_gone = left_out.reason.starts_with(GONE);
        self.lacks |= left_out.missing_permission.is_none() && !is_gone;
        self.missing_permission = self
            .missing_permission
            .take()
            .or(left_out.missing_permission);
        let is_new = self.incomplete_parents.insert(id);
        if is_new && self.failures.len() < NAMED_FAILURES {
            self.failures.push(Failure {
                id: Some(id),
                display_name: left_out.name,
                reason: left_out.reason,
            });
        }
    }

    /// What an earlier attempt remembered.
    pub fn restore(&mut self, collection: &Collection, key: &str, value: &Value) {
        if key == COUNTS {
            collection.add(value[0].as_u64().unwrap_or(0));
            self.parents_read = value[1].as_u64().unwrap_or(0);
            return;
        }
        match (Uuid::parse_str(key), LeftOut::deserialize(value)) {
            (Ok(id), Ok(left_out)) => self.name(id, left_out),
            // Unnamed or unknown: then nothing may be taken for complete.
            _ => self.parents_left_out = true,
        }
    }
}

/// The stream of the run's checkpoint that has what could not be read.
pub(super) fn left_out_stream(collection: &str) -> String {
    format!("left out:{collection}")
}
