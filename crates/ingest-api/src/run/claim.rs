//! Claiming a run: whoever claims it last is the one that goes on with it.

use axum::{Json, extract::State};
use contract::{ClaimRun, Permission, RunClaimed, RunOutcome, SystemId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    app::AppState, auth::Caller, body::SmallBody, durable::durable, error::ApiError,
    params::InPath, system,
};

/// A run that nobody claimed or saved for this long cannot be gone on with. Retention takes it away an hour later.
pub const KEPT: &str = "interval '7 days'";

/// Claims a run: a new one, or one that another process left.
pub async fn claim(
    State(state): State<AppState>,
    caller: Caller,
    InPath(run_id): InPath<Uuid>,
    body: SmallBody,
) -> Result<Json<RunClaimed>, ApiError> {
    caller.require(Permission::Ingest)?;
    let wanted: ClaimRun = body.json()?;
    system::require(&state.pool, &caller, wanted.system_id).await?;
    let claimed = durable(async move {
        let mut transaction = state.pool.begin().await?;
        hold(&mut transaction, run_id).await?;
        require_not_ended(&mut transaction, &caller, run_id).await?;
        require_lease(&mut transaction, &caller, run_id, wanted.lease_epoch).await?;
        let claimed = take(&mut transaction, &caller, run_id, wanted.system_id).await?;
        transaction.commit().await?;
        Ok(claimed)
    })
    .await?;
    Ok(Json(claimed))
}

fn conflict(detail: impl Into<String>) -> ApiError {
    ApiError::Conflict {
        detail: detail.into(),
        sync_id: None,
    }
}

