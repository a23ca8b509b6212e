//! What loads leave behind: answers kept for retries, batches of sessions that ended, refused records.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Purged, round::Round};
use crate::{error::ApiError, merge, session};

/// Sessions that are looked up at once.
const SESSIONS_AT_ONCE: i64 = 100;

/// Deletes step by step: `sql` takes at most `$2` rows from before `$1`. What went is counted as it goes.
async fn delete_in_steps(
    round: &Round<'_>,
    sql: &'static str,
    cutoff: DateTime<Utc>,
    deleted: &mut u64,
) -> Result<(), sqlx::Error> {
    while let Some(mut step) = round.begin().await? {
        let gone = sqlx::query(sql)
            .bind(cutoff)
            .bind(round.retention.pace.step)
            .execute(&mut *step)
            .await?
            .rows_affected();
        step.commit().await?;
        *deleted += gone;
        if gone < round.retention.pace.step as u64 {
            break;
        }
        round.rest().await;
    }
    Ok(())
}

/// Purges answers to calls with an `Idempotency-Key`. Their day is part of the contract, not a setting.
pub async fn purge_answers(
    round: &Round<'_>,
    now: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    let sql = "delete from idempotent_answers a where a.created_at < $1 and a.ctid = any (array( \
         select o.ctid from idempotent_answers o where o.created_at < $1 order by o.created_at limit $2 \
         for update skip locked))";
    delete_in_steps(
        round,
        sql,
        now - TimeDelta::hours(24),
        &mut purged.idempotent_answers,
    )
    .await
}

/// Purges what loads met a day ago or earlier, but for what open loads met themselves or may have to ask for at their
/// commit. A load that is opened later and says that its reading began before all that removes nothing.
pub async fn purge_met(
    round: &Round<'_>,
    now: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    let sql = "delete from rows_met m where m.ctid = any (array( \
         select o.ctid from rows_met o left join (select s.system_id, s.entity, min(s.read_since) as since \
         from sync_sessions s where s.state = 'open' and (s.sync_mode = 'full' or s.form = 'session') group by s.system_id, s.entity) reading \
         on reading.system_id = o.system_id and reading.entity = o.entity \
         where o.met_at < $1 and (reading.since is null or o.met_at < reading.since) \
         and not exists (select from sync_sessions s where s.sync_id = o.sync_id and s.state = 'open') limit $2))";
    delete_in_steps(round, sql, now - merge::MET_KEPT, &mut purged.batches_met).await
}

/// Purges the batches of sessions that ended before `cutoff`. What they brought is written into the session first.
pub async fn purge_batches(
    round: &Round<'_>,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    let mut after: Option<(DateTime<Utc>, Uuid)> = None;
    loop {
        let ended: Vec<(DateTime<Utc>, Uuid)> = sqlx::query_as(
            "select closed_at, sync_id from sync_sessions where state <> 'open' and form <> 'call' and batches_purged_at is null \
             and closed_at < $1 and ($2::timestamptz is null or (closed_at, sync_id) > ($2, $3)) \
             order by closed_at, sync_id limit $4",
        )
        .bind(cutoff)
        .bind(after.map(|place| place.0))
        .bind(after.map(|place| place.1))
        .bind(SESSIONS_AT_ONCE)
        .fetch_all(round.pool)
        .await?;
        let Some(last) = ended.last() else {
            return Ok(());
        };
        after = Some(*last);
        for (_, sync_id) in ended {
            match purge_session(round, sync_id, purged).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => purged.note("session batches", Err(error)),
            }
        }
    }
}

/// Purges the batches of one session; answers whether to go on.
async fn purge_session(
    round: &Round<'_>,
    sync_id: Uuid,
    purged: &mut Purged,
) -> Result<bool, ApiError> {
    loop {
        let Some(mut step) = round.begin().await? else {
            return Ok(false);
        };
        session::keep_outcome(&mut step, sync_id).await?;
        let gone = sqlx::query(
            "delete from sync_batches b where b.sync_id = $1 and b.seq in \
             (select o.seq from sync_batches o where o.sync_id = $1 order by o.seq limit $2)",
        )
        .bind(sync_id)
        .bind(round.retention.pace.step)
        .execute(&mut *step)
        .await?
        .rows_affected();
        let is_done = gone < round.retention.pace.step as u64;
        if is_done {
            sqlx::query("update sync_sessions set batches_purged_at = now() where sync_id = $1")
                .bind(sync_id)
                .execute(&mut *step)
                .await?;
        }
        step.commit().await?;
        purged.session_batches += gone;
        if is_done && gone == 0 {
            return Ok(true);
        }
        round.rest().await;
        if is_done {
            return Ok(true);
        }
    }
}

/// Purges runs that nobody went on with for 7 days, and what was remembered of them. The hour more is for a claim that is
/// made at the last moment.
pub async fn purge_runs(
    round: &Round<'_>,
    now: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    let cutoff = now - TimeDelta::days(7) - TimeDelta::hours(1);
    let entries = "delete from run_checkpoints c where c.ctid = any (array( \
         select o.ctid from runs_under_way r join run_checkpoints o using (run_id) where r.touched_at < $1 limit $2))";
    delete_in_steps(round, entries, cutoff, &mut purged.checkpoints).await?;
    let runs = "delete from runs_under_way r where r.ctid = any (array( \
         select o.ctid from runs_under_way o where o.touched_at < $1 \
         and not exists (select from run_checkpoints c where c.run_id = o.run_id) limit $2))";
    delete_in_steps(round, runs, cutoff, &mut purged.checkpoints).await
}

/// Purges records that were refused before `cutoff`, but for those of sessions that are open. Their numbers grow with
/// time, so the walk begins at the oldest and ends at the first page that is young.
pub async fn purge_refused(
    round: &Round<'_>,
    cutoff: DateTime<Utc>,
    purged: &mut Purged,
) -> Result<(), sqlx::Error> {
    let mut after = 0_i64;
    while let Some(mut step) = round.begin().await? {
        let (last, old, gone): (Option<i64>, i64, i64) = sqlx::query_as(
            "with page as materialized (select rejected_id, sync_id, received_at < $1 as is_old from rejected_records \
             where rejected_id > $2 order by rejected_id limit $3), \
             gone as (delete from rejected_records r using page p where r.rejected_id = p.rejected_id and p.is_old \
             and not exists (select from sync_sessions s where s.sync_id = p.sync_id and s.state = 'open') returning 1) \
             select (select max(rejected_id) from page), (select count(*) from page where is_old), (select count(*) from gone)",
        )
        .bind(cutoff)
        .bind(after)
        .bind(round.retention.pace.step)
        .fetch_one(&mut *step)
        .await?;
        step.commit().await?;
        purged.refused_records += gone as u64;
        match last {
            Some(last) if old > 0 => after = last,
            _ => break,
        }
        round.rest().await;
    }
    Ok(())
}
