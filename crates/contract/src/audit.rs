//! The audit log, as the API shows it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

/// Who did what to what. Entries are never changed.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Grows with time.
    pub audit_id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: `key:<keyId> (<name>)`, `command line`, or `nobody` where no key was told.
    pub actor: String,
    /// What was done, such as `key.create` or `held.approve`.
    pub action: String,
    /// What it was done to: an id, mostly.
    pub target: String,
    /// What else there is to know; differs with the action.
    pub detail: Map<String, Value>,
    /// Where the call came from.
    pub address: Option<String>,
    /// The `x-request-id` of the call.
    pub request_id: Option<String>,
}

/// Answer of `GET /api/audit`: newest first.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// The `after` of the next page; absent on the last one.
    pub next: Option<String>,
}
