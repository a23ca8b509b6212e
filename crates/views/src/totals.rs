//! How much there is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};

use crate::ViewError;

/// Live rows of a workspace, by table.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, FromRow,
)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each field is named after its table")]
pub struct Totals {
    pub systems: i64,
    pub principals: i64,
    pub resources: i64,
    pub resource_assignments: i64,
    pub resource_relationships: i64,
    pub identities: i64,
    pub identity_members: i64,
    pub contexts: i64,
    pub context_members: i64,
    pub principal_activity: i64,
    pub governance_catalogs: i64,
    pub assignment_policies: i64,
    pub assignment_requests: i64,
    pub certification_decisions: i64,
    pub effective_access: i64,
}

/// Counts the live rows of a workspace.
pub async fn totals(pool: &PgPool, workspace_id: i32) -> Result<Totals, ViewError> {
    Ok(sqlx::query_as(include_str!("totals.sql"))
        .bind(workspace_id)
        .fetch_one(pool)
        .await?)
}
