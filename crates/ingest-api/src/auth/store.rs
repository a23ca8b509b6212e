//! Keys in the database.

use chrono::{DateTime, Utc};
use contract::{KeyInfo, Permission, SystemId};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use super::{ApiKey, Caller, GeneratedKey};

/// Why a key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A system that is not there, or not in the workspace.
    #[error("there is no system {0} in this workspace")]
    UnknownSystem(SystemId),
    /// PostgreSQL refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The workspace.
    pub workspace_id: i32,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// The systems it may touch; `None` for all of the workspace.
    pub system_ids: Option<Vec<SystemId>>,
    /// When it stops working; `None` for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who made it.
    pub created_by: String,
}

fn key_info(row: &PgRow) -> Result<KeyInfo, sqlx::Error> {
    let permissions: Vec<String> = row.try_get("permissions")?;
    Ok(KeyInfo {
        key_id: row.try_get("key_id")?,
        name: row.try_get("name")?,
        // A word that this version does not know gives nothing.
        permissions: Permission::ALL
            .into_iter()
            .filter(|one| permissions.iter().any(|name| name == one.wire_name()))
            .collect(),
        system_ids: row.try_get("system_ids")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

/// The caller behind a key, if it works now.
pub async fn authenticate(pool: &PgPool, key: &ApiKey) -> Result<Option<Caller>, sqlx::Error> {
    let found = sqlx::query(
        "select key_id, workspace_id, name, permissions, system_ids, created_at, expires_at, last_used_at, revoked_at, \
         secret_hash, coalesce(lineage, key_id) as lineage, coalesce(last_used_at < now() - interval '1 minute', true) as is_use_news \
         from api_keys where key_id = $1 and revoked_at is null and (expires_at is null or expires_at > now())",
    )
    .bind(&key.id)
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else {
        // As much work as for a key that exists.
        let _ = key.matches(&[0; 32]);
        return Ok(None);
    };
    if !key.matches(&found.try_get::<Vec<u8>, _>("secret_hash")?) {
        return Ok(None);
    }
    if found.try_get("is_use_news")? {
        sqlx::query("update api_keys set last_used_at = now() where key_id = $1")
            .bind(&key.id)
            .execute(pool)
            .await?;
    }
    Ok(Some(Caller {
        workspace_id: found.try_get("workspace_id")?,
        key: key_info(&found)?,
        lineage: found.try_get("lineage")?,
    }))
}

/// Lets a new key go on with what keys of this lineage began.
pub async fn join_lineage(
    connection: &mut PgConnection,
    key_id: &str,
    lineage: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("update api_keys set lineage = $2 where key_id = $1")
        .bind(key_id)
        .bind(lineage)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes a key. The answer holds the only copy of its secret.
pub async fn create_key(
    connection: &mut PgConnection,
    new: &NewKey,
) -> Result<(GeneratedKey, KeyInfo), KeyError> {
    for system_id in new.system_ids.iter().flatten() {
        let exists: bool = sqlx::query_scalar(
            "select exists (select from systems where system_id = $1 and workspace_id = $2)",
        )
        .bind(system_id)
        .bind(new.workspace_id)
        .fetch_one(&mut *connection)
        .await?;
        if !exists {
            return Err(KeyError::UnknownSystem(*system_id));
        }
    }
    let generated = GeneratedKey::generate();
    let permissions: Vec<&str> = new
        .permissions
        .iter()
        .map(|permission| permission.wire_name())
        .collect();
    let row = sqlx::query(
        "insert into api_keys (key_id, workspace_id, name, secret_hash, permissions, system_ids, created_by, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) \
         returning key_id, workspace_id, name, permissions, system_ids, created_at, expires_at, last_used_at, revoked_at",
    )
    .bind(&generated.id)
    .bind(new.workspace_id)
    .bind(&new.name)
    .bind(generated.secret_hash.as_slice())
    .bind(permissions)
    .bind(&new.system_ids)
    .bind(&new.created_by)
    .bind(new.expires_at)
    .fetch_one(connection)
    .await?;
    Ok((generated, key_info(&row)?))
}

/// The keys of a workspace, newest first; only those within `system_ids`, where that is given.
pub async fn list(
    pool: &PgPool,
    workspace_id: i32,
    system_ids: Option<&[SystemId]>,
) -> Result<Vec<KeyInfo>, sqlx::Error> {
    let rows = sqlx::query(
        "select key_id, workspace_id, name, permissions, system_ids, created_at, expires_at, last_used_at, revoked_at \
         from api_keys where workspace_id = $1 and ($2::integer[] is null or system_ids <@ $2) order by created_at desc, key_id",
    )
    .bind(workspace_id)
    .bind(system_ids)
    .fetch_all(pool)
    .await?;
    rows.iter().map(key_info).collect()
}

/// Revokes a key at once; answers whether there was one to revoke (within `system_ids`, where that is given).
pub async fn revoke(
    connection: &mut PgConnection,
    workspace_id: i32,
    system_ids: Option<&[SystemId]>,
    key_id: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update api_keys set revoked_at = coalesce(revoked_at, now()) where key_id = $1 and workspace_id = $2 \
         and ($3::integer[] is null or system_ids <@ $3)",
    )
    .bind(key_id)
    .bind(workspace_id)
    .bind(system_ids)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Lets a key end a day from now, unless it ends before.
pub async fn end_soon(connection: &mut PgConnection, key_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update api_keys set expires_at = least(expires_at, now() + interval '24 hours') where key_id = $1")
        .bind(key_id)
        .execute(connection)
        .await?;
    Ok(())
}
