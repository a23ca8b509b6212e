//! Tokens in the database.

use chrono::{DateTime, Utc};
use contract::{DeltaToken, NewDeltaToken, SystemId, TokenText};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::error::ApiError;

/// Most endpoints of a system: what is listed at once stays small.
const MAX_ENDPOINTS: i64 = 500;

const COLUMNS: &str = "endpoint, config_hash, token, saved_at, sync_id, full_read_at, \
     extract(epoch from now() - saved_at)::bigint as age, extract(epoch from now() - full_read_at)::bigint as full_read_age";

fn read(row: &PgRow) -> Result<DeltaToken, sqlx::Error> {
    // The clock may have been set back since.
    let seconds = |age: i64| age.max(0) as u64;
    Ok(DeltaToken {
        endpoint: row.try_get("endpoint")?,
        config_hash: row.try_get("config_hash")?,
        token: TokenText(row.try_get("token")?),
        saved_at: row.try_get::<DateTime<Utc>, _>("saved_at")?,
        age_seconds: seconds(row.try_get("age")?),
        sync_id: row.try_get("sync_id")?,
        full_read_at: row.try_get("full_read_at")?,
        full_read_age_seconds: row.try_get::<Option<i64>, _>("full_read_age")?.map(seconds),
    })
}

/// Saves tokens over those that their endpoints have. `sync_id` is the load that brings them, if one does.
pub async fn save(
    connection: &mut PgConnection,
    system_id: SystemId,
    sync_id: Option<Uuid>,
    tokens: &[NewDeltaToken],
) -> Result<(), ApiError> {
    if tokens.is_empty() {
        return Ok(());
    }
    // In the order of their endpoints, so that two commits never wait for each other.
    let mut tokens: Vec<&NewDeltaToken> = tokens.iter().collect();
    tokens.sort_by_key(|token| &token.endpoint);
    let column = |pick: fn(&NewDeltaToken) -> &str| -> Vec<&str> {
        tokens.iter().map(|token| pick(token)).collect()
    };
    sqlx::query(
        "insert into delta_tokens as d (system_id, endpoint, config_hash, token, saved_at, sync_id, full_read_at) \
         select $1, t.endpoint, t.config_hash, t.token, now(), $2, case when t.is_full_read then now() end \
         from unnest($3::text[], $4::text[], $5::text[], $6::boolean[]) t (endpoint, config_hash, token, is_full_read) \
         on conflict (system_id, endpoint) do update set config_hash = excluded.config_hash, token = excluded.token, \
         saved_at = excluded.saved_at, sync_id = excluded.sync_id, full_read_at = coalesce(excluded.full_read_at, d.full_read_at)",
    )
    .bind(system_id)
    .bind(sync_id)
    .bind(column(|token| &token.endpoint))
    .bind(column(|token| &token.config_hash))
    .bind(column(|token| &token.token.0))
    .bind(tokens.iter().map(|token| token.is_full_read).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let endpoints: i64 =
        sqlx::query_scalar("select count(*) from delta_tokens where system_id = $1")
            .bind(system_id)
            .fetch_one(connection)
            .await?;
    if endpoints > MAX_ENDPOINTS {
        return Err(ApiError::Conflict {
            detail: format!(
                "a system has tokens of at most {MAX_ENDPOINTS} endpoints; delete some first"
            ),
            sync_id,
        });
    }
    Ok(())
}

/// The tokens of a system, by endpoint.
pub async fn list(pool: &PgPool, system_id: SystemId) -> Result<Vec<DeltaToken>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from delta_tokens where system_id = $1 order by endpoint");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(system_id)
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

/// The token of an endpoint.
pub async fn get(
    connection: &mut PgConnection,
    system_id: SystemId,
    endpoint: &str,
) -> Result<Option<DeltaToken>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from delta_tokens where system_id = $1 and endpoint = $2");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(system_id)
        .bind(endpoint)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Forgets the token of an endpoint, if there is one.
pub async fn delete(pool: &PgPool, system_id: SystemId, endpoint: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from delta_tokens where system_id = $1 and endpoint = $2")
        .bind(system_id)
        .bind(endpoint)
        .execute(pool)
        .await?;
    Ok(())
}
