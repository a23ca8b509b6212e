//! The months of the history: one partition of each table per month in which versions end.
//!
//! They are made ahead of time. A version that ends in a month without partition goes to the table's partition for all other
//! times, `…_other`, where every reader finds it; when the month's partition is made, it moves there.

use chrono::NaiveDate;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};

/// Months that have their partitions, the current one included.
pub const MONTHS_AHEAD: i32 = 2;

/// Waiting longer for a lock would keep others waiting behind us: what cannot be had at once is tried again later.
pub const SHORT_LOCKS: &str = "select set_config('lock_timeout', '200ms', true)";

/// A month of a table that has no partition yet.
#[derive(Debug, sqlx::FromRow)]
pub struct Missing {
    table_name: String,
    month: NaiveDate,
}

/// The partitions that are missing.
pub async fn missing(connection: &mut PgConnection) -> Result<Vec<Missing>, sqlx::Error> {
    sqlx::query_as(
        "select t.name as table_name, m.month from governed_tables() t cross join lateral ( \
         select (date_trunc('month', now() at time zone 'UTC') + make_interval(months => ahead))::date as month \
         from generate_series(0, $1 - 1) ahead) m \
         where to_regclass('history_' || t.name || to_char(m.month, '_YYYY_MM')) is null order by m.month, t.name",
    )
    .bind(MONTHS_AHEAD)
    .fetch_all(connection)
    .await
}

/// Makes a partition and ends the transaction; answers whether it is made. One for which a lock could not be had is left for
/// the next time.
pub async fn make(
    mut transaction: Transaction<'_, Postgres>,
    missing: &Missing,
) -> Result<bool, sqlx::Error> {
    sqlx::query(SHORT_LOCKS).execute(&mut *transaction).await?;
    let outcome = sqlx::query("call make_history_partition($1, $2)")
        .bind(&missing.table_name)
        .bind(missing.month)
        .execute(&mut *transaction)
        .await;
    match outcome {
        Ok(_) => {
            transaction.commit().await?;
            Ok(true)
        }
        Err(error) if is_in_use(&error) => {
            transaction.rollback().await?;
            tracing::info!(
                ?missing,
                "a month of the history waits for a table that is in use"
            );
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Makes what is missing; answers how many are made.
pub async fn make_missing(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut made = 0;
    for missing in missing(connection).await? {
        made += u64::from(make(connection.begin().await?, &missing).await?);
    }
    Ok(made)
}

/// Could a lock not be had in time, or was another one faster to make the same?
pub fn is_in_use(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["55P03", "40P01", "42P07"].contains(&code.as_ref()))
}
