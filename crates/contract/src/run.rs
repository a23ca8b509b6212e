//! The report of a crawl: what was read, what was not, and why.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::{Cost, Held, Recovered, SyncMode, SystemId, cost::is_zero};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Everything that was asked for was read and landed.
    Complete,
    /// Something could not be read; what it concerns was left as it was.
    Partial,
    /// Everything was read; removals wait for a person.
    Held,
    /// Nothing useful could be read, or the register could not be reached.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// How the reading of a collection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CollectionStatus {
    /// Read to the end.
    Complete,
    /// Some parents (groups) could not be read; the others were.
    Partial,
    /// The application lacks a permission.
    Forbidden,
    /// The tenant lacks a licence.
    Unlicensed,
    /// This cloud or tenant does not have it.
    Unavailable,
    /// It was not asked for.
    Skipped,
    /// It could not be read to the end.
    Failed,
}

/// One object or collection that could not be read.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The object's id in the source.
    pub id: Option<Uuid>,
    /// Its name.
    pub display_name: Option<String>,
    /// What happened, with the source's error code.
    pub reason: String,
}

/// What became of one collection.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionReport {
    /// The collection, such as `users` or `group members`.
    pub collection: String,
    /// How the reading ended.
    pub status: CollectionStatus,
    /// Records that were read from the source.
    pub read: u64,
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows that were as read already.
    pub unchanged: u64,
    /// Rows that were removed.
    pub deleted: u64,
    /// Records that the register refused.
    pub rejected: u64,
    /// Rows that were not read and stay, because another load met or wrote them meanwhile.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spared: u64,
    /// Removals that wait for a person.
    pub held: Option<Held>,
    /// What its reading cost the source. Collections that are made of one list share its requests: one of them has them all.
    #[serde(flatten)]
    pub cost: Cost,
    /// Parents (groups) that could not be read; `failures` names the first hundred.
    pub failed_parents: u64,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// The permission to grant, when one is missing.
    pub missing_permission: Option<String>,
    /// Anything else worth saying.
    pub message: Option<String>,
    /// Time from the first request to the last answer, in milliseconds.
    pub duration_ms: u64,
}

/// What a run cost the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// HTTP calls.
    pub http_calls: u64,
    /// Requests as the source counts them: a batch's parts each.
    pub requests: u64,
    /// Resource units: as the source told, and estimated where it did not tell.
    pub resource_units: u64,
    /// Pages of lists that arrived.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pages: u64,
    /// Requests that the source refused because there were too many (HTTP 429).
    pub throttled: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Time in which at least one request waited, in milliseconds: for the pace, as long as the source asked for, or before it
    /// was sent again.
    pub waited_ms: u64,
    /// Bytes of answer bodies.
    pub received_bytes: u64,
    /// Faults that were got over.
    #[serde(default, skip_serializing_if = "Recovered::is_empty")]
    pub recovered: Recovered,
}

/// The report of a run: body of `POST /api/ingest/sync-log`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// The run.
    pub run_id: Uuid,
    /// The system that was read; absent when the run failed before it was known.
    pub system_id: Option<SystemId>,
    /// The crawler and its version, such as `crawler-entra 0.1.0`.
    pub crawler: String,
    /// How it was read.
    pub mode: SyncMode,
    /// How it ended.
    pub outcome: RunOutcome,
    /// One sentence when the outcome is not `complete`.
    pub message: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// What became of each collection.
    pub collections: Vec<CollectionReport>,
    /// What belongs to no collection of the report: questions about the tenant itself, and lists that are only read to find
    /// what others need. With the collections' costs it adds up to the traffic.
    #[serde(default, skip_serializing_if = "Cost::is_empty")]
    pub other: Cost,
    /// What it cost, all in all.
    pub traffic: Traffic,
}

impl RunReport {
    /// What the collections and what belongs to none of them cost together: the traffic, but for the waits.
    pub fn summed_cost(&self) -> Cost {
        let mut sum = self.other;
        for line in &self.collections {
            sum += line.cost;
        }
        sum
    }
}
