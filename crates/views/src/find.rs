//! Finding principals and resources by what a person types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::{ViewError, page::MAX_PAGE};

/// A principal that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct FoundPrincipal {
    /// Its system.
    pub system_id: i32,
    /// The principal.
    pub id: Uuid,
    /// Its name.
    pub display_name: String,
    /// What it is.
    pub principal_type: String,
    /// Its sign-in name.
    pub user_principal_name: Option<String>,
    /// Can it sign in?
    pub account_enabled: Option<bool>,
}

/// A resource that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct FoundResource {
    /// Its system.
    pub system_id: i32,
    /// The resource.
    pub id: Uuid,
    /// Its name.
    pub display_name: String,
    /// What it is.
    pub resource_type: String,
    /// What it is for.
    pub description: Option<String>,
}

/// Live principals of a workspace by id, exact name, beginning of the name, then part of it. Case does not count; the
/// sign-in name and the mail address are names too. Only those of `system_ids`, where that is given; at most
/// [`crate::MAX_PAGE`].
pub async fn find_principals(
    pool: &PgPool,
    workspace_id: i32,
    text: &str,
    system_ids: Option<&[i32]>,
    limit: u32,
) -> Result<Vec<FoundPrincipal>, ViewError> {
    let Some(needle) = needle(text) else {
        return Ok(Vec::new());
    };
    Ok(sqlx::query_as(
        "select p.system_id, p.id, p.display_name, p.principal_type, p.user_principal_name, p.account_enabled
         from principals p
         join systems s on s.system_id = p.system_id and s.workspace_id = $1
         cross join lateral (
             select case
                        when p.id = $3 then 0
                        when lower($2) in
                             (lower(p.display_name), lower(p.user_principal_name), lower(p.email)) then 1
                        when starts_with(lower(p.display_name), lower($2))
                          or starts_with(lower(p.user_principal_name), lower($2))
                          or starts_with(lower(p.email), lower($2)) then 2
                        when strpos(lower(p.display_name), lower($2)) > 0
                          or strpos(lower(p.user_principal_name), lower($2)) > 0
                          or strpos(lower(p.email), lower($2)) > 0 then 3
                    end as place
         ) found
         where found.place is not null and p.deleted_at is null
           and ($5::integer[] is null or p.system_id = any ($5))
         order by found.place, lower(p.display_name) collate \"C\", p.system_id, p.id
         limit $4",
    )
    .bind(workspace_id)
    .bind(needle)
    .bind(Uuid::try_parse(needle).ok())
    .bind(i64::from(limit.min(MAX_PAGE)))
    .bind(system_ids)
    .fetch_all(pool)
    .await?)
}

/// Live resources of a workspace by id, exact name, beginning of the name, then part of it. Case does not count; the
/// mail address is a name too. Only those of `system_ids`, where that is given; at most [`crate::MAX_PAGE`].
pub async fn find_resources(
    pool: &PgPool,
    workspace_id: i32,
    text: &str,
    system_ids: Option<&[i32]>,
    limit: u32,
) -> Result<Vec<FoundResource>, ViewError> {
    let Some(needle) = needle(text) else {
        return Ok(Vec::new());
    };
    Ok(sqlx::query_as(
        "select r.system_id, r.id, r.display_name, r.resource_type, r.description
         from resources r
         join systems s on s.system_id = r.system_id and s.workspace_id = $1
         cross join lateral (
             select case
                        when r.id = $3 then 0
                        when lower($2) in (lower(r.display_name), lower(r.mail)) then 1
                        when starts_with(lower(r.display_name), lower($2))
                          or starts_with(lower(r.mail), lower($2)) then 2
                        when strpos(lower(r.display_name), lower($2)) > 0
                          or strpos(lower(r.mail), lower($2)) > 0 then 3
                    end as place
         ) found
         where found.place is not null and r.deleted_at is null
           and ($5::integer[] is null or r.system_id = any ($5))
         order by found.place, lower(r.display_name) collate \"C\", r.system_id, r.id
         limit $4",
    )
    .bind(workspace_id)
    .bind(needle)
    .bind(Uuid::try_parse(needle).ok())
    .bind(i64::from(limit.min(MAX_PAGE)))
    .bind(system_ids)
    .fetch_all(pool)
    .await?)
}

/// What to look for; nothing when the text is blank or such that no stored name can contain it.
fn needle(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}
