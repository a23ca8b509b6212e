//! Giving a job to a worker.

use contract::{ClaimAnswer, ClaimJob, ClaimedJob, LeasedCrawler, LogLevel};
use sqlx::{PgConnection, Row as _};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Settings, log,
    state::{Next, end_of_run},
    store::{self, Ending},
    workers,
};
use crate::{
    app::AppState,
    audit,
    auth::Caller,
    crawler::{self, CrawlerError},
    durable::{durable, retrying},
    error::ApiError,
    secret::{Keyring, SecretError},
};

/// What a look for a job found.
enum Look {
    /// No job that the worker could have now.
    Nothing,
    /// One that turned out not to be for a worker; there may be another.
    Settled,
    /// A job.
    Given(Box<ClaimedJob>),
}

/// Waits for a job, without a database connection while it waits.
pub async fn wait_for_job(
    state: &AppState,
    caller: &Caller,
    wanted: ClaimJob,
) -> Result<ClaimAnswer, ApiError> {
    let until = Instant::now() + std::time::Duration::from_secs(wanted.wait_seconds.into());
    introduce(state, caller, &wanted).await?;
    loop {
        // Before the look: a job that is queued during it wakes us up.
        let queued = state.jobs.queued();
        tokio::pin!(queued);
        queued.as_mut().enable();
        if let Some(claimed) = try_once(state, caller, &wanted).await? {
            return Ok(ClaimAnswer {
                claimed: Some(*claimed),
            });
        }
        let now = Instant::now();
        if now >= until {
            return Ok(ClaimAnswer { claimed: None });
        }
        let pause = state.jobs.settings().look.min(until - now);
        tokio::select! {
            () = state.jobs.closing() => return Ok(ClaimAnswer { claimed: None }),
            () = &mut queued => {}
            () = sleep(pause) => {}
        }
    }
}

/// Notes that a worker is there.
async fn introduce(state: &AppState, caller: &Caller, wanted: &ClaimJob) -> Result<(), ApiError> {
    let (state, caller, wanted) = (state.clone(), caller.clone(), wanted.clone());
    durable(async move {
        workers::introduce(&state.pool, &caller, &wanted).await?;
        Ok(())
    })
    .await
}

async fn try_once(
    state: &AppState,
    caller: &Caller,
    wanted: &ClaimJob,
) -> Result<Option<Box<ClaimedJob>>, ApiError> {
    let (state, caller, wanted) = (state.clone(), caller.clone(), wanted.clone());
    durable(async move {
        loop {
            match retrying(|| look(&state, &caller, &wanted)).await? {
                Look::Nothing => return Ok(None),
                Look::Settled => {}
                Look::Given(claimed) => return Ok(Some(claimed)),
            }
        }
    })
    .await
}

/// One transaction: finds a job, and gives it out if it is still to be done.
async fn look(state: &AppState, caller: &Caller, wanted: &ClaimJob) -> Result<Look, ApiError> {
    let mut transaction = state.pool.begin().await?;
    let settings = state.jobs.settings();
    let found = match leased_before(&mut transaction, caller, wanted.claim_id).await? {
        Some(job_id) => Some((job_id, true)),
        None => waiting(&mut transaction, caller, wanted)
            .await?
            .map(|job_id| (job_id, false)),
    };
    let Some((job_id, is_leased)) = found else {
        return Ok(Look::Nothing);
    };
    let (job, _) = store::hold(&mut transaction, caller, job_id).await?;
    if !is_leased && settle(&mut transaction, caller, settings, &job).await? {
        transaction.commit().await?;
        return Ok(Look::Settled);
    }
    let opened = open(&mut transaction, &state.keyring, caller, job.crawler_id).await?;
    let crawler = match opened {
        Ok(crawler) => crawler,
        Err((next, why)) => {
            let ending = Ending {
                workspace_id: caller.workspace_id,
                next,
                message: Some(&why),
                is_told_by_worker: false,
                begin_anew: false,
            };
            store::end_lease(&mut transaction, settings, &job, &ending).await?;
            transaction.commit().await?;
            return Ok(Look::Settled);
        }
    };
    if !is_leased {
        lease(&mut transaction, caller, settings, &job, wanted).await?;
    }
    let job = store::one(&mut transaction, caller, job_id).await?;
    transaction.commit().await?;
    Ok(Look::Given(Box::new(ClaimedJob {
        epoch: job.epoch,
        lease_seconds: whole_seconds(settings.lease),
        heartbeat_seconds: whole_seconds(settings.heartbeat),
        crawler,
        job,
    })))
}

pub fn whole_seconds(span: std::time::Duration) -> u32 {
    span.as_secs().max(1).min(u64::from(u32::MAX)) as u32
}

/// The job that this very claim got, should its answer have been lost.
async fn leased_before(
    connection: &mut PgConnection,
    caller: &Caller,
    claim_id: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select job_id from jobs where state in ('leased', 'running') and claim_id = $1 and workspace_id = $2 and lineage = $3 \
         for update",
    )
    .bind(claim_id)
    .bind(caller.workspace_id)
    .bind(&caller.lineage)
    .fetch_optional(connection)
    .await
}

