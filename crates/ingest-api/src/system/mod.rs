//! Connected sources. Few, numbered by the server, and found again by type and tenant.

use chrono::{DateTime, Utc};
use contract::{SystemId, records::System};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Map;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use crate::{
    auth::Caller,
    error::ApiError,
    record::{ValueRef, canonical, content_hash},
};

/// A system as the API shows it.
#[derive(Debug, Clone, Serialize, JsonSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct SystemInfo {
    /// Its number.
    pub system_id: SystemId,
    /// What it is, such as `EntraID`.
    pub system_type: String,
    /// The source's own id for the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Its name.
    pub display_name: String,
    /// When the register first heard of it.
    pub first_seen_at: DateTime<Utc>,
}

/// What became of a system record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upserted {
    /// It is new.
    Inserted,
    /// It changed.
    Updated,
    /// It was so already.
    Unchanged,
}

/// The systems of a workspace.
pub async fn list(pool: &PgPool, workspace_id: i32) -> Result<Vec<SystemInfo>, sqlx::Error> {
    sqlx::query_as(
        "select system_id, system_type, tenant_id, display_name, first_seen_at from systems \
         where workspace_id = $1 and deleted_at is null order by system_id",
    )
    .bind(workspace_id)
    .fetch_all(pool)
    .await
}

/// The systems that a caller may see.
pub async fn visible(pool: &PgPool, caller: &Caller) -> Result<Vec<SystemId>, sqlx::Error> {
    sqlx::query_scalar(
        "select system_id from systems where workspace_id = $1 and deleted_at is null \
         and ($2::integer[] is null or system_id = any ($2)) order by system_id",
    )
    .bind(caller.workspace_id)
    .bind(&caller.system_ids)
    .fetch_all(pool)
    .await
}

/// Is there such a system for this caller?
pub async fn is_visible(
    pool: &PgPool,
    caller: &Caller,
    system_id: SystemId,
) -> Result<bool, sqlx::Error> {
    let exists: bool = sqlx::query_scalar(
        "select exists (select from systems where system_id = $1 and workspace_id = $2 and deleted_at is null)",
    )
    .bind(system_id)
    .bind(caller.workspace_id)
    .fetch_one(pool)
    .await?;
    Ok(exists && caller.may_touch(system_id))
}

/// Refuses a caller that may not write to a system, in the same words whether or not it exists.
pub async fn require(pool: &PgPool, caller: &Caller, system_id: SystemId) -> Result<(), ApiError> {
    if is_visible(pool, caller, system_id).await? {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "there is no system {system_id} that this key may write to"
    )))
}

/// What a system is found again by: its type and its tenant, or its name where there is no tenant. Long ones are hashed:
/// an index takes no more.
fn system_key(record: &System) -> Result<String, ApiError> {
    let tenant = record
        .tenant_id
        .as_deref()
        .filter(|tenant| !tenant.trim().is_empty());
    let (tag, who) = tenant.map_or(("name", record.display_name.as_str()), |tenant| {
        ("tenant", tenant)
    });
    if [record.system_type.as_str(), who]
        .iter()
        .any(|part| part.contains(char::is_control))
    {
        return Err(ApiError::bad_field(
            "records",
            "systemType, tenantId and displayName hold no control characters",
        ));
    }
    let key = format!("{}\u{1f}{tag}={who}", record.system_type);
    Ok(if key.len() > 600 {
        let [high, low] = halves(&Sha256::digest(key.as_bytes()).into());
        format!("sha256={high:032x}{low:032x}")
    } else {
        key
    })
}

fn halves(digest: &[u8; 32]) -> [u128; 2] {
    let half = |from: usize| {
        digest[from..from + 16]
            .iter()
            .fold(0, |sum, byte| sum << 8 | u128::from(*byte))
    };
    [half(0), half(16)]
}

