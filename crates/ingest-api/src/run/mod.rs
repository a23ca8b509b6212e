//! Runs: claiming them, how far they are while they are under way, and what crawls say about themselves in the end.
//!
//! A run that is claimed may save checkpoints; whoever claims it again goes on from them, and the one before is refused
//! from then on. What is remembered goes with the report of the run, unless that says that it failed: a failed run may be
//! resumed.

mod checkpoint;
mod claim;
mod docs;
mod fence;
pub(crate) mod refreshed;

use axum::{Json, extract::State, http::StatusCode};
use contract::{Permission, RunOutcome, RunReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json as SqlJson};

pub use fence::UnderClaim;

use crate::{
    app::AppState, auth::Caller, body::SmallBody, durable::durable, error::ApiError,
    openapi::Routes, params::InQuery, system,
};

/// The routes about runs.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/ingest/sync-log", list, docs::list())
        .post("/api/ingest/sync-log", report, docs::report())
        .post(
            "/api/ingest/runs/{runId}/claim",
            claim::claim,
            docs::claim(),
        )
        .put(
            "/api/ingest/runs/{runId}/checkpoint",
            checkpoint::save,
            docs::save_checkpoint(),
        )
        .get(
            "/api/ingest/runs/{runId}/checkpoint",
            checkpoint::page,
            docs::checkpoint(),
        )
        .get(
            "/api/ingest/refresh-views",
            refresh_status,
            docs::refresh_status(),
        )
        .get("/api/views", refresh_status, docs::views())
        .post(
            "/api/ingest/refresh-views",
            refresh_views,
            docs::refresh_views(),
        )
}

/// Which claim the report comes from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReportedBy {
    /// The epoch of the caller's claim, for a run that was claimed: refused when somebody claimed the run since.
    epoch: Option<i32>,
}

/// Stores a run's report; the same run reported again replaces its report.
async fn report(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<ReportedBy>,
    body: SmallBody,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::Ingest)?;
    let epoch = query.read()?.epoch;
    let report: RunReport = body.json()?;
    if let Some(system_id) = report.system_id {
        system::require(&state.pool, &caller, system_id).await?;
    }
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        claim::hold(&mut transaction, report.run_id).await?;
        let (run_id, outcome) = (report.run_id, report.outcome);
        claim::require_newest(&mut transaction, &caller, run_id, epoch, outcome).await?;
        store(&mut transaction, &caller, &report, epoch).await?;
        if report.outcome != RunOutcome::Failed {
            claim::forget(&mut transaction, &caller, report.run_id).await?;
        }
        transaction.commit().await?;
        if let Err(error) = refreshed::settle_if_fresh(&state.pool).await {
            tracing::warn!(%error, "the report is stored; what became of the views is noted later");
        }
        Ok(StatusCode::CREATED)
    })
    .await
}

/// Writes a report, over an earlier one of the run that came from the same or an earlier claim. What a claim of the run
/// reported as its end is not replaced by somebody who had no claim.
async fn store(
    connection: &mut PgConnection,
    caller: &Caller,
    report: &RunReport,
    epoch: Option<i32>,
) -> Result<(), ApiError> {
    let outcome = serde_json::to_value(report.outcome).map_err(ApiError::internal)?;
    let stored = sqlx::query(
        "insert into run_reports (run_id, workspace_id, system_id, key_id, outcome, started_at, finished_at, report, epoch) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $10) \
         on conflict (run_id) do update set outcome = excluded.outcome, finished_at = excluded.finished_at, \
         report = excluded.report, system_id = excluded.system_id, received_at = now(), views = null, \
         epoch = coalesce(excluded.epoch, run_reports.epoch) \
         where run_reports.workspace_id = excluded.workspace_id \
         and run_reports.key_id in (select k.key_id from api_keys k where coalesce(k.lineage, k.key_id) = $9) \
         and (run_reports.epoch is null or excluded.epoch >= run_reports.epoch \
         or excluded.epoch is null and run_reports.outcome = 'failed')",
    )
    .bind(report.run_id)
    .bind(caller.workspace_id)
    .bind(report.system_id)
    .bind(caller.key_id())
    .bind(outcome.as_str())
    .bind(report.started_at)
    .bind(report.finished_at)
    .bind(SqlJson(report))
    .bind(&caller.lineage)
    .bind(epoch)
    .execute(connection)
    .await?;
    if stored.rows_affected() == 0 {
        return Err(ApiError::Conflict {
            detail: "this run was reported by another key, or by a claim of it that is newer"
                .into(),
            sync_id: None,
        });
    }
    Ok(())
}

/// How many reports.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Latest {
    /// At most so many; 20 when absent, never more than 200.
    limit: Option<u32>,
}

/// Run reports.
#[derive(Serialize, JsonSchema)]
struct Runs {
    /// The reports.
    items: Vec<Run>,
}

/// A run: its report, and what became of the views after it.
#[derive(Serialize, JsonSchema)]
struct Run {
    /// What the crawler said.
    #[serde(flatten)]
    report: RunReport,
    /// Every view whose result is kept.
    views: Vec<refreshed::ViewAfterRun>,
}

/// The views after a run, where a refresh has settled that.
type Settled = Option<SqlJson<Vec<refreshed::ViewAfterRun>>>;

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<Latest>,
) -> Result<Json<Runs>, ApiError> {
    caller.require_one_of(&[Permission::Read, Permission::Ingest])?;
    let latest = query.read()?;
    // Before the reports: a refresh that ends in between settles them.
    let now = views::refresh_status(&state.pool).await?;
    let reports: Vec<(SqlJson<RunReport>, Settled)> = sqlx::query_as(
        "select report, views from run_reports where workspace_id = $1 and ($3::integer[] is null or system_id is null or system_id = any ($3)) \
         order by started_at desc, run_id limit $2",
    )
    .bind(caller.workspace_id)
    .bind(i64::from(latest.limit.unwrap_or(20).clamp(1, 200)))
    .bind(&caller.system_ids)
    .fetch_all(&state.pool)
    .await?;
    let items = reports
        .into_iter()
        .map(|(report, settled)| Run {
            report: report.0,
            views: settled.map_or_else(
                || now.iter().map(refreshed::not_yet).collect(),
                |settled| settled.0,
            ),
        })
        .collect();
    Ok(Json(Runs { items }))
}

/// How up to date the views are.
#[derive(Serialize, JsonSchema)]
struct RefreshStatus {
    /// Every view whose result is kept.
    views: Vec<views::ViewStatus>,
}

/// Asks for a refresh of what is stale; it runs in the background.
async fn refresh_views(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<(StatusCode, Json<RefreshStatus>), ApiError> {
    caller.require_one_of(&[Permission::Ingest, Permission::Admin])?;
    state.refresher.request();
    Ok((
        StatusCode::ACCEPTED,
        Json(RefreshStatus {
            views: views::refresh_status(&state.pool).await?,
        }),
    ))
}

async fn refresh_status(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<RefreshStatus>, ApiError> {
    caller.require_one_of(&[Permission::Read, Permission::Ingest])?;
    Ok(Json(RefreshStatus {
        views: views::refresh_status(&state.pool).await?,
    }))
}
