//! Who made a version: the load, the key that it was sent with, and the person who approved a removal.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use contract::SystemId;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

/// The load that began or ended a version.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChangedBy")]
pub struct By {
    /// Its id: `syncId` of the load.
    pub sync_id: Uuid,
    /// Who sent it.
    pub actor: Actor,
    /// The crawl that it belonged to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Uuid>,
    /// The system that was loaded; absent for a load of systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_id: Option<SystemId>,
    /// What was loaded.
    pub entity: String,
    /// `full` or `delta`.
    pub sync_mode: String,
    /// When the load was opened.
    pub opened_at: DateTime<Utc>,
    /// When it ended; absent while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<DateTime<Utc>>,
    /// The person who approved, when it is a removal that was held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// Who sends loads. There will be others than keys.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Actor {
    /// An API key.
    Key {
        /// Its id, the part that is no secret.
        key_id: String,
        /// Its name.
        name: String,
    },
}

/// A person's decision to remove what was held.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The change set that was approved.
    pub change_set_id: Uuid,
    /// Who approved, as in the audit log.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    sync_id: Uuid,
    run_id: Option<Uuid>,
    system_id: Option<SystemId>,
    entity: String,
    sync_mode: String,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    key_id: String,
    key_name: String,
    change_set_id: Option<Uuid>,
    decided_by: Option<String>,
    decision_reason: Option<String>,
    decided_at: Option<DateTime<Utc>>,
}

/// Loads by their ids.
pub struct Loads(HashMap<Uuid, By>);

impl Loads {
    /// Those of a workspace with these ids.
    pub async fn find(
        pool: &PgPool,
        workspace_id: i32,
        mut ids: Vec<Uuid>,
    ) -> Result<Self, sqlx::Error> {
        ids.sort_unstable();
        ids.dedup();
        // A load is judged once, at its commit, so it has at most one change set.
        let rows: Vec<Row> = sqlx::query_as(
            "select s.sync_id, s.run_id, s.system_id, s.entity, s.sync_mode, s.opened_at, s.closed_at, s.key_id, \
             k.name as key_name, c.change_set_id, c.decided_by, c.decision_reason, c.decided_at \
             from unnest($1::uuid[]) wanted (sync_id) join sync_sessions s using (sync_id) join api_keys k using (key_id) \
             left join held_change_sets c on c.system_id = s.system_id and c.entity = s.entity and c.sync_id = s.sync_id \
             and c.state = 'approved' where s.workspace_id = $2",
        )
        .bind(ids)
        .bind(workspace_id)
        .fetch_all(pool)
        .await?;
        Ok(Self(
            rows.into_iter().map(|row| (row.sync_id, by(row))).collect(),
        ))
    }

    /// The load that wrote something.
    pub fn writer(&self, sync_id: Uuid) -> Option<By> {
        self.0.get(&sync_id).map(|load| By {
            approval: None,
            ..load.clone()
        })
    }

    /// The load that removed something at a moment. What it removed after a person's decision, it removed by it; what it
    /// removed before that, it had named itself.
    pub fn remover(&self, sync_id: Uuid, at: DateTime<Utc>) -> Option<By> {
        let mut load = self.0.get(&sync_id)?.clone();
        load.approval = load.approval.filter(|approval| approval.at <= at);
        Some(load)
    }
}

fn by(row: Row) -> By {
    let approval = match (
        row.change_set_id,
        row.decided_by,
        row.decision_reason,
        row.decided_at,
    ) {
        (Some(change_set_id), Some(by), Some(reason), Some(at)) => Some(Approval {
            change_set_id,
            by,
            reason,
            at,
        }),
        _ => None,
    };
    By {
        sync_id: row.sync_id,
        actor: Actor::Key {
            key_id: row.key_id,
            name: row.key_name,
        },
        run_id: row.run_id,
        system_id: row.system_id,
        entity: row.entity,
        sync_mode: row.sync_mode,
        opened_at: row.opened_at,
        closed_at: row.closed_at,
        approval,
    }
}
