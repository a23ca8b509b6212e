//! Jobs in the database.

use chrono::{DateTime, Utc};
use contract::{CrawlMode, Job, JobKind, JobPage, JobResult, JobState, RunOutcome};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{
    Settings, log,
    state::{Next, Standing, end_of_run},
};
use crate::{auth::Caller, error::ApiError, session};

/// What [`read`] reads.
const COLUMNS: &str = "j.job_id, j.kind, j.crawler_id, c.name as crawler, j.mode, j.state, j.priority, j.not_before, j.attempt, \
     j.max_attempts, j.epoch, j.run_id, j.worker, j.lease_until, j.heartbeat_at, j.cancel_requested_at, j.progress, j.message, \
     j.schedule_id, j.slot, j.created_at, j.created_by, j.started_at, j.finished_at, j.finished_epoch";

/// Jobs that the caller may see: `$1` is the workspace, `$2` the systems that the key is limited to.
const OURS: &str = "j.workspace_id = $1 and ($2::integer[] is null or c.system_id = any ($2))";

/// A word of the database as its type.
pub fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, sqlx::Error> {
    all.iter()
        .copied()
        .find(|one| name(*one) == text)
        .ok_or_else(|| sqlx::Error::Decode(format!("the database holds '{text}'").into()))
}

/// A job from its row.
fn read(row: &PgRow) -> Result<Job, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(Job {
        job_id: row.try_get("job_id")?,
        kind: word(&JobKind::ALL, JobKind::wire_name, &text("kind")?)?,
        crawler_id: row.try_get("crawler_id")?,
        crawler: text("crawler")?,
        mode: word(&CrawlMode::ALL, CrawlMode::wire_name, &text("mode")?)?,
        state: word(&JobState::ALL, JobState::wire_name, &text("state")?)?,
        priority: row.try_get("priority")?,
        not_before: row.try_get("not_before")?,
        attempt: row.try_get("attempt")?,
        max_attempts: row.try_get("max_attempts")?,
        epoch: row.try_get("epoch")?,
        run_id: row.try_get("run_id")?,
        worker: row.try_get("worker")?,
        lease_until: row.try_get("lease_until")?,
        heartbeat_at: row.try_get("heartbeat_at")?,
        cancel_requested_at: row.try_get("cancel_requested_at")?,
        progress: row.try_get::<Json<_>, _>("progress")?.0,
        message: row.try_get("message")?,
        result: None,
        schedule_id: row.try_get("schedule_id")?,
        slot: row.try_get("slot")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}

/// Which jobs are wanted.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Only those that stand so.
    pub state: Option<JobState>,
    /// Only those of a crawler.
    pub crawler_id: Option<Uuid>,
    /// Only those of a schedule.
    pub schedule_id: Option<Uuid>,
    /// Only those older than this one.
    pub after: Option<Uuid>,
    /// Most on the page.
    pub limit: u32,
}

