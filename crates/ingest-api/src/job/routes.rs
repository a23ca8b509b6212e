//! Jobs over HTTP: for people and schedulers first, for workers below.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use contract::{
    AppendLog, ClaimAnswer, ClaimJob, CreateJob, FinishJob, HeartbeatAnswer, Job, JobHeartbeat,
    JobKind, JobPage, JobState, LogLevel, LogPage, MAX_CLAIM_WAIT, Permission, WorkerList,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    claim, docs, lease, log,
    store::{self, NewJob, Wanted},
    workers,
};
use crate::{
    app::AppState,
    audit,
    auth::Caller,
    body::SmallBody,
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery, page_size},
};

/// Whoever runs crawls, and whoever reads what they brought, may see how they go.
pub const LOOK: &[Permission] = &[Permission::Jobs, Permission::Read, Permission::Admin];
/// Whoever may read the register or configure crawlers sees what jobs found out.
const READ_RESULTS: &[Permission] = &[Permission::Read, Permission::Admin];
/// Most jobs of a crawler that wait.
const MOST_WAITING: i64 = 20;
const MAX_WORKER_CHARS: usize = 200;
const MAX_VERSION_CHARS: usize = 100;
const PRIORITIES: std::ops::RangeInclusive<i16> = -100..=100;

/// The routes about jobs.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/jobs", list, docs::list())
        .post("/api/jobs", create, docs::create())
        .get("/api/jobs/{jobId}", show, docs::show())
        .post("/api/jobs/{jobId}/cancel", cancel, docs::cancel())
        .post("/api/jobs/{jobId}/retry", retry, docs::retry())
        .get("/api/jobs/{jobId}/log", show_log, docs::show_log())
        .post("/api/jobs/claim", claim_job, docs::claim())
        .post("/api/jobs/{jobId}/heartbeat", heartbeat, docs::heartbeat())
        .post("/api/jobs/{jobId}/log", append_log, docs::append_log())
        .post("/api/jobs/{jobId}/finish", finish, docs::finish())
        .get("/api/workers", list_workers, docs::list_workers())
}

fn conflict(detail: impl Into<String>) -> ApiError {
    ApiError::Conflict {
        detail: detail.into(),
        sync_id: None,
    }
}

/// Which jobs.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobsQuery {
    /// Only those that stand so.
    state: Option<JobState>,
    /// Only those of a crawler.
    crawler_id: Option<Uuid>,
    /// Only those of a schedule.
    schedule_id: Option<Uuid>,
    /// `next` of the page before.
    after: Option<Uuid>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<JobsQuery>,
) -> Result<Json<JobPage>, ApiError> {
    caller.require_one_of(LOOK)?;
    let query = query.read()?;
    let wanted = Wanted {
        state: query.state,
        crawler_id: query.crawler_id,
        schedule_id: query.schedule_id,
        after: query.after,
        limit: page_size(query.limit),
    };
    Ok(Json(store::page(&state.pool, &caller, &wanted).await?))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    InPath(job_id): InPath<Uuid>,
) -> Result<Json<Job>, ApiError> {
    caller.require_one_of(LOOK)?;
    let mut connection = state.pool.acquire().await?;
    let mut job = store::one(&mut connection, &caller, job_id).await?;
    // It tells of users and of the application: more than a worker's key is for.
    if caller.require_one_of(READ_RESULTS).is_ok() {
        job.result = store::result_of(&mut connection, job_id).await?;
    }
    Ok(Json(job))
}

/// Which lines.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogQuery {
    /// `next` of the page before; the beginning when absent.
    after: Option<i64>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn show_log(
    State(state): State<AppState>,
    caller: Caller,
    InPath(job_id): InPath<Uuid>,
    query: InQuery<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    caller.require_one_of(LOOK)?;
    let query = query.read()?;
    let mut connection = state.pool.acquire().await?;
    // The job before its lines: whoever follows until it has ended sees the last one.
    let job = store::one(&mut connection, &caller, job_id).await?;
    let page = log::page(&mut connection, &job, query.after, page_size(query.limit)).await?;
    Ok(Json(page))
}

