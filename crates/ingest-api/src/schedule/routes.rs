//! Schedules over HTTP.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use contract::{Permission, Schedule, Schedules, WriteSchedule};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Timing, TimingError, docs, store};
use crate::{
    app::AppState,
    audit,
    auth::Caller,
    body::SmallBody,
    durable::durable,
    error::ApiError,
    job::{LOOK, require_crawler},
    openapi::Routes,
    params::{InPath, InQuery},
};

/// Most schedules of a crawler.
const MOST: i64 = 20;
const MAX_CRON_CHARS: usize = 200;

/// The routes about schedules.
pub fn routes() -> Routes {
    let one = "/api/schedules/{scheduleId}";
    Routes::new()
        .get("/api/schedules", list, docs::list())
        .post("/api/schedules", create, docs::create())
        .get(one, show, docs::show())
        .put(one, change, docs::change())
        .delete(one, remove, docs::remove())
}

/// Which schedules.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchedulesQuery {
    /// Only those of a crawler.
    crawler_id: Option<Uuid>,
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<SchedulesQuery>,
) -> Result<Json<Schedules>, ApiError> {
    caller.require_one_of(LOOK)?;
    let crawler_id = query.read()?.crawler_id;
    let mut connection = state.pool.acquire().await?;
    let items = store::list(&mut connection, &caller, crawler_id).await?;
    Ok(Json(Schedules { items }))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    InPath(schedule_id): InPath<Uuid>,
) -> Result<Json<Schedule>, ApiError> {
    caller.require_one_of(LOOK)?;
    let mut connection = state.pool.acquire().await?;
    let found = store::one(&mut connection, &caller, schedule_id, false).await?;
    Ok(Json(found))
}

/// The expression, if it can be used.
fn timing(wanted: &WriteSchedule) -> Result<Timing, ApiError> {
    if wanted.cron.chars().count() > MAX_CRON_CHARS {
        return Err(ApiError::bad_field(
            "cron",
            format!("the expression has at most {MAX_CRON_CHARS} characters"),
        ));
    }
    Timing::read(&wanted.cron, &wanted.time_zone).map_err(|error| refusal(&error))
}

fn refusal(error: &TimingError) -> ApiError {
    let field = match error {
        TimingError::Zone => "timeZone",
        TimingError::Cron(_) | TimingError::Never => "cron",
    };
    ApiError::bad_field(field, error.to_string())
}

/// The next slot by the database's clock; none while the schedule is switched off.
async fn next_slot(
    connection: &mut PgConnection,
    timing: &Timing,
    enabled: bool,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    let now: DateTime<Utc> = sqlx::query_scalar("select now()")
        .fetch_one(connection)
        .await?;
    let next = timing
        .next_after(now)
        .ok_or_else(|| refusal(&TimingError::Never))?;
    Ok(enabled.then_some(next))
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Json<Schedule>), ApiError> {
    caller.require(Permission::Admin)?;
    let wanted: WriteSchedule = body.json()?;
    let timing = timing(&wanted)?;
    let made = durable(async move {
        let mut transaction = state.pool.begin().await?;
        require_crawler(&mut transaction, &caller, wanted.crawler_id).await?;
        if store::count(&mut transaction, wanted.crawler_id).await? >= MOST {
            return Err(ApiError::Conflict {
                detail: format!("a crawler has at most {MOST} schedules"),
                sync_id: None,
            });
        }
        let next_at = next_slot(&mut transaction, &timing, wanted.enabled).await?;
        let id = store::insert(&mut transaction, &caller, &wanted, next_at).await?;
        record(&mut transaction, &caller, "schedule.create", id, &wanted).await?;
        let made = store::one(&mut transaction, &caller, id, false).await?;
        transaction.commit().await?;
        Ok(made)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn change(
    State(state): State<AppState>,
    caller: Caller,
    InPath(schedule_id): InPath<Uuid>,
    body: SmallBody,
) -> Result<Json<Schedule>, ApiError> {
    caller.require(Permission::Admin)?;
    let wanted: WriteSchedule = body.json()?;
    let timing = timing(&wanted)?;
    let changed = durable(async move {
        let mut transaction = state.pool.begin().await?;
        let before = store::one(&mut transaction, &caller, schedule_id, true).await?;
        if before.crawler_id != wanted.crawler_id {
            return Err(ApiError::bad_field(
                "crawlerId",
                "a schedule keeps its crawler; make another schedule",
            ));
        }
        let is_same_time = before.enabled == wanted.enabled
            && before.cron == wanted.cron
            && before.time_zone == wanted.time_zone;
        // A slot that has come and was not looked at yet is not lost by a change of something else.
        let next_at = match before.next_firings.first() {
            Some(next) if is_same_time => Some(*next),
            _ => next_slot(&mut transaction, &timing, wanted.enabled).await?,
        };
        store::update(&mut transaction, &caller, schedule_id, &wanted, next_at).await?;
        record(
            &mut transaction,
            &caller,
            "schedule.change",
            schedule_id,
            &wanted,
        )
        .await?;
        let changed = store::one(&mut transaction, &caller, schedule_id, false).await?;
        transaction.commit().await?;
        Ok(changed)
    })
    .await?;
    Ok(Json(changed))
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    InPath(schedule_id): InPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::Admin)?;
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let before = store::one(&mut transaction, &caller, schedule_id, true).await?;
        store::delete(&mut transaction, schedule_id).await?;
        let detail = json!({"crawlerId": before.crawler_id, "cron": before.cron});
        let target = schedule_id.to_string();
        audit::record(
            &mut transaction,
            &caller,
            "schedule.delete",
            &target,
            detail,
        )
        .await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

async fn record(
    connection: &mut PgConnection,
    caller: &Caller,
    action: &'static str,
    schedule_id: Uuid,
    wanted: &WriteSchedule,
) -> Result<(), ApiError> {
    let detail = serde_json::to_value(wanted).map_err(ApiError::internal)?;
    audit::record(connection, caller, action, &schedule_id.to_string(), detail).await?;
    Ok(())
}