/// A page of the jobs that the caller may see, newest first: ids grow with time.
pub async fn page(pool: &PgPool, caller: &Caller, wanted: &Wanted) -> Result<JobPage, ApiError> {
    let sql = format!(
        "select {COLUMNS} from jobs j join crawlers c using (crawler_id) where {OURS} \
         and ($3::text is null or j.state = $3) and ($4::uuid is null or j.crawler_id = $4) \
         and ($5::uuid is null or j.schedule_id = $5) and ($6::uuid is null or j.job_id < $6) \
         order by j.job_id desc limit $7"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(wanted.state.map(JobState::wire_name))
        .bind(wanted.crawler_id)
        .bind(wanted.schedule_id)
        .bind(wanted.after)
        // One more than asked for says whether there is a next page.
        .bind(i64::from(wanted.limit) + 1)
        .fetch_all(pool)
        .await?;
    let mut items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let has_more = items.len() > wanted.limit as usize;
    items.truncate(wanted.limit as usize);
    let next = items.last().filter(|_| has_more).map(|last| last.job_id);
    Ok(JobPage { items, next })
}

/// One job; one that the caller may not see is not there.
pub async fn one(
    connection: &mut PgConnection,
    caller: &Caller,
    job_id: Uuid,
) -> Result<Job, ApiError> {
    let sql = format!(
        "select {COLUMNS} from jobs j join crawlers c using (crawler_id) where {OURS} and j.job_id = $3"
    );
    find(connection, caller, job_id, sql)
        .await
        .map(|(job, _)| job)
}

/// One job, and where it stands, that nobody else changes until the transaction ends.
pub async fn hold(
    connection: &mut PgConnection,
    caller: &Caller,
    job_id: Uuid,
) -> Result<(Job, Standing), ApiError> {
    let sql = format!(
        "select {COLUMNS} from jobs j join crawlers c using (crawler_id) where {OURS} and j.job_id = $3 for update of j"
    );
    find(connection, caller, job_id, sql).await
}

async fn find(
    connection: &mut PgConnection,
    caller: &Caller,
    job_id: Uuid,
    sql: String,
) -> Result<(Job, Standing), ApiError> {
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(job_id)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| ApiError::NotFound("there is no such job".into()))?;
    Ok(read_held(&row)?)
}

fn read_held(row: &PgRow) -> Result<(Job, Standing), sqlx::Error> {
    let job = read(row)?;
    let standing = Standing {
        state: job.state,
        epoch: job.epoch,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        is_cancel_requested: job.cancel_requested_at.is_some(),
        finished_epoch: row.try_get("finished_epoch")?,
    };
    Ok((job, standing))
}

/// A leased job whose time is over, if there is one that nobody else works on.
pub async fn hold_overdue(
    connection: &mut PgConnection,
) -> Result<Option<(i32, Job, Standing)>, sqlx::Error> {
    let sql = format!(
        "select j.workspace_id, {COLUMNS} from jobs j join crawlers c using (crawler_id) \
         where j.state in ('leased', 'running') and j.lease_until <= now() \
         order by j.lease_until limit 1 for update of j skip locked"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        let (job, standing) = read_held(&row)?;
        Ok((row.try_get("workspace_id")?, job, standing))
    })
    .transpose()
}

/// What a new job is to be.
pub struct NewJob<'a> {
    /// The workspace.
    pub workspace_id: i32,
    /// The crawler.
    pub crawler_id: Uuid,
    /// What kind of work it is.
    pub kind: JobKind,
    /// How it reads.
    pub mode: CrawlMode,
    /// Jobs with a higher one go first.
    pub priority: i16,
    /// Not before; at once when absent.
    pub not_before: Option<DateTime<Utc>>,
    /// After so many attempts it is dead.
    pub max_attempts: i32,
    /// The schedule and its slot.
    pub slot: Option<(Uuid, DateTime<Utc>)>,
    /// Who asked for it.
    pub created_by: &'a str,
}

/// Queues a job; `None` when the slot has one.
pub async fn insert(
    connection: &mut PgConnection,
    new: &NewJob<'_>,
) -> Result<Option<Uuid>, sqlx::Error> {
    let job_id = Uuid::now_v7();
    let inserted: Option<Uuid> = sqlx::query_scalar(
        "insert into jobs (job_id, workspace_id, crawler_id, kind, mode, priority, not_before, max_attempts, run_id, schedule_id, slot, created_by) \
         values ($1, $2, $3, $4, $5, $6, coalesce($7, now()), $8, $9, $10, $11, $12) \
         on conflict (schedule_id, slot) do nothing returning job_id",
    )
    .bind(job_id)
    .bind(new.workspace_id)
    .bind(new.crawler_id)
    .bind(new.kind.wire_name())
    .bind(new.mode.wire_name())
    .bind(new.priority)
    .bind(new.not_before)
    .bind(new.max_attempts)
    .bind(Uuid::new_v4())
    .bind(new.slot.map(|(schedule_id, _)| schedule_id))
    .bind(new.slot.map(|(_, slot)| slot))
    .bind(new.created_by)
    .fetch_optional(connection)
    .await?;
    Ok(inserted)
}

