//! Removals that the delete guard stopped and that a person decides.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::{Entity, Scope, SystemId};

/// Where a held change set stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeSetState {
    /// Waits for a decision.
    Held,
    /// A person approved it and the rows were removed.
    Approved,
    /// A person rejected it; the rows stay.
    Rejected,
    /// A newer full load of the same scope was committed; its own findings hold.
    Expired,
}

/// A set of removals that waits, or waited, for a person.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeSet {
    /// The change set.
    pub change_set_id: Uuid,
    /// The session whose commit found the rows missing.
    pub sync_id: Uuid,
    /// The system.
    pub system_id: SystemId,
    /// What the rows are.
    pub entity: Entity,
    /// The scope of the load.
    pub scope: Scope,
    /// Rows that would be removed.
    pub would_delete: u64,
    /// Rows that were live in the scope.
    pub of: u64,
    /// Why it was held: `over_limit`, `empty_source`, `scope_changed` or `source_filter_changed`.
    pub reason: String,
    /// Where it stands.
    pub state: ChangeSetState,
    /// When it was held.
    pub created_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// Who decided (name of the API key).
    pub decided_by: Option<String>,
    /// The decider's words.
    pub decision_reason: Option<String>,
}

/// Body of `POST /api/ingest/held/{id}/approve|reject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    /// Why; kept with the change set.
    #[schemars(length(min = 3, max = 1000))]
    pub reason: String,
}
