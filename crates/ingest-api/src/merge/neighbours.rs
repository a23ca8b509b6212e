//! Other loads and change sets that could take the rows of a batch for missing.

use contract::Scope;
use sqlx::{AssertSqlSafe, PgConnection, types::Json};

use super::{
    CHUNK, Load, MergeError, OVERLAPS, Statements,
    arrays::{bind_keys, slices},
};
use crate::record::{Batch, RowRef};

/// Makes the commits of open full loads whose scope overlaps wait until this transaction is done, or waits for theirs;
/// answers whether there are such loads. Comes before any row is compared: a row that is here and unchanged must not be
/// removed in between.
pub async fn meet_overlapping(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
) -> Result<bool, MergeError> {
    let sql = format!(
        "select pg_advisory_xact_lock_shared(hashtextextended(o.sync_id::text, 0)) from (select o.sync_id from sync_sessions o \
         where o.system_id = $1 and o.entity = $4 and o.state = 'open' and o.sync_mode = 'full' and o.sync_id <> $2 \
         and {OVERLAPS} order by o.sync_id) o"
    );
    let met = sqlx::query(AssertSqlSafe(sql))
        .bind(load.system_id)
        .bind(load.sync_id)
        .bind(Json(scope))
        .bind(load.spec.entity.wire_name())
        .execute(connection)
        .await?;
    Ok(met.rows_affected() > 0)
}

/// Whoever else might take these rows for missing learns that they are there: full loads that are open meanwhile, and
/// change sets that wait for a person. Rare, so the keys are looked up once more.
pub async fn spare(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
    statements: &Statements,
    batch: &Batch,
    is_open_elsewhere: bool,
) -> Result<(), MergeError> {
    let is_held: bool = sqlx::query_scalar(
        "select exists (select from held_change_sets c where c.system_id = $1 and c.entity = $2 and c.state = 'held')",
    )
    .bind(load.system_id)
    .bind(load.spec.entity.wire_name())
    .fetch_one(&mut *connection)
    .await?;
    if !is_open_elsewhere && !is_held {
        return Ok(());
    }
    let keys: Vec<&[u8]> = (batch.rows.iter().map(|row: RowRef<'_>| row.key()))
        .chain(slices(&batch.refused))
        .collect();
    for keys in keys.chunks(CHUNK) {
        if is_open_elsewhere {
            let query = sqlx::query(statements.tell_others)
                .bind(load.system_id)
                .bind(load.sync_id)
                .bind(Json(scope));
            bind_keys(query, load.spec, keys.iter().copied())
                .execute(&mut *connection)
                .await?;
        }
        if is_held {
            let query = sqlx::query(statements.release_held).bind(load.system_id);
            bind_keys(query, load.spec, keys.iter().copied())
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}
