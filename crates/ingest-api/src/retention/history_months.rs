//! The history's months: those to come are made, those that were kept long enough are dropped whole.
//!
//! Dropping a month needs its table for a moment alone. It is not waited for longer than others would notice: a month that
//! is in use stays until the next round. In the transaction that drops it, `history_kept` moves on, so that nobody is told
//! what was so at a moment of which a part is missing.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Purged, round::Round};
use crate::history::partitions::{self, SHORT_LOCKS, is_in_use};

/// Makes the months to come that are missing, one a step.
pub async fn make(round: &Round<'_>) -> Result<(), sqlx::Error> {
    let mut connection = round.pool.acquire().await?;
    let missing = partitions::missing(&mut connection).await?;
    drop(connection);
    for month in missing {
        let Some(step) = round.begin().await? else {
            return Ok(());
        };
        partitions::make(step, &month).await?;
        round.rest().await;
    }
    Ok(())
}

/// Drops the months that ended before `cutoff`.
pub async fn purge(
    round: &Round<'_>,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    // Months are named after themselves, so their names tell which ended before the cutoff's month began.
    let due: Vec<(String, DateTime<Utc>)> = sqlx::query_as(
        "select m.* from governed_tables() t join pg_inherits i on i.inhparent = to_regclass('history_' || t.name) \
         join pg_class c on c.oid = i.inhrelid cross join lateral (select c.relname::text as name, \
         (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' as ends) m \
         where c.relname ~ '_[0-9]{4}_[0-9]{2}$' and m.ends <= $1 order by m.ends, m.name",
    )
    .bind(cutoff)
    .fetch_all(round.pool)
    .await?;
    for (month, ends) in due {
        let Some(mut step) = round.begin().await? else {
            return Ok(());
        };
        match drop_month(&mut step, &month, ends).await {
            Ok(()) => {
                step.commit().await?;
                purged.history_months += 1;
            }
            Err(error) if is_in_use(&error) => {
                step.rollback().await?;
                tracing::info!(%month, "a month of the history is in use; it is dropped later");
            }
            Err(error) => return Err(error),
        }
        round.rest().await;
    }
    purge_others(round, cutoff, purged).await
}

async fn drop_month(
    connection: &mut PgConnection,
    month: &str,
    ends: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(SHORT_LOCKS).execute(&mut *connection).await?;
    keep_since(connection, ends).await?;
    // The name comes from the catalogue, and only names of our own months get here.
    sqlx::query(AssertSqlSafe(format!("drop table {month}")))
        .execute(connection)
        .await?;
    Ok(())
}

/// Nothing is told any more about what was before this moment. It never moves back.
async fn keep_since(
    connection: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("update history_kept set since = $1 where since is null or since < $1")
        .bind(since)
        .execute(connection)
        .await?;
    Ok(())
}

/// Purges, step by step, the versions outside the months that ended before the cutoff's month began: no other boundary would
/// be one for the months too.
async fn purge_others(
    round: &Round<'_>,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("select 'history_' || name || '_other' from governed_tables()")
            .fetch_all(round.pool)
            .await?;
    for table in tables {
        let sql = format!(
            "with gone as (delete from {table} v where v.ctid = any (array( \
             select o.ctid from {table} o where o.valid_to < date_trunc('month', $1, 'UTC') limit $2)) returning 1) \
             select count(*), date_trunc('month', $1, 'UTC') from gone"
        );
        while let Some(mut step) = round.begin().await? {
            let (gone, since): (i64, DateTime<Utc>) = sqlx::query_as(AssertSqlSafe(sql.clone()))
                .bind(cutoff)
                .bind(round.retention.pace.step)
                .fetch_one(&mut *step)
                .await?;
            if gone > 0 {
                keep_since(&mut step, since).await?;
            }
            step.commit().await?;
            purged.history_versions += gone.unsigned_abs();
            if gone < round.retention.pace.step {
                break;
            }
            round.rest().await;
        }
    }
    Ok(())
}
