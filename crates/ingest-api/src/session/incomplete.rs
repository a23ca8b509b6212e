//! Loads that something is missing of: nothing may be removed at their end.

use contract::Entity;
use sqlx::PgPool;
use uuid::Uuid;

use crate::auth::Caller;

/// Something that the caller sent to this load is missing: nothing may be removed at its end. Answers whether there is
/// such an open load of the key.
pub async fn mark_incomplete(
    pool: &PgPool,
    caller: &Caller,
    sync_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let marked = sqlx::query(
        "update sync_sessions set unidentified = unidentified + 1 where sync_id = $1 and state = 'open' \
         and key_id in (select k.key_id from api_keys k where coalesce(k.lineage, k.key_id) = $2)",
    )
    .bind(sync_id)
    .bind(&caller.lineage)
    .execute(pool)
    .await?;
    Ok(marked.rows_affected() > 0)
}

/// Something that the caller sent is missing, and it cannot be told to which load of this entity it belongs: nothing may
/// be removed at the end of any that has no numbers to show the gap.
pub async fn mark_all_incomplete(
    pool: &PgPool,
    caller: &Caller,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update sync_sessions set unidentified = unidentified + 1 where entity = $2 \
         and form = 'chunked' and sync_mode = 'full' and state = 'open' \
         and key_id in (select k.key_id from api_keys k where coalesce(k.lineage, k.key_id) = $1)",
    )
    .bind(&caller.lineage)
    .bind(entity.wire_name())
    .execute(pool)
    .await?;
    Ok(())
}