/// How the run of a job reported its own end, if it did.
pub async fn reported(
    connection: &mut PgConnection,
    workspace_id: i32,
    run_id: Uuid,
) -> Result<Option<RunOutcome>, sqlx::Error> {
    let outcome: Option<Json<RunOutcome>> = sqlx::query_scalar(
        "select to_jsonb(outcome) from run_reports where run_id = $1 and workspace_id = $2",
    )
    .bind(run_id)
    .bind(workspace_id)
    .fetch_optional(connection)
    .await?;
    Ok(outcome.map(|outcome| outcome.0))
}

/// What is told about the end of a lease.
pub struct Ending<'a> {
    /// The workspace of the job.
    pub workspace_id: i32,
    /// What follows.
    pub next: Next,
    /// A sentence for people.
    pub message: Option<&'a str>,
    /// Did the worker itself say so?
    pub is_told_by_worker: bool,
    /// Does the next attempt need another run?
    pub begin_anew: bool,
}

/// Ends the lease of a job that is held. What the run itself reported counts more than the loss of its worker.
pub async fn end_lease(
    connection: &mut PgConnection,
    settings: &Settings,
    job: &Job,
    ending: &Ending<'_>,
) -> Result<JobState, sqlx::Error> {
    let outcome = reported(connection, ending.workspace_id, job.run_id).await?;
    let settled = outcome.and_then(end_of_run);
    let next = match (ending.next, settled) {
        (
            Next::Ended(JobState::Cancelled | JobState::Dead) | Next::Again | Next::HandOver,
            Some(state),
        ) => Next::Ended(state),
        (next, _) => next,
    };
    // A run that was reported as cancelled does not go on.
    let is_over = ending.begin_anew || outcome == Some(RunOutcome::Cancelled);
    let new_run = (is_over && !matches!(next, Next::Ended(_))).then(Uuid::new_v4);
    let (state, wait, attempt) = match next {
        Next::HandOver => (JobState::Queued, 0.0, (job.attempt - 1).max(0)),
        Next::Again => (
            JobState::Queued,
            settings.backoff(job.attempt).as_secs_f64(),
            job.attempt,
        ),
        Next::Ended(state) => (state, 0.0, job.attempt),
    };
    sqlx::query(
        "update jobs set state = $2, lease_until = null, claim_id = null, attempt = $3, message = $4, \
         not_before = case when $2 = 'queued' then now() + make_interval(secs => $5) else not_before end, \
         finished_at = case when $2 = 'queued' then null else now() end, \
         finished_epoch = case when $6 then epoch else finished_epoch end, run_id = coalesce($7, run_id) where job_id = $1",
    )
    .bind(job.job_id)
    .bind(state.wire_name())
    .bind(attempt)
    .bind(ending.message)
    .bind(wait)
    .bind(ending.is_told_by_worker)
    .bind(new_run)
    .execute(&mut *connection)
    .await?;
    if state.is_ended() || new_run.is_some() {
        // Nobody goes on with its loads; left open they would stand in the way of the next run.
        session::give_up_run(connection, ending.workspace_id, job.run_id).await?;
    }
    log::note_end(connection, job, state, ending.message).await?;
    Ok(state)
}

/// Keeps what a job found out. As text in JSON, not as `jsonb`: a tenant's values may hold what that refuses.
pub async fn keep_result(
    connection: &mut PgConnection,
    job_id: Uuid,
    result: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("update jobs set result = $2::text::json where job_id = $1")
        .bind(job_id)
        .bind(result)
        .execute(connection)
        .await?;
    Ok(())
}

/// What a job found out, while it is kept.
pub async fn result_of(
    connection: &mut PgConnection,
    job_id: Uuid,
) -> Result<Option<JobResult>, sqlx::Error> {
    let kept: Option<Option<Json<JobResult>>> =
        sqlx::query_scalar("select result from jobs where job_id = $1")
            .bind(job_id)
            .fetch_optional(connection)
            .await?;
    Ok(kept.flatten().map(|result| result.0))
}
