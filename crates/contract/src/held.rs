//! Removals that the delete guard stopped and that a person decides.

use std::collections::BTreeMap;

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

impl ChangeSetState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Held, Self::Approved, Self::Rejected, Self::Expired];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
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
    /// Rows that would have been removed when the set was held.
    pub would_delete: u64,
    /// Rows that an approval would remove now: those that did not come back and were not changed since. Told of one
    /// set that waits; not in lists.
    pub would_delete_now: Option<u64>,
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
    /// When retention dropped the list of its rows; the set itself is kept.
    pub rows_purged_at: Option<DateTime<Utc>>,
}

/// Answer of `GET /api/ingest/held`: change sets, newest first.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeSetPage {
    /// The change sets.
    pub items: Vec<ChangeSet>,
    /// Pass it as `after` for the next page; absent on the last one.
    pub next: Option<Uuid>,
}

/// A row of a change set, as a person must see it to decide.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldRow {
    /// The row's number.
    pub row_id: i64,
    /// Its key: field and value.
    pub key: BTreeMap<String, String>,
    /// Its own name, where the entity has one.
    pub display_name: Option<String>,
    /// The names of what its key refers to, by key field, where they are known: both ends of an assignment.
    pub names: BTreeMap<String, String>,
    /// When it was last changed, or removed.
    pub changed_at: DateTime<Utc>,
    /// Is it still as it was when it was held? If not, an approval does not remove it.
    pub is_as_held: bool,
}

/// Answer of `GET /api/ingest/held/{id}/rows`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldRowPage {
    /// The rows.
    pub items: Vec<HeldRow>,
    /// Pass it as `after` for the next page; absent on the last one.
    pub next: Option<i64>,
}

/// Body of `POST /api/ingest/held/{id}/approve|reject`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    /// Why; kept with the change set.
    #[schemars(length(min = 3, max = 1000))]
    pub reason: String,
    /// Only for an approval: how many rows the decider expects to remove. When it would be another number, nothing is
    /// done: nobody approves something else than they saw.
    pub would_delete: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_serialises_to_its_wire_name() {
        for state in ChangeSetState::ALL {
            assert_eq!(
                serde_json::to_value(state).expect("serialises"),
                state.wire_name()
            );
        }
    }
}
