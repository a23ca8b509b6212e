//! Looking after jobs that nobody speaks for. Any server may do it, at any time.

use contract::{JobState, LogLevel};
use sqlx::PgPool;

use super::{
    Settings, log,
    state::Next,
    store::{self, Ending},
};

/// Most jobs that one look takes on.
const MOST: usize = 1_000;
/// How long what a job found out is kept.
const RESULT_DAYS: i32 = 7;

/// Takes jobs back whose workers were not heard of, and ends those whose crawlers are gone. Answers how many it changed.
pub async fn sweep(pool: &PgPool, settings: &Settings) -> Result<usize, sqlx::Error> {
    let mut changed = 0;
    while changed < MOST && take_back_one(pool, settings).await? {
        changed += 1;
    }
    Ok(changed + end_without_crawler(pool).await?)
}

async fn take_back_one(pool: &PgPool, settings: &Settings) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let Some((workspace_id, job, standing)) = store::hold_overdue(&mut transaction).await? else {
        return Ok(false);
    };
    let next = standing.after_loss();
    let worker = job.worker.as_deref().unwrap_or("the worker");
    let message = match next {
        Next::Ended(JobState::Dead) => format!(
            "its workers were lost {} times, the last time {worker}",
            job.attempt
        ),
        _ => format!("nothing was heard of {worker}"),
    };
    let ending = Ending {
        workspace_id,
        next,
        message: Some(&message),
        is_told_by_worker: false,
        begin_anew: false,
    };
    let state = store::end_lease(&mut transaction, settings, &job, &ending).await?;
    transaction.commit().await?;
    tracing::warn!(job_id = %job.job_id, worker, epoch = job.epoch, state = state.wire_name(), "a worker lost its job");
    Ok(true)
}

async fn end_without_crawler(pool: &PgPool) -> Result<usize, sqlx::Error> {
    const WHY: &str = "the crawler was removed";
    let mut transaction = pool.begin().await?;
    let ended: Vec<(uuid::Uuid, i32)> = sqlx::query_as(
        "update jobs set state = 'cancelled', finished_at = now(), message = $1 where job_id in ( \
         select j.job_id from jobs j join crawlers c using (crawler_id) where j.state = 'queued' and c.deleted_at is not null \
         order by j.job_id limit 100 for update of j skip locked) returning job_id, epoch",
    )
    .bind(WHY)
    .fetch_all(&mut *transaction)
    .await?;
    for (job_id, epoch) in &ended {
        log::note(&mut transaction, *job_id, *epoch, LogLevel::Info, WHY).await?;
    }
    transaction.commit().await?;
    Ok(ended.len())
}

/// Forgets jobs that ended long ago, with their logs, and workers that were not heard of for a week.
pub async fn tidy(pool: &PgPool, settings: &Settings) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from jobs where job_id in (select job_id from jobs where finished_at < now() - make_interval(secs => $1) \
         order by finished_at limit 1000 for update skip locked)",
    )
    .bind(settings.keep.as_secs_f64())
    .execute(pool)
    .await?;
    // They hold samples of what a tenant says of its users.
    sqlx::query(
        "update jobs set result = null where job_id in (select job_id from jobs where result is not null \
         and finished_at < now() - make_interval(days => $1) order by finished_at limit 1000 for update skip locked)",
    )
    .bind(RESULT_DAYS)
    .execute(pool)
    .await?;
    sqlx::query("delete from workers where last_seen_at < now() - interval '7 days'")
        .execute(pool)
        .await?;
    Ok(())
}
