//! What the worker says that has a job: that it is alive, what it sees, how it ended.

use contract::{
    AppendLog, FinishJob, HeartbeatAnswer, Job, JobHeartbeat, JobOutcome, MAX_LOG_LINES,
    MAX_PROGRESS, MAX_RESULT_BYTES,
};
use sqlx::types::Json;
use uuid::Uuid;

use super::{
    claim::whole_seconds,
    log,
    state::{Next, Standing},
    store::{self, Ending},
};
use crate::{app::AppState, auth::Caller, error::ApiError};

const MAX_NAME_CHARS: usize = 100;
const MAX_MESSAGE_CHARS: usize = 2_000;

/// Refuses what is not said under the present lease.
fn require_lease(standing: &Standing, epoch: i32) -> Result<(), ApiError> {
    if standing.holds(epoch) {
        return Ok(());
    }
    let detail = if standing.state.is_leased() {
        format!(
            "epoch {epoch} is not the job's lease, which is {}: another worker has the job",
            standing.epoch
        )
    } else {
        format!(
            "no worker has the job: it is {}",
            standing.state.wire_name()
        )
    };
    Err(ApiError::Conflict {
        detail,
        sync_id: None,
    })
}

/// The worker is alive: its lease lasts longer.
pub async fn heartbeat(
    state: &AppState,
    caller: &Caller,
    job_id: Uuid,
    said: JobHeartbeat,
) -> Result<HeartbeatAnswer, ApiError> {
    let is_odd = |name: &String| {
        !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) || name.contains(char::is_control)
    };
    if said.progress.keys().any(is_odd) {
        return Err(ApiError::bad_field(
            "progress",
            "a collection's name has 1 to 100 characters, none of them a control character",
        ));
    }
    let mut transaction = state.pool.begin().await?;
    let (mut job, standing) = store::hold(&mut transaction, caller, job_id).await?;
    require_lease(&standing, said.epoch)?;
    job.progress.extend(said.progress);
    if job.progress.len() > MAX_PROGRESS {
        return Err(ApiError::bad_field(
            "progress",
            format!("a job has at most {MAX_PROGRESS} collections"),
        ));
    }
    let lease = state.jobs.settings().lease;
    sqlx::query(
        "update jobs set state = 'running', heartbeat_at = now(), lease_until = now() + make_interval(secs => $2), progress = $3 \
         where job_id = $1",
    )
    .bind(job_id)
    .bind(lease.as_secs_f64())
    .bind(Json(&job.progress))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(HeartbeatAnswer {
        is_cancel_requested: standing.is_cancel_requested,
        lease_seconds: whole_seconds(lease),
    })
}

/// Keeps lines of the worker.
pub async fn append_log(
    state: &AppState,
    caller: &Caller,
    job_id: Uuid,
    said: AppendLog,
) -> Result<(), ApiError> {
    if said.lines.len() > MAX_LOG_LINES {
        return Err(ApiError::bad_field(
            "lines",
            format!("a call brings at most {MAX_LOG_LINES} lines"),
        ));
    }
    let mut transaction = state.pool.begin().await?;
    // Held, so that the lines of a job have their numbers in the order in which they can be read.
    let (_, standing) = store::hold(&mut transaction, caller, job_id).await?;
    require_lease(&standing, said.epoch)?;
    log::append(&mut transaction, job_id, said.epoch, &said.lines).await?;
    transaction.commit().await?;
    Ok(())
}

/// What the job found out, as it is kept: of its kind, and not too long.
fn result_of(job: &Job, said: &FinishJob) -> Result<Option<String>, ApiError> {
    let Some(result) = &said.result else {
        return Ok(None);
    };
    if said.outcome != JobOutcome::Complete || result.kind() != job.kind {
        return Err(ApiError::bad_field(
            "result",
            format!(
                "a result comes with the outcome 'complete' and is of the job's kind, {}",
                job.kind.wire_name()
            ),
        ));
    }
    let text = serde_json::to_string(result).map_err(ApiError::internal)?;
    if text.len() > MAX_RESULT_BYTES {
        return Err(ApiError::bad_field(
            "result",
            format!("a result has at most {MAX_RESULT_BYTES} bytes"),
        ));
    }
    Ok(Some(text))
}

/// The worker is done with the job, in one way or another. Said again, it is answered again.
pub async fn finish(
    state: &AppState,
    caller: &Caller,
    job_id: Uuid,
    said: FinishJob,
) -> Result<Job, ApiError> {
    let message = said.message.as_deref().map(|message| {
        message
            .chars()
            .take(MAX_MESSAGE_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>()
    });
    let mut transaction = state.pool.begin().await?;
    let (job, standing) = store::hold(&mut transaction, caller, job_id).await?;
    if standing.has_finished(said.epoch) {
        return Ok(job);
    }
    require_lease(&standing, said.epoch)?;
    let result = result_of(&job, &said)?;
    let next = standing.after_finish(said.outcome, said.may_retry);
    let message = match (next, &message) {
        (Next::Ended(contract::JobState::Dead), _) => Some(format!(
            "failed {} times, the last time: {}",
            job.attempt,
            message.as_deref().unwrap_or("no reason was given")
        )),
        (Next::HandOver, None) if said.outcome == JobOutcome::HandedBack => {
            Some("its worker stopped; another one goes on".to_owned())
        }
        _ => message,
    };
    let ending = Ending {
        workspace_id: caller.workspace_id,
        next,
        message: message.as_deref(),
        is_told_by_worker: true,
        begin_anew: said.begin_anew,
    };
    store::end_lease(&mut transaction, state.jobs.settings(), &job, &ending).await?;
    if let Some(result) = result {
        store::keep_result(&mut transaction, job_id, &result).await?;
    }
    let job = store::one(&mut transaction, caller, job_id).await?;
    transaction.commit().await?;
    // It may be another worker's turn with it, or with another job of the crawler.
    state.jobs.wake();
    Ok(job)
}
