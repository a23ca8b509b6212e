//! What needs the table for itself: making columns, and changing what new writes fill.
//!
//! It is done within milliseconds, but whoever waits for such a lock makes everybody behind wait too. So the wait is short
//! and repeated. Where loads follow each other without a gap, no new batch is let in for a moment: readers go on meanwhile.

use std::time::Duration;

use contract::SystemId;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::worker::{StepError, gave_up};
use crate::{entity, session::gate};

/// After so many attempts batches are held back.
const ATTEMPTS_BESIDE_BATCHES: u32 = 4;

/// Begins a transaction that has a table for itself.
async fn alone<'c>(
    connection: &'c mut PgConnection,
    table: &str,
    attempts: u32,
) -> Result<Transaction<'c, Postgres>, StepError> {
    let spec = entity::ALL
        .into_iter()
        .find(|spec| spec.table == table)
        .ok_or_else(|| sqlx::Error::Protocol(format!("there is no table {table}")))?;
    let mut transaction = connection.begin().await?;
    if attempts >= ATTEMPTS_BESIDE_BATCHES {
        sqlx::query("set local lock_timeout = '5s'")
            .execute(&mut *transaction)
            .await?;
        let systems: Vec<SystemId> =
            sqlx::query_scalar("select system_id from systems order by system_id")
                .fetch_all(&mut *transaction)
                .await?;
        for system_id in systems {
            let closed = gate::close(&mut transaction, system_id, spec.entity).await;
            closed.map_err(in_use)?;
        }
    }
    sqlx::query("set local lock_timeout = '200ms'")
        .execute(&mut *transaction)
        .await?;
    let lock = format!("lock table {} in access exclusive mode", spec.table);
    let locked = sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut *transaction)
        .await;
    locked.map_err(in_use)?;
    Ok(transaction)
}

fn in_use(error: sqlx::Error) -> StepError {
    if gave_up(&error) {
        StepError::InUse
    } else {
        error.into()
    }
}

/// Begins a walk through the whole table as it is now.
const WALK: &str = "state_since = now(), next_block = 0, \
     total_blocks = pg_relation_size(to_regclass(table_name)) / current_setting('block_size')::bigint, \
     file_number = pg_relation_filenode(to_regclass(table_name))::bigint, rows_written = 0, attempts = 0, error = null";

/// Makes the columns of all promotions of a table that wait, and lets new writes fill them. From here on every new version
/// of a row has its values, so a walk through the table as it is now meets all that have not.
pub async fn make(
    connection: &mut PgConnection,
    table: &str,
    attempts: u32,
) -> Result<(), StepError> {
    let mut transaction = alone(connection, table, attempts).await?;
    let waiting: Vec<(Uuid, String, String)> = sqlx::query_as(
        "select promotion_id, column_name, value_type from promoted_attributes \
         where table_name = $1 and field is null and state = 'waiting' order by requested_at for update",
    )
    .bind(table)
    .fetch_all(&mut *transaction)
    .await
    .map_err(in_use)?;
    if waiting.is_empty() {
        return Ok(transaction.rollback().await?);
    }
    let columns = waiting
        .iter()
        .map(|(_, column, kind)| format!("add column if not exists {column} {}", sql_type(kind)))
        .collect::<Vec<_>>()
        .join(", ");
    let alter = format!("alter table {table} {columns}");
    sqlx::raw_sql(AssertSqlSafe(alter))
        .execute(&mut *transaction)
        .await?;
    let ids: Vec<Uuid> = waiting.into_iter().map(|(id, ..)| id).collect();
    let begin = format!(
        "update promoted_attributes set state = 'backfilling', {WALK} where promotion_id = any ($1)"
    );
    sqlx::query(AssertSqlSafe(begin))
        .bind(ids)
        .execute(&mut *transaction)
        .await?;
    define(&mut transaction, table).await?;
    Ok(transaction.commit().await?)
}

/// Ends the filling of columns that were taken back so long ago that nobody reads them any more, and of no others. From
/// here on a new version of a row has nothing in them.
pub async fn stop_filling(
    connection: &mut PgConnection,
    table: &str,
    grace: Duration,
    attempts: u32,
) -> Result<(), StepError> {
    let mut transaction = alone(connection, table, attempts).await?;
    let empty = format!(
        "update promoted_attributes set state = 'emptying', {WALK} where table_name = $1 and field is null \
         and state = 'demoting' and state_since <= now() - make_interval(secs => $2)"
    );
    sqlx::query(AssertSqlSafe(empty))
        .bind(table)
        .bind(grace.as_secs_f64())
        .execute(&mut *transaction)
        .await?;
    define(&mut transaction, table).await?;
    Ok(transaction.commit().await?)
}

/// Gives an empty column free.
pub async fn release(
    connection: &mut PgConnection,
    table: &str,
    promotion_id: Uuid,
    attempts: u32,
) -> Result<(), StepError> {
    let mut transaction = alone(connection, table, attempts).await?;
    sqlx::query(
        "update promoted_attributes set state = 'demoted', state_since = now(), attempts = 0, error = null \
         where promotion_id = $1 and field is null and state = 'emptying'",
    )
    .bind(promotion_id)
    .execute(&mut *transaction)
    .await?;
    define(&mut transaction, table).await?;
    Ok(transaction.commit().await?)
}

async fn define(connection: &mut PgConnection, table: &str) -> Result<(), sqlx::Error> {
    sqlx::query("call define_promoted_columns($1)")
        .bind(table)
        .execute(connection)
        .await?;
    Ok(())
}

fn sql_type(kind: &str) -> &'static str {
    match kind {
        "number" => "numeric",
        "boolean" => "boolean",
        "timestamp" => "timestamptz",
        _ => "text",
    }
}
