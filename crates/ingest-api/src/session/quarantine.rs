//! Refused records: kept with their reason until somebody has looked at them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::record::Refusal;

/// A refused record as the API shows it.
#[derive(Debug, Clone, Serialize, JsonSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Its number; pass the last one as `after` for the next page.
    pub rejected_id: i64,
    /// The batch that it was in.
    pub seq: i64,
    /// Its place in the batch.
    pub record_index: i64,
    /// The field.
    pub pointer: String,
    /// The reason, to branch on.
    pub code: String,
    /// The reason, to read.
    pub detail: String,
    /// The beginning of the record.
    pub excerpt: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// Stores the refused records of a batch.
pub async fn store(
    connection: &mut PgConnection,
    sync_id: Uuid,
    system_id: Option<i32>,
    entity: &str,
    seq: i64,
    refusals: &[&Refusal],
) -> Result<(), sqlx::Error> {
    if refusals.is_empty() {
        return Ok(());
    }
    let field = |pick: fn(&Refusal) -> &str| -> Vec<&str> {
        refusals.iter().map(|refusal| pick(refusal)).collect()
    };
    sqlx::query(
        "insert into rejected_records (sync_id, system_id, entity, seq, record_index, pointer, code, detail, excerpt) \
         select $1, $2, $3, $4, r.record_index, r.pointer, r.code, r.detail, r.excerpt \
         from unnest($5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[]) as r (record_index, pointer, code, detail, excerpt)",
    )
    .bind(sync_id)
    .bind(system_id)
    .bind(entity)
    .bind(seq)
    .bind(refusals.iter().map(|refusal| refusal.error.index as i64).collect::<Vec<_>>())
    .bind(field(|refusal| &refusal.error.pointer))
    .bind(field(|refusal| &refusal.error.code))
    .bind(field(|refusal| &refusal.error.detail))
    .bind(field(|refusal| &refusal.excerpt))
    .execute(connection)
    .await?;
    Ok(())
}

/// A page of a load's refused records.
pub async fn rejected(
    pool: &PgPool,
    sync_id: Uuid,
    after: i64,
    limit: i64,
) -> Result<Vec<Rejected>, sqlx::Error> {
    sqlx::query_as(
        "select rejected_id, seq, record_index, pointer, code, detail, excerpt, received_at from rejected_records \
         where sync_id = $1 and rejected_id > $2 order by rejected_id limit $3",
    )
    .bind(sync_id)
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await
}
