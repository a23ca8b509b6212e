//! Removed rows of the register. Their past is in `history` and stays.
//!
//! There is no index of removed rows: it would make every removal dearer (each index of the table would get a new entry).
//! A table is walked through instead, page by page, when its oldest removed row is due.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool};

use super::{Purged, round::Round};
use crate::entity::{self, EntitySpec};

/// Pages that a step looks at: 16 MB.
const PAGES: i64 = 2048;

/// Purges the rows that were removed before `cutoff`, of every entity and system.
pub async fn purge(round: &Round<'_>, cutoff: DateTime<Utc>, purged: &mut Purged) {
    for spec in entity::ALL {
        let outcome = purge_entity(round, spec, cutoff, purged).await;
        purged.note(spec.table, outcome);
    }
}

async fn purge_entity(
    round: &Round<'_>,
    spec: &EntitySpec,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    if known_oldest(round.pool, spec)
        .await?
        .is_some_and(|oldest| oldest >= cutoff)
        || find_oldest(round.pool, spec).await? >= cutoff
    {
        return Ok(());
    }
    let pages: i64 = sqlx::query_scalar(
        "select pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint",
    )
    .bind(spec.table)
    .fetch_one(round.pool)
    .await?;
    for from in (0..pages).step_by(PAGES as usize) {
        if !purge_pages(round, spec, from, cutoff, purged).await? {
            return Ok(());
        }
    }
    find_oldest(round.pool, spec).await?;
    Ok(())
}

/// Since when, at the earliest, a removed row of the table may be there.
async fn known_oldest(
    pool: &PgPool,
    spec: &EntitySpec,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar("select oldest_removed_at from removed_rows_known where table_name = $1")
        .bind(spec.table)
        .fetch_optional(pool)
        .await
}

/// Finds that out, and keeps it. What is removed meanwhile, or is still being removed, is younger than the oldest
/// transaction under way.
async fn find_oldest(pool: &PgPool, spec: &EntitySpec) -> Result<DateTime<Utc>, sqlx::Error> {
    let sql = format!(
        "insert into removed_rows_known (table_name, oldest_removed_at) \
         select $1, least((select min(a.xact_start) from pg_stat_activity a where a.datname = current_database()), now(), \
         (select min(t.deleted_at) from {table} t)) \
         on conflict (table_name) do update set oldest_removed_at = excluded.oldest_removed_at returning oldest_removed_at",
        table = spec.table
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(spec.table)
        .fetch_one(pool)
        .await
}

/// Purges what is due on some pages; answers whether to go on.
async fn purge_pages(
    round: &Round<'_>,
    spec: &EntitySpec,
    from: i64,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<bool, sqlx::Error> {
    let sql = step_sql(spec);
    loop {
        let Some(mut step) = round.begin().await? else {
            return Ok(false);
        };
        let gone = sqlx::query(AssertSqlSafe(sql.clone()))
            .bind(format!("({from},0)"))
            .bind(format!("({},0)", from + PAGES))
            .bind(cutoff)
            .bind(round.retention.pace.step)
            .execute(&mut *step)
            .await?
            .rows_affected();
        step.commit().await?;
        purged.removed_rows += gone;
        round.rest().await;
        if gone < round.retention.pace.step as u64 {
            return Ok(true);
        }
    }
}

/// `$1` first place, `$2` the place behind the last, `$3` cutoff, `$4` most rows. What a load that is still open began to
/// read before it was removed is left alone, and so is what waits for a person: each is looked up by itself (a subquery that
/// yields a value is never turned into a join), and they are deleted by their places.
fn step_sql(spec: &EntitySpec) -> String {
    format!(
        "delete from {table} gone where gone.deleted_at is not null and gone.ctid = any (array( \
         select t.ctid from {table} t where t.ctid >= $1::text::tid and t.ctid < $2::text::tid and t.deleted_at < $3 \
         and (select min(s.read_since) from sync_sessions s where s.system_id = t.system_id and s.entity = '{entity}' \
         and s.state = 'open' having min(s.read_since) <= t.deleted_at) is null \
         and (select true from held_change_sets c join held_rows h on h.change_set_id = c.change_set_id \
         where c.system_id = t.system_id and c.entity = '{entity}' and c.state = 'held' and h.row_id = t.row_id limit 1) is null \
         limit $4 for update skip locked))",
        table = spec.table,
        entity = spec.entity,
    )
}
