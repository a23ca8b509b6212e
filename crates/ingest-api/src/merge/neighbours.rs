//! Other loads and change sets that could take the rows of a batch for missing.
//!
//! A batch and the removals of other loads never pass each other unseen. A batch that begins while another load is open
//! whose scope overlaps shares that load's lock, which its commit takes alone; where that would be too many locks, it
//! shares the lock of those who judge removals. A load opens after a batch has begun only to find the gate (`session::gate`) at its commit: it waits there for whoever is inside. What was met is then there to
//! be read.

use contract::Scope;
use sqlx::{AssertSqlSafe, PgConnection, types::Json};
use uuid::Uuid;

use super::{
    CHUNK, Load, MergeError, OVERLAPS, Statements,
    arrays::{bind_keys, slices},
};
use crate::{
    record::{Batch, RowRef},
    session::{self, gate},
};

/// Sessions whose locks a batch takes one by one. PostgreSQL has room for some thousand locks in all.
const MOST_LOCKS: usize = 32;

/// Makes the commits of open full loads whose scope overlaps wait until this transaction is done, or waits for theirs.
/// Comes before any row is compared: a row that is here and unchanged must not be removed in between.
pub async fn meet_overlapping(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
    batch: &Batch,
) -> Result<(), MergeError> {
    if !batch.refused.is_empty() {
        // A refused record may stand for a row of any scope.
        return keep_from_judging(connection, load).await;
    }
    let sql = format!(
        "select o.sync_id from sync_sessions o where o.system_id = $1 and o.entity = $4 and o.state = 'open' \
         and o.sync_mode = 'full' and o.sync_id <> $2 and {OVERLAPS} order by o.sync_id limit $5"
    );
    let overlapping: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(load.system_id)
        .bind(load.sync_id)
        .bind(Json(scope))
        .bind(load.spec.entity.wire_name())
        .bind(MOST_LOCKS as i64 + 1)
        .fetch_all(&mut *connection)
        .await?;
    if overlapping.len() > MOST_LOCKS {
        return keep_from_judging(connection, load).await;
    }
    for sync_id in overlapping {
        session::hold_shared(connection, sync_id).await?;
    }
    Ok(())
}

/// Makes every removal in the entity wait.
async fn keep_from_judging(connection: &mut PgConnection, load: Load) -> Result<(), MergeError> {
    gate::keep_from_judging(connection, load.system_id, load.spec.entity).await?;
    Ok(())
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
