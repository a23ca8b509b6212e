//! The principals that hold the most powerful directory roles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{At, ViewError};

/// A principal with directory roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct PrivilegedPrincipal {
    /// Its system.
    pub system_id: i32,
    /// The principal.
    pub principal_id: Uuid,
    /// Its name; absent when the register does not know it.
    pub principal_name: Option<String>,
    /// What it is.
    pub principal_type: Option<String>,
    /// Its sign-in name.
    pub user_principal_name: Option<String>,
    /// Can it sign in?
    pub account_enabled: Option<bool>,
    /// How much its roles weigh together.
    pub score: i64,
    /// The tier of its most powerful role: 0, 1 or 2.
    pub highest_tier: i32,
    /// Roles that it has now.
    pub active_roles: i64,
    /// Roles that it can only activate.
    pub eligible_roles: i64,
    /// The roles, weightiest first.
    #[sqlx(json)]
    pub roles: Vec<HeldRole>,
}

/// A directory role that somebody holds, by the weightiest way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldRole {
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub name: Option<String>,
    /// 0 (can take over the tenant), 1 (privileged) or 2.
    pub tier: i32,
    /// `Active` or `Eligible`.
    pub access_state: String,
    /// Where it applies.
    pub role_scope: String,
    /// By what way: `Direct`, `Group`, `Package` or `Resource`.
    pub via_kind: String,
    /// What gives the role, where it is not the principal's own.
    pub via_id: Option<Uuid>,
    /// Its name.
    pub via: Option<String>,
    /// How much it weighs.
    pub score: i32,
}

/// The principals of a workspace with the weightiest directory roles: by score, name and id.
pub async fn privileged_principals<'a>(
    at: impl Into<At<'a>>,
    workspace_id: i32,
    limit: u32,
) -> Result<Vec<PrivilegedPrincipal>, ViewError> {
    let mut reading = at.into().begin().await?;
    let found = sqlx::query_as(
        "select p.system_id, p.principal_id, p.principal_name, p.principal_type, p.user_principal_name,
                p.account_enabled, p.score, p.highest_tier, p.active_roles, p.eligible_roles, p.roles
         from privileged_principals p
         join public.systems s on s.system_id = p.system_id
         where s.workspace_id = $1
         order by p.score desc, p.principal_name collate \"C\", p.system_id, p.principal_id
         limit $2",
    )
    .bind(workspace_id)
    .bind(i64::from(limit))
    .fetch_all(&mut *reading)
    .await?;
    reading.end().await?;
    Ok(found)
}
