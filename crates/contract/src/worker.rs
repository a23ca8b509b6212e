//! Workers, as people see them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

/// A worker that asked for jobs lately.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerInfo {
    /// Its name: the machine's, its process id, and what tells this start from others.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The key that it uses.
    pub key_id: String,
    /// When it first asked for a job.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last heard of: it asked for a job, or kept one.
    pub last_seen_at: DateTime<Utc>,
    /// The jobs that it has.
    pub jobs: Vec<Uuid>,
}

/// Answer of `GET /api/workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerList {
    /// The workers, the one that was heard of last first.
    pub items: Vec<WorkerInfo>,
}