/// A crawler that the caller may run: whether it is switched on. Held so that it is not removed meanwhile.
pub async fn require_crawler(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Uuid,
) -> Result<bool, ApiError> {
    let enabled: Option<bool> = sqlx::query_scalar(
        "select enabled from crawlers where crawler_id = $1 and workspace_id = $2 and deleted_at is null \
         and ($3::integer[] is null or system_id = any ($3)) for share",
    )
    .bind(crawler_id)
    .bind(caller.workspace_id)
    .bind(&caller.system_ids)
    .fetch_optional(connection)
    .await?;
    enabled.ok_or_else(|| ApiError::NotFound("there is no such crawler".into()))
}

/// Refuses to crawl with a crawler that is switched off. Looking is what one does before one switches it on.
async fn require_on(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Uuid,
    kind: JobKind,
) -> Result<(), ApiError> {
    let is_on = require_crawler(connection, caller, crawler_id).await?;
    if is_on || kind.only_looks() {
        return Ok(());
    }
    Err(conflict("the crawler is switched off"))
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    caller.require_to_run()?;
    let wanted: CreateJob = body.json()?;
    if !PRIORITIES.contains(&wanted.priority) {
        return Err(ApiError::bad_field(
            "priority",
            "a priority lies between -100 and 100",
        ));
    }
    let horizon = DateTime::<Utc>::from_timestamp(253_402_300_799, 0);
    if wanted.not_before > horizon
        || wanted.not_before < Some(DateTime::UNIX_EPOCH) && wanted.not_before.is_some()
    {
        return Err(ApiError::bad_field(
            "notBefore",
            "the moment lies between the years 1970 and 9999",
        ));
    }
    let job = durable(async move {
        let mut transaction = state.pool.begin().await?;
        require_on(&mut transaction, &caller, wanted.crawler_id, wanted.kind).await?;
        require_room(&mut transaction, wanted.crawler_id).await?;
        let actor = caller.actor();
        let new = NewJob {
            workspace_id: caller.workspace_id,
            crawler_id: wanted.crawler_id,
            kind: wanted.kind,
            mode: wanted.mode,
            priority: wanted.priority,
            not_before: wanted.not_before,
            max_attempts: state.jobs.settings().max_attempts,
            slot: None,
            created_by: &actor,
        };
        let job_id = store::insert(&mut transaction, &new)
            .await?
            .ok_or_else(|| ApiError::internal("a job without a slot has no rival"))?;
        let job = store::one(&mut transaction, &caller, job_id).await?;
        let detail =
            json!({"crawlerId": job.crawler_id, "kind": job.kind, "mode": job.mode, "priority": job.priority});
        record(&mut transaction, &caller, "job.create", &job, detail).await?;
        transaction.commit().await?;
        state.jobs.wake();
        Ok(job)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(job)))
}

/// Somebody who keeps asking does not fill the queue.
async fn require_room(connection: &mut PgConnection, crawler_id: Uuid) -> Result<(), ApiError> {
    let waiting: i64 =
        sqlx::query_scalar("select count(*) from jobs where crawler_id = $1 and state = 'queued'")
            .bind(crawler_id)
            .fetch_one(connection)
            .await?;
    if waiting < MOST_WAITING {
        return Ok(());
    }
    Err(conflict(format!(
        "{waiting} jobs of the crawler wait already"
    )))
}

async fn record(
    connection: &mut PgConnection,
    caller: &Caller,
    action: &'static str,
    job: &Job,
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    audit::record(connection, caller, action, &job.job_id.to_string(), detail).await?;
    let line = format!("{action} by {}", caller.actor());
    log::note(connection, job.job_id, job.epoch, LogLevel::Info, &line).await
}

/// What waits ends at once, what a worker has as soon as the worker is heard of.
async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    InPath(job_id): InPath<Uuid>,
) -> Result<Json<Job>, ApiError> {
    caller.require_to_run()?;
    let job = durable(async move {
        let mut transaction = state.pool.begin().await?;
        let (job, standing) = store::hold(&mut transaction, &caller, job_id).await?;
        if standing.state.is_ended() {
            return Err(conflict(format!(
                "the job has ended: it is {}",
                standing.state.wire_name()
            )));
        }
        sqlx::query(
            "update jobs set cancel_requested_at = coalesce(cancel_requested_at, now()), \
             state = case when state = 'queued' then 'cancelled' else state end, \
             finished_at = case when state = 'queued' then now() end where job_id = $1",
        )
        .bind(job_id)
        .execute(&mut *transaction)
        .await?;
        if !standing.state.is_leased() {
            crate::session::give_up_run(&mut transaction, caller.workspace_id, job.run_id).await?;
        }
        if !standing.is_cancel_requested {
            record(&mut transaction, &caller, "job.cancel", &job, json!({})).await?;
        }
        let job = store::one(&mut transaction, &caller, job_id).await?;
        transaction.commit().await?;
        Ok(job)
    })
    .await?;
    Ok(Json(job))
}

