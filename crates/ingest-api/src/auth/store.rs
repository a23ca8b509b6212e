//! Keys in the database.

use chrono::{DateTime, Utc};
use contract::{KeyInfo, Permission, SystemId};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow};

use super::{AddressRange, GeneratedKey};

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

/// What [`key_info`] reads.
pub const COLUMNS: &str = "key_id, name, permissions, system_ids, created_at, expires_at, last_used_at, revoked_at, \
     allowed_addresses, requests_per_minute, rotated_from";

/// A key from its row.
pub fn key_info(row: &PgRow) -> Result<KeyInfo, sqlx::Error> {
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
        allowed_addresses: row.try_get("allowed_addresses")?,
        requests_per_minute: row
            .try_get::<Option<i32>, _>("requests_per_minute")?
            .map(i32::unsigned_abs),
        rotated_from: row.try_get("rotated_from")?,
    })
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
    let row = sqlx::query(AssertSqlSafe(format!(
        "insert into api_keys (key_id, workspace_id, name, secret_hash, permissions, system_ids, created_by, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) returning {COLUMNS}",
    )))
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

/// From where and how often a key may be used; `None` for no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The addresses and networks that it works from.
    pub allowed_addresses: Option<Vec<AddressRange>>,
    /// Most requests a minute, for each server.
    pub requests_per_minute: Option<u32>,
}

/// Sets from where and how often a key may be used.
pub async fn limit(
    connection: &mut PgConnection,
    key_id: &str,
    limits: &Limits,
) -> Result<KeyInfo, sqlx::Error> {
    let addresses: Option<Vec<String>> = limits
        .allowed_addresses
        .as_ref()
        .map(|ranges| ranges.iter().map(ToString::to_string).collect());
    let row = sqlx::query(AssertSqlSafe(format!(
        "update api_keys set allowed_addresses = $2, requests_per_minute = $3 where key_id = $1 returning {COLUMNS}"
    )))
    .bind(key_id)
    .bind(addresses)
    .bind(limits.requests_per_minute.map(u32::cast_signed))
    .fetch_one(connection)
    .await?;
    key_info(&row)
}

/// The keys of a workspace, newest first; only those within `system_ids`, where that is given.
pub async fn list(
    pool: &PgPool,
    workspace_id: i32,
    system_ids: Option<&[SystemId]>,
) -> Result<Vec<KeyInfo>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select {COLUMNS} from api_keys where workspace_id = $1 and ($2::integer[] is null or system_ids <@ $2) \
         order by created_at desc, key_id",
    )))
    .bind(workspace_id)
    .bind(system_ids)
    .fetch_all(pool)
    .await?;
    rows.iter().map(key_info).collect()
}
