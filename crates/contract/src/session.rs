//! Sync sessions: a load of one scope in batches that becomes effective for removals at commit.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::{
    Completeness, Entity, IdGeneration, IngestAnswer, NewDeltaToken, Scope, SyncMode, SystemId,
};

/// Body of `POST /api/ingest/sessions`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenSession {
    /// The system that the records belong to.
    pub system_id: SystemId,
    /// What is loaded.
    pub entity: Entity,
    /// `delta` when absent.
    #[serde(default)]
    pub sync_mode: SyncMode,
    /// The part of the entity's rows that is loaded.
    #[serde(default)]
    pub scope: Scope,
    /// How ids come about.
    #[serde(default)]
    pub id_generation: IdGeneration,
    /// The prefix of generated ids.
    #[schemars(length(max = 100))]
    pub id_prefix: Option<String>,
    /// A fingerprint of what the source was asked for (filters, selected kinds). When it differs from the last
    /// committed full load of the same scope, removals are held: rows may be missing because the question changed.
    #[schemars(length(max = 200))]
    pub source_filter: Option<String>,
    /// The crawl that this session is part of.
    pub run_id: Option<Uuid>,
    /// How long ago, in milliseconds, the reading of the source began. Rows that other loads wrote since then are not
    /// removed: they are newer than what this load knows. A length of time, because clocks differ.
    #[schemars(range(max = 2_592_000_000_u64))]
    pub read_began_ms_ago: Option<u64>,
}

/// Answer to opening a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionOpened {
    /// The session.
    pub sync_id: Uuid,
    /// When it expires unless another batch arrives.
    pub expires_at: DateTime<Utc>,
}

/// Body of `PUT /api/ingest/sessions/{syncId}/batches/{seq}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batch<R> {
    /// The records.
    pub records: Vec<R>,
    /// Keys of rows that the commit removes or holds: a uuid, or an object with the key's fields. Only in sessions with
    /// the sync mode `delta`. They come after the records of their batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted_ids: Vec<serde_json::Value>,
}

/// Body of `POST /api/ingest/sessions/{syncId}/commit`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// How many batches were sent: sequence numbers 0 to `batches - 1` must all have arrived.
    pub batches: u64,
    /// What was read to the end; nothing when absent.
    #[serde(flatten)]
    pub completeness: Completeness,
    /// Where the next delta readings begin: saved with the commit, or not at all. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delta_tokens: Vec<NewDeltaToken>,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Takes batches.
    Open,
    /// Done; removals were applied or held.
    Committed,
    /// Given up; removed nothing.
    Aborted,
    /// No batch for 24 hours; removed nothing.
    Expired,
}

/// Answer of `GET /api/ingest/sessions/{syncId}`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// The session.
    pub sync_id: Uuid,
    /// Where it stands.
    pub state: SessionState,
    /// The system.
    pub system_id: SystemId,
    /// What is loaded.
    pub entity: Entity,
    /// How it is loaded.
    pub sync_mode: SyncMode,
    /// The part of the rows that is loaded.
    pub scope: Scope,
    /// The crawl it is part of.
    pub run_id: Option<Uuid>,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it expires unless another batch arrives.
    pub expires_at: DateTime<Utc>,
    /// Batches that arrived.
    pub batches: u64,
    /// The number for a batch that follows all that arrived: one more than the greatest, 0 when there is none.
    #[serde(default)]
    pub next_seq: u64,
    /// Numbers below `nextSeq` that never arrived, smallest first; at most 1,000 are named.
    #[serde(default)]
    pub missing: Vec<u64>,
    /// Counts so far, or the final ones.
    pub totals: IngestAnswer,
}

/// Answer of `GET /api/ingest/sessions?runId=`: sessions in the order in which they were opened.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionPage {
    /// The sessions.
    pub items: Vec<SessionStatus>,
    /// Pass it as `after` for the next page; absent on the last one.
    pub next: Option<Uuid>,
}
