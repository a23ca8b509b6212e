//! Other loads and change sets that could take the rows of a batch for missing.
//!
//! A batch and the removals of other loads never pass each other unseen. A batch that begins while another load is open
//! whose scope overlaps shares that load's lock, which its commit takes alone. No load opens while a batch is under way
//! (`session::gate`). What was met is therefore there to be read at a commit.

use chrono::{DateTime, Utc};
use contract::Scope;
use sqlx::{AssertSqlSafe, PgConnection, types::Json};

use super::{
    CHUNK, Load, MergeError, OVERLAPS, Statements,
    arrays::{bind_keys, slices},
};
use crate::{
    record::{Batch, RowRef},
    session::gate,
};

/// Sessions whose locks a batch shares one by one. PostgreSQL has room for some thousand locks in all.
const MOST_LOCKS: i64 = 32;

/// Makes the commits of open full loads whose scope overlaps wait until this transaction is done, or waits for theirs.
/// Comes before any row is compared: a row that is here and unchanged must not be removed in between. Answers when the
/// latest of their readings began.
pub async fn meet_overlapping(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
    batch: &Batch,
) -> Result<Option<DateTime<Utc>>, MergeError> {
    // Counted so that no planner can leave the locks out.
    let sql = format!(
        "with overlapping as materialized (select o.sync_id, o.read_since from sync_sessions o \
         where o.system_id = $1 and o.entity = $4 and o.state = 'open' and o.sync_mode = 'full' and o.sync_id <> $2 \
         and {OVERLAPS}) \
         select max(o.read_since), count(*), (select count(pg_advisory_xact_lock_shared(hashtextextended(l.sync_id::text, 0))) \
         from (select sync_id from overlapping order by sync_id limit {MOST_LOCKS}) l) from overlapping o"
    );
    let (latest, overlapping, _): (Option<DateTime<Utc>>, i64, i64) =
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(load.system_id)
            .bind(load.sync_id)
            .bind(Json(scope))
            .bind(load.spec.entity.wire_name())
            .fetch_one(&mut *connection)
            .await?;
    // A refused record may stand for a row of any scope.
    if overlapping > MOST_LOCKS || !batch.refused.is_empty() {
        gate::keep_from_removing(connection, load.system_id, load.spec.entity).await?;
    }
    Ok(latest)
}

/// Takes the rows of a batch out of the change sets that wait for a person: they are there after all. Rare, so the keys
/// are looked up once more.
pub async fn release_held(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    batch: &Batch,
) -> Result<(), MergeError> {
    let is_held: bool = sqlx::query_scalar(
        "select exists (select from held_change_sets c where c.system_id = $1 and c.entity = $2 and c.state = 'held')",
    )
    .bind(load.system_id)
    .bind(load.spec.entity.wire_name())
    .fetch_one(&mut *connection)
    .await?;
    if !is_held {
        return Ok(());
    }
    let keys: Vec<&[u8]> = (batch.rows.iter().map(|row: RowRef<'_>| row.key()))
        .chain(slices(&batch.refused))
        .collect();
    for keys in keys.chunks(CHUNK) {
        let query = sqlx::query(statements.release_held).bind(load.system_id);
        bind_keys(query, load.spec, keys.iter().copied())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
