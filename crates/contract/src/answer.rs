//! What the ingest API answers to records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::{SystemId, cost::is_zero};

/// One refused record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordError {
    /// Position in `records`, from 0.
    pub index: usize,
    /// JSON pointer (RFC 6901) to the field inside the record; empty for the whole record.
    pub pointer: String,
    /// A stable word to branch on, such as `required`, `type`, `invalid_uuid`.
    pub code: String,
    /// One sentence for people.
    pub detail: String,
}

/// Removals that wait for a person.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// What to approve or reject.
    pub change_set_id: Uuid,
    /// Rows that would have been removed.
    pub would_delete: u64,
    /// Rows that are live in the scope.
    pub of: u64,
    /// Why: `over_limit`, `empty_source`, `scope_changed` or `source_filter_changed`.
    pub reason: Option<String>,
}

/// Counts and refusals of a call, a batch or a commit.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngestAnswer {
    /// The session, where there is one.
    pub sync_id: Option<Uuid>,
    /// The table that the records went to.
    pub table: String,
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that changed, restored ones included.
    pub updated: u64,
    /// Rows that were as sent already; nothing was written for them.
    pub unchanged: u64,
    /// Rows that were removed (softly).
    pub deleted: u64,
    /// Records whose key came again later in the batch or session; the last one won.
    pub duplicates: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// Characters that PostgreSQL cannot store (NUL, lone surrogates) and that U+FFFD replaced.
    #[serde(skip_serializing_if = "is_zero")]
    pub replaced_characters: u64,
    /// Removals that wait for a person.
    pub held: Option<Held>,
    /// Why a full load removed nothing although rows were missing, where that was not the guard.
    pub removals_skipped: Option<String>,
    /// Rows that a full load did not meet and left, because another load met or wrote them since its reading began. Whether
    /// they are still in the source is for another full load to say.
    #[serde(skip_serializing_if = "is_zero")]
    pub spared: u64,
    /// The first refusals, at most 100.
    pub errors: Vec<RecordError>,
    /// Records received.
    pub records: u64,
    /// Time spent, in milliseconds.
    pub duration_ms: u64,
    /// For `systems`: the id of each record's system, in the order of the records.
    pub system_ids: Option<Vec<Option<SystemId>>>,
}

impl IngestAnswer {
    /// Adds another answer's counts (not its `held`, ids or table) to this one; refusals are kept up to the limit.
    pub fn add(&mut self, other: &Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
        self.duplicates += other.duplicates;
        self.rejected += other.rejected;
        self.replaced_characters += other.replaced_characters;
        self.spared += other.spared;
        self.records += other.records;
        let room = crate::MAX_ERRORS_IN_ANSWER.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.iter().take(room).cloned());
    }
}