/// Adds or changes a system. A caller limited to some systems may change those and add none.
pub async fn upsert(
    connection: &mut PgConnection,
    caller: &Caller,
    sync_id: Uuid,
    record: &System,
    extended: &Map<String, serde_json::Value>,
) -> Result<(SystemId, Upserted), ApiError> {
    let key = system_key(record)?;
    let hash = content_hash(
        [
            ("displayName", ValueRef::Text(&record.display_name)),
            (
                "description",
                (record.description.as_deref()).map_or(ValueRef::Null, ValueRef::Text),
            ),
            (
                "enabled",
                record.enabled.map_or(ValueRef::Null, ValueRef::Bool),
            ),
        ],
        &canonical(extended),
    );
    let found = sqlx::query(
        "select system_id, content_hash, deleted_at is not null as is_deleted from systems \
         where workspace_id = $1 and system_key = $2 for update",
    )
    .bind(caller.workspace_id)
    .bind(&key)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(found) = found else {
        return insert(connection, caller, sync_id, record, extended, &key, &hash).await;
    };
    let system_id: SystemId = found.try_get("system_id")?;
    if !caller.may_touch(system_id) {
        return Err(ApiError::Forbidden(format!(
            "there is no system {system_id} that this key may write to"
        )));
    }
    if !found.try_get::<bool, _>("is_deleted")?
        && found.try_get::<Vec<u8>, _>("content_hash")? == hash
    {
        return Ok((system_id, Upserted::Unchanged));
    }
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(
        "with ended as (insert into history_systems (system_id, workspace_id, system_key, system_type, tenant_id, display_name, \
           description, enabled, extended_attributes, first_seen_at, valid_from, sync_id, valid_to, ended_by, operation) \
           select system_id, workspace_id, system_key, system_type, tenant_id, display_name, description, enabled, \
           extended_attributes, first_seen_at, valid_from, sync_id, greatest($8::timestamptz, valid_from + interval '1 microsecond'), \
           $2, 'update' from systems where system_id = $1 and deleted_at is null) \
         update systems set display_name = $3, description = $4, enabled = $5, extended_attributes = $6, content_hash = $7, sync_id = $2, \
           valid_from = greatest($8::timestamptz, valid_from + interval '1 microsecond'), deleted_at = null where system_id = $1",
    )
    .bind(system_id)
    .bind(sync_id)
    .bind(&record.display_name)
    .bind(&record.description)
    .bind(record.enabled)
    .bind(sqlx::types::Json(extended))
    .bind(hash.as_slice())
    .bind(now)
    .execute(connection)
    .await?;
    Ok((system_id, Upserted::Updated))
}

async fn insert(
    connection: &mut PgConnection,
    caller: &Caller,
    sync_id: Uuid,
    record: &System,
    extended: &Map<String, serde_json::Value>,
    key: &str,
    hash: &[u8],
) -> Result<(SystemId, Upserted), ApiError> {
    if caller.system_ids.is_some() {
        return Err(ApiError::Forbidden(
            "this key is limited to some systems and cannot add one".into(),
        ));
    }
    let system_id = sqlx::query_scalar(
        "insert into systems (workspace_id, system_key, system_type, tenant_id, display_name, description, enabled, \
         extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, c.now, c.now, $10 from (select clock_timestamp() as now) c \
         on conflict (workspace_id, system_key) do nothing returning system_id",
    )
    .bind(caller.workspace_id)
    .bind(key)
    .bind(&record.system_type)
    .bind(&record.tenant_id)
    .bind(&record.display_name)
    .bind(&record.description)
    .bind(record.enabled)
    .bind(sqlx::types::Json(extended))
    .bind(hash)
    .bind(sync_id)
    .fetch_optional(connection)
    .await?;
    // Another call added the same system at the same moment: the caller comes again and finds it.
    system_id
        .map(|system_id| (system_id, Upserted::Inserted))
        .ok_or(ApiError::Contention)
}
