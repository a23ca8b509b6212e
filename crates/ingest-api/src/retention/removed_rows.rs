//! Removed rows of the register. Their past is in `history` and stays.

use chrono::{DateTime, Utc};
use contract::SystemId;
use sqlx::AssertSqlSafe;

use super::{Purged, round::Round};
use crate::entity::{self, EntitySpec};

/// Purges the rows that were removed before `cutoff`, of every entity and system.
pub async fn purge(round: &Round<'_>, cutoff: DateTime<Utc>, purged: &mut Purged) {
    for spec in entity::ALL {
        match systems_with_work(round, spec, cutoff).await {
            Ok(systems) => {
                for system_id in systems {
                    let outcome = purge_entity(round, spec, system_id, cutoff, purged).await;
                    purged.note(spec.table, outcome);
                }
            }
            Err(error) => purged.note(spec.table, Err(error)),
        }
    }
}

/// One lookup in the index of removed rows per system.
async fn systems_with_work(
    round: &Round<'_>,
    spec: &EntitySpec,
    cutoff: DateTime<Utc>,
) -> Result<Vec<SystemId>, sqlx::Error> {
    let sql = format!(
        "select s.system_id from systems s where exists (select from {table} t where t.system_id = s.system_id \
         and t.deleted_at < $1) order by s.system_id",
        table = spec.table
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(cutoff)
        .fetch_all(round.pool)
        .await
}

async fn purge_entity(
    round: &Round<'_>,
    spec: &EntitySpec,
    system_id: SystemId,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    let sql = step_sql(spec);
    while let Some(mut step) = round.begin().await? {
        let gone = sqlx::query(AssertSqlSafe(sql.clone()))
            .bind(system_id)
            .bind(cutoff)
            .bind(round.retention.pace.step)
            .execute(&mut *step)
            .await?
            .rows_affected();
        step.commit().await?;
        purged.removed_rows += gone;
        if gone < round.retention.pace.step as u64 {
            return Ok(());
        }
        round.rest().await;
    }
    Ok(())
}

/// `$1` system, `$2` cutoff, `$3` most rows. What a load that is still open began to read before it was removed is left
/// alone, and so is what waits for a person. Whatever the statistics say, the rows come from the index of removed rows,
/// each is looked up in the waiting sets by itself (a subquery that yields a value is never turned into a join), and they
/// are deleted by their places.
fn step_sql(spec: &EntitySpec) -> String {
    format!(
        "delete from {table} gone where gone.system_id = $1 and gone.deleted_at is not null and gone.ctid = any (array( \
         select t.ctid from {table} t where t.system_id = $1 and t.deleted_at < least($2, \
         (select min(s.read_since) from sync_sessions s where s.system_id = $1 and s.entity = '{entity}' and s.state = 'open')) \
         and (select true from held_change_sets c join held_rows h on h.change_set_id = c.change_set_id \
         where c.system_id = $1 and c.entity = '{entity}' and c.state = 'held' and h.row_id = t.row_id limit 1) is null \
         order by t.deleted_at limit $3 for update skip locked))",
        table = spec.table,
        entity = spec.entity,
    )
}
