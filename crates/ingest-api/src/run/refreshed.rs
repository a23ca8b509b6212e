//! Which refresh of the views brought in what a run loaded.
//!
//! A report waits from the moment that it is stored. A refresh that begins later sees everything that was loaded before
//! it, and settles it; so does any moment at which no view is stale.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;
use views::{ViewError, ViewStatus};

/// A view after a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViewAfterRun {
    /// The view.
    pub view: String,
    /// Does it hold what the run loaded?
    pub state: ViewState,
    /// When the refresh ended that brought it in; an earlier one where the run changed nothing that the view depends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refreshed_at: Option<DateTime<Utc>>,
    /// How long that refresh took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// Rows after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_total: Option<i64>,
    /// Rows that it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_changed: Option<i64>,
    /// While a refresh runs: how many systems it has to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systems_total: Option<i32>,
    /// How many of them it is done with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systems_done: Option<i32>,
    /// Why the latest attempt failed, if it did; it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far a view is after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ViewAfterRunState")]
pub enum ViewState {
    /// It holds what the run loaded.
    UpToDate,
    /// A refresh is under way.
    Running,
    /// No refresh has begun since.
    Waiting,
}

/// A report that no refresh has settled: its run, and when it was received.
type Waiting = (Uuid, DateTime<Utc>);

/// The reports that wait now.
pub async fn waiting(pool: &PgPool) -> Result<Vec<Waiting>, ViewError> {
    Ok(
        sqlx::query_as("select run_id, received_at from run_reports where views is null")
            .fetch_all(pool)
            .await?,
    )
}

/// To be called after a refresh that began after these reports were waiting.
pub async fn settle(pool: &PgPool, reports: Vec<Waiting>) -> Result<(), ViewError> {
    if reports.is_empty() {
        return Ok(());
    }
    let now = views::refresh_status(pool).await?;
    settle_with(pool, reports, now).await
}

/// Settles the reports that wait, where no view is stale.
pub async fn settle_if_fresh(pool: &PgPool) -> Result<(), ViewError> {
    let reports = waiting(pool).await?;
    if reports.is_empty() {
        return Ok(());
    }
    let now = views::refresh_status(pool).await?;
    if now.iter().any(|view| view.is_stale) {
        return Ok(());
    }
    settle_with(pool, reports, now).await
}

async fn settle_with(
    pool: &PgPool,
    reports: Vec<Waiting>,
    now: Vec<ViewStatus>,
) -> Result<(), ViewError> {
    let after: Vec<ViewAfterRun> = now.into_iter().map(up_to_date).collect();
    let (runs, received): (Vec<Uuid>, Vec<DateTime<Utc>>) = reports.into_iter().unzip();
    // A run that was reported again since waits again.
    sqlx::query(
        "update run_reports r set views = $3 from unnest($1::uuid[], $2::timestamptz[]) w (run_id, received_at) \
         where r.run_id = w.run_id and r.received_at = w.received_at and r.views is null",
    )
    .bind(runs)
    .bind(received)
    .bind(Json(after))
    .execute(pool)
    .await?;
    Ok(())
}

fn up_to_date(view: ViewStatus) -> ViewAfterRun {
    ViewAfterRun {
        view: view.view,
        state: ViewState::UpToDate,
        refreshed_at: view.refreshed_at,
        duration_ms: view.duration_ms,
        rows_total: view.rows_total,
        rows_changed: view.rows_changed,
        systems_total: None,
        systems_done: None,
        error: None,
    }
}

/// A view of a run that waits.
pub fn not_yet(view: &ViewStatus) -> ViewAfterRun {
    ViewAfterRun {
        view: view.view.clone(),
        state: if view.is_running {
            ViewState::Running
        } else {
            ViewState::Waiting
        },
        refreshed_at: None,
        duration_ms: None,
        rows_total: None,
        rows_changed: None,
        systems_total: view.systems_total.filter(|_| view.is_running),
        systems_done: view.systems_done.filter(|_| view.is_running),
        error: view.error.clone(),
    }
}
