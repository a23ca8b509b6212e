//! The lists of rows of change sets that no longer wait. The sets themselves stay.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Purged, round::Round};

/// Sets that are looked up at once.
const SETS_AT_ONCE: i64 = 100;

/// Purges the rows of sets that were decided, or became void, before `cutoff`.
pub async fn purge(
    round: &Round<'_>,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    loop {
        let sets: Vec<Uuid> = sqlx::query_scalar(
            "select change_set_id from held_change_sets where state <> 'held' and rows_purged_at is null and decided_at < $1 \
             order by decided_at limit $2",
        )
        .bind(cutoff)
        .bind(SETS_AT_ONCE)
        .fetch_all(round.pool)
        .await?;
        if sets.is_empty() {
            return Ok(());
        }
        for change_set_id in sets {
            if !purge_set(round, change_set_id, purged).await? {
                return Ok(());
            }
        }
    }
}

/// Purges the rows of one set; answers whether to go on.
async fn purge_set(
    round: &Round<'_>,
    change_set_id: Uuid,
    purged: &mut Purged,
) -> Result<bool, sqlx::Error> {
    loop {
        let Some(mut step) = round.begin().await? else {
            return Ok(false);
        };
        let gone = sqlx::query(
            "delete from held_rows h where h.change_set_id = $1 and h.row_id in \
             (select o.row_id from held_rows o where o.change_set_id = $1 order by o.row_id limit $2)",
        )
        .bind(change_set_id)
        .bind(round.retention.pace.step)
        .execute(&mut *step)
        .await?
        .rows_affected();
        let is_done = gone < round.retention.pace.step as u64;
        if is_done {
            sqlx::query(
                "update held_change_sets set rows_purged_at = now() where change_set_id = $1",
            )
            .bind(change_set_id)
            .execute(&mut *step)
            .await?;
        }
        step.commit().await?;
        purged.held_rows += gone;
        round.rest().await;
        if is_done {
            return Ok(true);
        }
    }
}