/// A job that ended without success gets its attempts back, and another run.
async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    InPath(job_id): InPath<Uuid>,
) -> Result<Json<Job>, ApiError> {
    caller.require_to_run()?;
    let job = durable(async move {
        let mut transaction = state.pool.begin().await?;
        let (job, standing) = store::hold(&mut transaction, &caller, job_id).await?;
        if !matches!(
            standing.state,
            JobState::Failed | JobState::Dead | JobState::Cancelled
        ) {
            return Err(conflict(format!(
                "only a job that failed, is dead or was cancelled is tried again; this one is {}",
                standing.state.wire_name()
            )));
        }
        require_on(&mut transaction, &caller, job.crawler_id, job.kind).await?;
        require_room(&mut transaction, job.crawler_id).await?;
        sqlx::query(
            "update jobs set state = 'queued', attempt = 0, not_before = now(), cancel_requested_at = null, started_at = null, \
             finished_at = null, finished_epoch = null, run_id = $2, progress = '{}', result = null where job_id = $1",
        )
        .bind(job_id)
        .bind(Uuid::new_v4())
        .execute(&mut *transaction)
        .await?;
        record(&mut transaction, &caller, "job.retry", &job, json!({})).await?;
        let job = store::one(&mut transaction, &caller, job_id).await?;
        transaction.commit().await?;
        state.jobs.wake();
        Ok(job)
    })
    .await?;
    Ok(Json(job))
}

async fn claim_job(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<Json<ClaimAnswer>, ApiError> {
    caller.require(Permission::Jobs)?;
    let wanted: ClaimJob = body.json()?;
    let is_odd =
        |text: &str, most: usize| text.chars().count() > most || text.contains(char::is_control);
    if wanted.worker.is_empty() || is_odd(&wanted.worker, MAX_WORKER_CHARS) {
        return Err(ApiError::bad_field(
            "worker",
            "a worker's name has 1 to 200 characters, none of them a control character",
        ));
    }
    if is_odd(&wanted.version, MAX_VERSION_CHARS) {
        return Err(ApiError::bad_field(
            "version",
            "a version has at most 100 characters, none of them a control character",
        ));
    }
    if wanted.kinds.len() > JobKind::ALL.len() {
        return Err(ApiError::bad_field("kinds", "there are four kinds of work"));
    }
    if wanted.wait_seconds > MAX_CLAIM_WAIT {
        return Err(ApiError::bad_field(
            "waitSeconds",
            format!("a claim waits at most {MAX_CLAIM_WAIT} seconds"),
        ));
    }
    Ok(Json(claim::wait_for_job(&state, &caller, wanted).await?))
}

async fn heartbeat(
    State(state): State<AppState>,
    caller: Caller,
    InPath(job_id): InPath<Uuid>,
    body: SmallBody,
) -> Result<Json<HeartbeatAnswer>, ApiError> {
    caller.require(Permission::Jobs)?;
    let said: JobHeartbeat = body.json()?;
    let answer = durable(async move { lease::heartbeat(&state, &caller, job_id, said).await });
    Ok(Json(answer.await?))
}

async fn append_log(
    State(state): State<AppState>,
    caller: Caller,
    InPath(job_id): InPath<Uuid>,
    body: SmallBody,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::Jobs)?;
    let said: AppendLog = body.json()?;
    durable(async move { lease::append_log(&state, &caller, job_id, said).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn finish(
    State(state): State<AppState>,
    caller: Caller,
    InPath(job_id): InPath<Uuid>,
    body: SmallBody,
) -> Result<Json<Job>, ApiError> {
    caller.require(Permission::Jobs)?;
    let said: FinishJob = body.json()?;
    let job = durable(async move { lease::finish(&state, &caller, job_id, said).await });
    Ok(Json(job.await?))
}

async fn list_workers(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<WorkerList>, ApiError> {
    caller.require_one_of(LOOK)?;
    let items = workers::list(&state.pool, &caller).await?;
    Ok(Json(WorkerList { items }))
}
