//! What becomes of a key: changed, replaced by another, revoked.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{KeyInfo, SystemId};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{
    GeneratedKey, KeyError, NewKey, create_key,
    store::{COLUMNS, key_info},
};

/// How long a key lives when nobody says otherwise.
pub const DEFAULT_LIFETIME: TimeDelta = TimeDelta::days(90);

/// Which keys somebody manages: those of a workspace, within some systems where that is given.
#[derive(Debug, Clone, Copy)]
pub struct Realm<'a> {
    /// The workspace.
    pub workspace_id: i32,
    /// Only keys for these systems; `None` for all.
    pub system_ids: Option<&'a [SystemId]>,
}

/// A key of a realm, held until the transaction ends, so that nobody else changes, replaces or revokes it meanwhile.
pub async fn hold(
    connection: &mut PgConnection,
    realm: Realm<'_>,
    key_id: &str,
) -> Result<Option<KeyInfo>, sqlx::Error> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "select {COLUMNS} from api_keys where key_id = $1 and workspace_id = $2 \
         and ($3::integer[] is null or system_ids <@ $3) for no key update"
    )))
    .bind(key_id)
    .bind(realm.workspace_id)
    .bind(realm.system_ids)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(key_info).transpose()
}

/// Gives a key another name, or an earlier end.
pub async fn rename(
    connection: &mut PgConnection,
    key_id: &str,
    name: &str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update api_keys set name = $2, expires_at = least(expires_at, $3) where key_id = $1",
    )
    .bind(key_id)
    .bind(name)
    .bind(expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a key with the same rights and bounds, which goes on with what the old one began, and lets the old one work for a
/// while. `None` when there is no such key, or when it does not work any more.
pub async fn rotate(
    connection: &mut PgConnection,
    realm: Realm<'_>,
    key_id: &str,
    grace: TimeDelta,
    created_by: String,
) -> Result<Option<(GeneratedKey, KeyInfo)>, KeyError> {
    let Some(old) = hold(&mut *connection, realm, key_id).await? else {
        return Ok(None);
    };
    // Held now: a revocation was before, and is seen here, or comes after, and finds the new key. A person's token is
    // not replaced: the new one would be nobody's.
    let works: bool = sqlx::query_scalar(
        "select revoked_at is null and (expires_at is null or expires_at > now()) and account_id is null \
         from api_keys where key_id = $1",
    )
    .bind(key_id)
    .fetch_one(&mut *connection)
    .await?;
    if !works {
        return Ok(None);
    }
    let new = NewKey {
        workspace_id: realm.workspace_id,
        name: old.name,
        permissions: old.permissions,
        system_ids: old.system_ids,
        expires_at: old.expires_at.map(|_| Utc::now() + DEFAULT_LIFETIME),
        created_by,
    };
    let (generated, _) = create_key(&mut *connection, &new).await?;
    let row = sqlx::query(AssertSqlSafe(format!(
        "update api_keys n set rotated_from = o.key_id, lineage = coalesce(o.lineage, o.key_id), \
         allowed_addresses = o.allowed_addresses, requests_per_minute = o.requests_per_minute \
         from api_keys o where n.key_id = $1 and o.key_id = $2 returning {}",
        COLUMNS
            .split(", ")
            .map(|name| format!("n.{}", name.trim()))
            .collect::<Vec<_>>()
            .join(", ")
    )))
    .bind(&generated.id)
    .bind(key_id)
    .fetch_one(&mut *connection)
    .await?;
    let info = key_info(&row)?;
    sqlx::query(
        "update api_keys set expires_at = least(expires_at, now() + make_interval(secs => $2)) where key_id = $1",
    )
    .bind(key_id)
    .bind(grace.as_seconds_f64())
    .execute(connection)
    .await?;
    Ok(Some((generated, info)))
}

/// Revokes a key at once, and, if asked, every key that came from it by rotations. Answers the keys that are revoked by
/// this; `None` when there is no such key.
pub async fn revoke(
    connection: &mut PgConnection,
    realm: Realm<'_>,
    key_id: &str,
    with_descendants: bool,
) -> Result<Option<Vec<String>>, sqlx::Error> {
    if hold(&mut *connection, realm, key_id).await?.is_none() {
        return Ok(None);
    }
    let mut revoked = Vec::new();
    let mut generation = vec![key_id.to_owned()];
    while !generation.is_empty() {
        let now_revoked = sqlx::query(
            "update api_keys set revoked_at = now() where key_id = any ($1) and revoked_at is null returning key_id",
        )
        .bind(&generation)
        .fetch_all(&mut *connection)
        .await?;
        for row in now_revoked {
            revoked.push(row.try_get("key_id")?);
        }
        if !with_descendants {
            break;
        }
        // A statement of its own: it sees what a rotation made that the update had to wait for.
        generation =
            sqlx::query_scalar("select key_id from api_keys where rotated_from = any ($1)")
                .bind(&generation)
                .fetch_all(&mut *connection)
                .await?;
    }
    Ok(Some(revoked))
}
