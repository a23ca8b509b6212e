//! Why a principal has access to a resource: every path, with its dates and the loads that brought it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::{At, ViewError};

const USUAL_DEPTH: i32 = 12;
/// Chains of groups that are longer than this exist only in tests.
const GREATEST_DEPTH: i32 = 64;
const MOST_PATHS: i32 = 50;

/// The answer to "why does this principal have access to this resource?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The system of both.
    pub system_id: i32,
    /// The principal.
    pub principal_id: Uuid,
    /// Its name; absent when the register does not know it.
    pub principal_name: Option<String>,
    /// What it is.
    pub principal_type: Option<String>,
    /// The resource.
    pub resource_id: Uuid,
    /// Its name; absent when the register does not know it.
    pub resource_name: Option<String>,
    /// What it is.
    pub resource_type: Option<String>,
    /// The ways, shortest first; empty when there is no access.
    pub paths: Vec<AccessPath>,
    /// There are, or may be, more ways than are listed.
    pub is_truncated: bool,
}

/// One way from a principal to a resource; nothing on it comes twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct AccessPath {
    /// Its place in the list, from 1.
    pub path_number: i64,
    /// How many steps it has.
    pub length: i32,
    /// What the access amounts to; `Eligible` when a step has to be activated first.
    pub assignment_type: String,
    /// `Active` or `Eligible`.
    pub access_state: String,
    /// Where it applies.
    pub role_scope: String,
    /// From the principal to the resource.
    #[sqlx(json)]
    pub steps: Vec<Step>,
}

/// A path, and whether the search was cut short.
#[derive(FromRow)]
struct FoundPath {
    #[sqlx(flatten)]
    path: AccessPath,
    is_cut: bool,
}

/// One step: something holds, or contains, the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What holds.
    pub from_id: Uuid,
    /// Its name; absent when the register does not know it.
    pub from_name: Option<String>,
    /// What it is, such as `User` or `EntraGroup`.
    pub from_kind: Option<String>,
    /// The type of assignment, or `Contains` and the like between resources.
    pub relation: String,
    /// The scope of the assignment, or the role inside the contained resource.
    pub role_scope: String,
    /// What is held.
    pub to_id: Uuid,
    /// Its name; absent when the register does not know it.
    pub to_name: Option<String>,
    /// What it is.
    pub to_type: Option<String>,
    /// Since when, as the source says; absent when it does not.
    pub since: Option<DateTime<Utc>>,
    /// When the register first saw it: it may be older.
    pub first_seen_at: DateTime<Utc>,
    /// Until when; absent for permanent.
    pub expires: Option<DateTime<Utc>>,
    /// The load that wrote it as it is now.
    pub sync_id: Uuid,
}

/// Why a principal has access to a resource, from the live tables, or from what they were: right even before a refresh.
/// No paths, and no names, for a system of another workspace.
pub async fn explain<'a>(
    at: impl Into<At<'a>>,
    workspace_id: i32,
    system_id: i32,
    principal_id: Uuid,
    resource_id: Uuid,
) -> Result<Explanation, ViewError> {
    let mut reading = at.into().begin().await?;
    let (principal_name, principal_type, resource_name, resource_type): (
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
    ) = sqlx::query_as(
        "select coalesce(p.display_name, g.display_name), coalesce(p.principal_type, g.resource_type),
                r.display_name, r.resource_type
         from (values ($1::integer, $2::integer, $3::uuid, $4::uuid))
                  asked (workspace_id, system_id, principal_id, resource_id)
         left join public.systems s on s.system_id = asked.system_id and s.workspace_id = asked.workspace_id
         left join principals p
           on p.system_id = s.system_id and p.id = asked.principal_id and p.deleted_at is null
         left join resources g
           on g.system_id = s.system_id and g.id = asked.principal_id and g.deleted_at is null
         left join resources r
           on r.system_id = s.system_id and r.id = asked.resource_id and r.deleted_at is null",
    )
    .bind(workspace_id)
    .bind(system_id)
    .bind(principal_id)
    .bind(resource_id)
    .fetch_one(&mut *reading)
    .await?;
    let mut paths = Vec::new();
    for depth in [USUAL_DEPTH, GREATEST_DEPTH] {
        paths = find_paths(
            &mut reading,
            workspace_id,
            system_id,
            principal_id,
            resource_id,
            depth,
        )
        .await?;
        if !paths.is_empty() {
            break;
        }
    }
    let is_truncated = match paths.first() {
        Some(first) => first.is_cut || paths.len() > MOST_PATHS as usize,
        // Only a way that is longer than any that is searched for.
        None => {
            has_access(
                &mut reading,
                workspace_id,
                system_id,
                principal_id,
                resource_id,
            )
            .await?
        }
    };
    reading.end().await?;
    paths.truncate(MOST_PATHS as usize);
    Ok(Explanation {
        system_id,
        principal_id,
        principal_name,
        principal_type,
        resource_id,
        resource_name,
        resource_type,
        paths: paths.into_iter().map(|found| found.path).collect(),
        is_truncated,
    })
}

/// The shortest paths, one more than are shown.
async fn find_paths(
    conn: &mut PgConnection,
    workspace_id: i32,
    system_id: i32,
    principal_id: Uuid,
    resource_id: Uuid,
    depth: i32,
) -> Result<Vec<FoundPath>, ViewError> {
    Ok(sqlx::query_as(
        "select x.path_number, x.length, x.assignment_type, x.access_state, x.role_scope, x.steps,
                x.is_cut
         from public.systems s
         cross join lateral explain_access(s.system_id, $3, $4, $5, $6) x
         where s.workspace_id = $1 and s.system_id = $2
         order by x.path_number",
    )
    .bind(workspace_id)
    .bind(system_id)
    .bind(principal_id)
    .bind(resource_id)
    .bind(depth)
    .bind(MOST_PATHS + 1)
    .fetch_all(conn)
    .await?)
}

/// Does the principal have the resource in effect?
async fn has_access(
    conn: &mut PgConnection,
    workspace_id: i32,
    system_id: i32,
    principal_id: Uuid,
    resource_id: Uuid,
) -> Result<bool, ViewError> {
    Ok(sqlx::query_scalar(
        "select exists (
             select from public.systems s
             cross join lateral effective_access_of_principals(s.system_id, array[$3::uuid]) e
             where s.workspace_id = $1 and s.system_id = $2 and e.resource_id = $4
         )",
    )
    .bind(workspace_id)
    .bind(system_id)
    .bind(principal_id)
    .bind(resource_id)
    .fetch_one(conn)
    .await?)
}
