//! Schedules in the database.

use chrono::{DateTime, Utc};
use contract::{CrawlMode, Overlap, Schedule, SlotOutcome, WriteSchedule};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::Timing;
use crate::{auth::Caller, error::ApiError};

/// Firings that are shown.
const SHOWN: usize = 5;

const COLUMNS: &str = "s.schedule_id, s.crawler_id, c.name as crawler, s.cron, s.time_zone, s.mode, s.overlap, s.catch_up, s.enabled, \
     s.next_at, s.last_slot, s.last_outcome, s.last_job_id, s.created_at, s.created_by, s.updated_at, s.updated_by, now() as now";

/// Schedules that the caller may see: `$1` is the workspace, `$2` the systems that the key is limited to.
const OURS: &str = "s.workspace_id = $1 and ($2::integer[] is null or c.system_id = any ($2)) and c.deleted_at is null";

/// A word of the database as its type.
pub fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, sqlx::Error> {
    all.iter()
        .copied()
        .find(|one| name(*one) == text)
        .ok_or_else(|| sqlx::Error::Decode(format!("the database holds '{text}'").into()))
}

fn read(row: &PgRow) -> Result<Schedule, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let (cron, time_zone) = (text("cron")?, text("time_zone")?);
    let next_at: Option<DateTime<Utc>> = row.try_get("next_at")?;
    let outcome: Option<String> = row.try_get("last_outcome")?;
    let next_firings = match (next_at, Timing::read(&cron, &time_zone)) {
        (Some(first), Ok(timing)) => {
            let mut firings = vec![first];
            firings.extend(timing.next_slots(first.max(row.try_get("now")?), SHOWN - 1));
            firings
        }
        _ => Vec::new(),
    };
    Ok(Schedule {
        schedule_id: row.try_get("schedule_id")?,
        crawler_id: row.try_get("crawler_id")?,
        crawler: text("crawler")?,
        cron,
        time_zone,
        mode: word(&CrawlMode::ALL, CrawlMode::wire_name, &text("mode")?)?,
        overlap: word(&Overlap::ALL, Overlap::wire_name, &text("overlap")?)?,
        catch_up: row.try_get("catch_up")?,
        enabled: row.try_get("enabled")?,
        next_firings,
        last_slot: row.try_get("last_slot")?,
        last_outcome: outcome
            .map(|outcome| word(&SlotOutcome::ALL, SlotOutcome::wire_name, &outcome))
            .transpose()?,
        last_job_id: row.try_get("last_job_id")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: row.try_get("updated_at")?,
        updated_by: row.try_get("updated_by")?,
    })
}

/// The schedules that the caller may see, oldest first.
pub async fn list(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Option<Uuid>,
) -> Result<Vec<Schedule>, ApiError> {
    let sql = format!(
        "select {COLUMNS} from schedules s join crawlers c using (crawler_id) where {OURS} \
         and ($3::uuid is null or s.crawler_id = $3) order by s.schedule_id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(crawler_id)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// One schedule; one that the caller may not see is not there. With `hold`, nobody else changes it until the transaction
/// ends.
pub async fn one(
    connection: &mut PgConnection,
    caller: &Caller,
    schedule_id: Uuid,
    hold: bool,
) -> Result<Schedule, ApiError> {
    let lock = if hold { "for update of s" } else { "" };
    let sql = format!(
        "select {COLUMNS} from schedules s join crawlers c using (crawler_id) where {OURS} and s.schedule_id = $3 {lock}"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(schedule_id)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| ApiError::NotFound("there is no such schedule".into()))?;
    Ok(read(&row)?)
}

/// How many schedules a crawler has.
pub async fn count(connection: &mut PgConnection, crawler_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from schedules where crawler_id = $1")
        .bind(crawler_id)
        .fetch_one(connection)
        .await
}

/// Makes a schedule.
pub async fn insert(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &WriteSchedule,
    next_at: Option<DateTime<Utc>>,
) -> Result<Uuid, sqlx::Error> {
    let schedule_id = Uuid::now_v7();
    sqlx::query(
        "insert into schedules (schedule_id, workspace_id, crawler_id, cron, time_zone, mode, overlap, catch_up, enabled, next_at, \
         created_by, updated_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
    )
    .bind(schedule_id)
    .bind(caller.workspace_id)
    .bind(wanted.crawler_id)
    .bind(&wanted.cron)
    .bind(&wanted.time_zone)
    .bind(wanted.mode.wire_name())
    .bind(wanted.overlap.wire_name())
    .bind(wanted.catch_up)
    .bind(wanted.enabled)
    .bind(next_at)
    .bind(caller.actor())
    .execute(connection)
    .await?;
    Ok(schedule_id)
}

/// Changes a schedule; its crawler stays.
pub async fn update(
    connection: &mut PgConnection,
    caller: &Caller,
    schedule_id: Uuid,
    wanted: &WriteSchedule,
    next_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update schedules set cron = $2, time_zone = $3, mode = $4, overlap = $5, catch_up = $6, enabled = $7, next_at = $8, \
         updated_at = now(), updated_by = $9 where schedule_id = $1",
    )
    .bind(schedule_id)
    .bind(&wanted.cron)
    .bind(&wanted.time_zone)
    .bind(wanted.mode.wire_name())
    .bind(wanted.overlap.wire_name())
    .bind(wanted.catch_up)
    .bind(wanted.enabled)
    .bind(next_at)
    .bind(caller.actor())
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a schedule; its jobs stay.
pub async fn delete(connection: &mut PgConnection, schedule_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from schedules where schedule_id = $1")
        .bind(schedule_id)
        .execute(connection)
        .await?;
    Ok(())
}
