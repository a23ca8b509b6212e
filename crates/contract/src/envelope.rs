//! The envelope of `POST /api/ingest/{entity}`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::SystemId;

/// What a load says about rows and fields that it does not mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// The records are everything there is in the scope; absent fields are cleared, absent rows may be removed.
    Full,
    /// The records are changes; what is absent stays as it is.
    #[default]
    Delta,
}

/// Where a record without a source GUID gets its id from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdGeneration {
    /// `id` as sent, else the UUIDv5 of (system, entity, externalId).
    #[default]
    Native,
    /// The hex of MD5(`idPrefix:externalId`) laid out as a UUID, as Identity Atlas' crawlers expect.
    Deterministic,
}

/// The steps of the chunked form that older callers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncStep {
    /// Opens a session with its first records.
    Start,
    /// Adds records.
    Continue,
    /// Adds the last records and commits.
    End,
}

/// The part of a system's rows that a load is about: scope key → value. Which keys an entity knows is in the contract.
pub type Scope = BTreeMap<String, String>;

/// What was read to the end. Only rows inside it can be removed by a full load.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Completeness {
    /// The whole scope was read to the end, but for `incompleteParents`.
    pub complete: bool,
    /// Parents (a group, for its members) whose children could not be read to the end: their rows stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete_parents: Vec<Uuid>,
    /// With `complete`: only these parents were read, each to its end, and nothing is said about any other. At most
    /// [`MAX_COMPLETE_PARENTS`], and not together with `incompleteParents`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub complete_parents: Vec<Uuid>,
}

/// Most parents that a commit names as the only ones that were read.
pub const MAX_COMPLETE_PARENTS: usize = 20_000;

/// A single call with its records.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", bound(deserialize = "R: Deserialize<'de>"))]
pub struct IngestRequest<R> {
    /// The system that the records belong to. Needed for every entity but `systems`.
    pub system_id: Option<SystemId>,
    /// `delta` when absent.
    #[serde(default)]
    pub sync_mode: SyncMode,
    /// The part of the rows that the load is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scope: Scope,
    /// The records.
    pub records: Vec<R>,
    /// Keys of rows to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted_ids: Vec<serde_json::Value>,
    /// How ids come about.
    #[serde(default)]
    pub id_generation: IdGeneration,
    /// The prefix of generated ids, such as `hr-principals`.
    #[schemars(length(max = 100))]
    pub id_prefix: Option<String>,
    /// The step, in the chunked form of older callers.
    pub sync_session: Option<SyncStep>,
    /// The session of a `continue` or `end`.
    pub sync_id: Option<Uuid>,
    /// One bad record refuses the whole call.
    #[serde(default)]
    pub atomic: bool,
    /// Was the whole scope read to the end? `true` when absent.
    pub complete: Option<bool>,
    /// Parents that were not read to the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete_parents: Vec<Uuid>,
    /// The only parents that were read, each to its end; see [`Completeness::complete_parents`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complete_parents: Vec<Uuid>,
    /// A fingerprint of what the source was asked for; see [`crate::session::OpenSession::source_filter`].
    #[schemars(length(max = 200))]
    pub source_filter: Option<String>,
    /// How long ago the reading began; see [`crate::session::OpenSession::read_began_ms_ago`].
    #[schemars(range(max = 2_592_000_000_u64))]
    pub read_began_ms_ago: Option<u64>,
}
