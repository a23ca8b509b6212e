//! Runs that can be resumed: who claimed them, and how far they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::SystemId;

/// Most entries that one call saves.
pub const MAX_CHECKPOINT_ENTRIES: usize = 5_000;

/// Body of `POST /api/ingest/runs/{runId}/claim`.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRun {
    /// The system that the run reads.
    pub system_id: SystemId,
    /// The epoch of the lease, where the run is that of a job: whoever has lost the job does not get its run.
    pub lease_epoch: Option<i32>,
}

/// Answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunClaimed {
    /// How often the run was claimed, this time included. Only the newest claim may save checkpoints.
    pub epoch: i32,
    /// Was it claimed before?
    pub is_resumed: bool,
    /// How many milliseconds ago it was claimed for the first time, by the server's clock; rounded up.
    pub began_ms_ago: u64,
}

/// One thing to remember of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckpointEntry {
    /// What it is about, such as a collection.
    #[schemars(length(min = 1, max = 100))]
    pub stream: String,
    /// Which part of it, such as a parent's id; may be empty.
    #[schemars(length(max = 200))]
    pub key: String,
    /// What to remember; `null` forgets the entry.
    pub value: Value,
}

/// Body of `PUT /api/ingest/runs/{runId}/checkpoint`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaveCheckpoint {
    /// The epoch of the caller's claim.
    pub epoch: i32,
    /// What changed; of entries with the same stream and key, the last one counts.
    #[schemars(length(max = 5_000))]
    pub entries: Vec<CheckpointEntry>,
}

/// Answer of `GET /api/ingest/runs/{runId}/checkpoint`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointPage {
    /// The entries, ordered by stream and key.
    pub items: Vec<CheckpointEntry>,
    /// Pass it as `after` for the next page; absent on the last one.
    pub next: Option<String>,
}