/// Lets claims and reports of a run happen one after the other.
pub async fn hold(connection: &mut PgConnection, run_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text, 4))")
        .bind(run_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Refuses a run whose report says that it ended; one that failed may be resumed.
async fn require_not_ended(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
) -> Result<(), ApiError> {
    let reported: Option<(String, bool)> = sqlx::query_as(
        "select r.outcome, r.workspace_id = $2 and coalesce(k.lineage, k.key_id) = $3 \
         from run_reports r join api_keys k using (key_id) where r.run_id = $1",
    )
    .bind(run_id)
    .bind(caller.workspace_id)
    .bind(&caller.lineage)
    .fetch_optional(connection)
    .await?;
    match reported {
        Some((_, false)) => Err(not_the_callers()),
        Some((outcome, true)) if outcome != "failed" => Err(conflict(format!(
            "the run has ended ({outcome}); begin a new one"
        ))),
        _ => Ok(()),
    }
}

/// Refuses the run of a job to everybody but the worker that has the job, until the transaction ends.
async fn require_lease(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
    lease_epoch: Option<i32>,
) -> Result<(), ApiError> {
    let leased: Option<(i32, bool)> = sqlx::query_as(
        "select epoch, lease_until is not null from jobs where run_id = $1 and workspace_id = $2 for share",
    )
    .bind(run_id)
    .bind(caller.workspace_id)
    .fetch_optional(connection)
    .await?;
    let is_the_workers = match (leased, lease_epoch) {
        (None, None) => true,
        (Some((epoch, is_leased)), Some(said)) => is_leased && epoch == said,
        _ => false,
    };
    if is_the_workers {
        Ok(())
    } else {
        Err(conflict(
            "the run is that of a job, and this is not the lease of the worker that has it",
        ))
    }
}

fn not_the_callers() -> ApiError {
    conflict("the run is one of another system, workspace or key")
}

async fn take(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
    system_id: SystemId,
) -> Result<RunClaimed, ApiError> {
    let sql = format!(
        "insert into runs_under_way as r (run_id, workspace_id, system_id, lineage, epoch) values ($1, $2, $3, $4, 1) \
         on conflict (run_id) do update set epoch = r.epoch + 1, touched_at = now() \
         where r.workspace_id = $2 and r.system_id = $3 and r.lineage = $4 and r.touched_at > now() - {KEPT} \
         returning epoch, ceil(extract(epoch from now() - began_at) * 1000)::bigint"
    );
    let taken: Option<(i32, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(run_id)
        .bind(caller.workspace_id)
        .bind(system_id)
        .bind(&caller.lineage)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some((epoch, began_ms_ago)) = taken {
        return Ok(RunClaimed {
            epoch,
            is_resumed: epoch > 1,
            began_ms_ago: began_ms_ago.max(0) as u64,
        });
    }
    let is_the_callers: Option<bool> = sqlx::query_scalar(
        "select workspace_id = $2 and system_id = $3 and lineage = $4 from runs_under_way where run_id = $1",
    )
    .bind(run_id)
    .bind(caller.workspace_id)
    .bind(system_id)
    .bind(&caller.lineage)
    .fetch_optional(connection)
    .await?;
    Err(match is_the_callers {
        Some(false) => not_the_callers(),
        // Or retention took it at this moment.
        _ => conflict("nothing was heard of the run for more than 7 days; begin a new one"),
    })
}

/// Finds the caller's run and keeps it from being claimed until the transaction ends; answers its system and its epoch.
/// The run counts as touched.
pub async fn touch(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
) -> Result<(SystemId, i32), ApiError> {
    let sql = format!(
        "update runs_under_way set touched_at = now() where run_id = $1 and {OURS} and touched_at > now() - {KEPT} \
         returning system_id, epoch"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(run_id)
        .bind(caller.workspace_id)
        .bind(&caller.lineage)
        .bind(&caller.system_ids)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| not_under_way(run_id))
}

/// Refuses a run that is not under way for the caller.
pub async fn require_under_way(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
) -> Result<(), ApiError> {
    let sql = format!(
        "select exists (select from runs_under_way where run_id = $1 and {OURS} and touched_at > now() - {KEPT})"
    );
    let is_there: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(run_id)
        .bind(caller.workspace_id)
        .bind(&caller.lineage)
        .bind(&caller.system_ids)
        .fetch_one(connection)
        .await?;
    if is_there {
        Ok(())
    } else {
        Err(not_under_way(run_id))
    }
}

/// Is the run the caller's?
const OURS: &str =
    "workspace_id = $2 and lineage = $3 and ($4::integer[] is null or system_id = any ($4))";

fn not_under_way(run_id: Uuid) -> ApiError {
    ApiError::NotFound(format!("there is no run {run_id} of this key under way"))
}

/// Refuses an epoch that is not that of the newest claim.
pub fn require_epoch(epoch: i32, newest: i32) -> Result<(), ApiError> {
    if epoch == newest {
        return Ok(());
    }
    Err(conflict(format!(
        "epoch {epoch} is not the run's newest, which is {newest}: somebody else claimed the run"
    )))
}

/// Refuses the report of an earlier claim, and of somebody without any that a claimed run has ended. A run that was never
/// claimed, or has ended, has no claim to compare with.
pub async fn require_newest(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
    epoch: Option<i32>,
    outcome: RunOutcome,
) -> Result<(), ApiError> {
    let newest: Option<i32> = sqlx::query_scalar(
        "select epoch from runs_under_way where run_id = $1 and workspace_id = $2 and lineage = $3",
    )
    .bind(run_id)
    .bind(caller.workspace_id)
    .bind(&caller.lineage)
    .fetch_optional(connection)
    .await?;
    match (newest, epoch) {
        (Some(newest), Some(epoch)) => require_epoch(epoch, newest),
        // Whoever failed before they had the run may say so: it can be gone on with.
        (Some(_), None) if outcome != RunOutcome::Failed => {
            Err(conflict("the run was claimed: say by which claim it ended"))
        }
        _ => Ok(()),
    }
}

/// Forgets a run that has ended, and how far it was.
pub async fn forget(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
) -> Result<(), sqlx::Error> {
    // The run first: a checkpoint that is being saved is waited for, and none comes after it.
    let ended = sqlx::query(
        "delete from runs_under_way where run_id = $1 and workspace_id = $2 and lineage = $3",
    )
    .bind(run_id)
    .bind(caller.workspace_id)
    .bind(&caller.lineage)
    .execute(&mut *connection)
    .await?;
    if ended.rows_affected() > 0 {
        sqlx::query("delete from run_checkpoints where run_id = $1")
            .bind(run_id)
            .execute(connection)
            .await?;
    }
    Ok(())
}