/// The job whose turn it is. One that was begun goes before others of its crawler, for its loads are open and would stand in
/// their way. What only looks at the source stands in
/// nobody's way, and somebody waits for it: it goes before crawls. The crawler's row is held with it, so that two servers do not give out two of its jobs; the
/// unique index refuses what slips through, and the look is repeated.
async fn waiting(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &ClaimJob,
) -> Result<Option<Uuid>, sqlx::Error> {
    let kinds: Vec<&str> = wanted.kinds.iter().map(|kind| kind.wire_name()).collect();
    sqlx::query_scalar(
        "select j.job_id from jobs j join crawlers c on c.crawler_id = j.crawler_id \
         where j.workspace_id = $1 and j.state = 'queued' and j.not_before <= now() and c.deleted_at is null \
         and ($2::integer[] is null or c.system_id = any ($2)) and j.kind = any ($3) \
         and (j.kind <> 'crawl' or c.enabled and not exists (select from jobs o where o.crawler_id = j.crawler_id \
         and o.kind = 'crawl' and (o.state in ('leased', 'running') \
         or o.state = 'queued' and o.started_at is not null and j.started_at is null))) \
         order by j.priority desc, j.kind = 'crawl', j.not_before, j.job_id limit 1 \
         for update of j skip locked for no key update of c skip locked",
    )
    .bind(caller.workspace_id)
    .bind(&caller.system_ids)
    .bind(kinds)
    .fetch_optional(connection)
    .await
}

/// Ends a job whose run has reported its end: its worker was lost between the report and its last word.
async fn settle(
    connection: &mut PgConnection,
    caller: &Caller,
    settings: &Settings,
    job: &contract::Job,
) -> Result<bool, ApiError> {
    let outcome = store::reported(connection, caller.workspace_id, job.run_id).await?;
    let Some(state) = outcome.and_then(end_of_run) else {
        return Ok(false);
    };
    let ending = Ending {
        workspace_id: caller.workspace_id,
        next: Next::Ended(state),
        message: Some("the run had reported its end"),
        is_told_by_worker: false,
        begin_anew: false,
    };
    store::end_lease(connection, settings, job, &ending).await?;
    Ok(true)
}

/// The crawler's settings with its secrets, or what becomes of the job without them.
async fn open(
    connection: &mut PgConnection,
    keyring: &Keyring,
    caller: &Caller,
    crawler_id: Uuid,
) -> Result<Result<LeasedCrawler, (Next, String)>, ApiError> {
    use contract::JobState::{Cancelled, Failed};
    match crawler::leased(connection, keyring, caller.workspace_id, crawler_id).await {
        Ok(Some(crawler)) => Ok(Ok(crawler)),
        Ok(None) => Ok(Err((
            Next::Ended(Cancelled),
            "the crawler was removed".to_owned(),
        ))),
        // The error names the field and says nothing of the secret. Whoever holds the key may answer next time.
        Err(error @ CrawlerError::Secret { .. }) => {
            let may_help = matches!(
                error,
                CrawlerError::Secret {
                    error: SecretError::Refused(_),
                    ..
                }
            );
            let next = if may_help {
                Next::Again
            } else {
                Next::Ended(Failed)
            };
            Ok(Err((next, error.to_string())))
        }
        Err(CrawlerError::Database(error)) => Err(error.into()),
    }
}

/// Gives the job to the worker.
async fn lease(
    connection: &mut PgConnection,
    caller: &Caller,
    settings: &Settings,
    job: &contract::Job,
    wanted: &ClaimJob,
) -> Result<(), ApiError> {
    // A run belongs to the key that began it: under another one it cannot go on, and another run begins.
    let row = sqlx::query(
        "update jobs set state = 'leased', epoch = epoch + 1, attempt = attempt + 1, worker = $2, claim_id = $3, \
         lease_until = now() + make_interval(secs => $4), heartbeat_at = now(), started_at = coalesce(started_at, now()), \
         run_id = case when lineage <> $5 then $6 else run_id end, lineage = $5 where job_id = $1 returning epoch, run_id",
    )
    .bind(job.job_id)
    .bind(&wanted.worker)
    .bind(wanted.claim_id)
    .bind(settings.lease.as_secs_f64())
    .bind(&caller.lineage)
    .bind(Uuid::new_v4())
    .fetch_one(&mut *connection)
    .await
    .map_err(lost_against_another)?;
    if row.try_get::<Uuid, _>("run_id")? != job.run_id {
        crate::session::give_up_run(connection, caller.workspace_id, job.run_id).await?;
    }
    let epoch: i32 = row.try_get("epoch")?;
    let line = format!(
        "given to {}, attempt {} of {}",
        wanted.worker,
        job.attempt + 1,
        job.max_attempts
    );
    log::note(connection, job.job_id, epoch, LogLevel::Info, &line).await?;
    // The worker sees the crawler's secrets from now on.
    let detail = serde_json::json!({
        "crawlerId": job.crawler_id, "epoch": epoch, "worker": wanted.worker,
    });
    audit::record(
        connection,
        caller,
        "job.lease",
        &job.job_id.to_string(),
        detail,
    )
    .await?;
    Ok(())
}

/// Another server gave out another job of the crawler at the same moment.
fn lost_against_another(error: sqlx::Error) -> ApiError {
    let is_taken = error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation);
    if is_taken {
        ApiError::Contention
    } else {
        error.into()
    }
}
