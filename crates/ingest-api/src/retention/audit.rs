//! Entries of the audit log, for owners who must not keep them for ever.

use chrono::{DateTime, Utc};

use super::{Purged, round::Round};

/// Purges entries from before `cutoff`, oldest first. The database takes the removal of entries only from who says that it
/// is retention.
pub async fn purge(
    round: &Round<'_>,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    while let Some(mut step) = round.begin().await? {
        sqlx::query("select set_config('cadastre.audit_retention', 'on', true)")
            .execute(&mut *step)
            .await?;
        let gone = sqlx::query(
            "delete from audit_log where audit_id in \
             (select audit_id from audit_log where at < $1 order by at limit $2)",
        )
        .bind(cutoff)
        .bind(round.retention.pace.step)
        .execute(&mut *step)
        .await?
        .rows_affected();
        step.commit().await?;
        purged.audit_entries += gone;
        if gone < round.retention.pace.step as u64 {
            break;
        }
        round.rest().await;
    }
    Ok(())
}
