//! Slots that have come.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{CrawlMode, JobKind, Overlap, SlotOutcome};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Timing, store::word};
use crate::job::{self, NewJob};

/// A slot that came longer ago passed while no server ran.
const MISSED_AFTER: TimeDelta = TimeDelta::minutes(5);
/// Most slots that one look takes on.
const MOST: usize = 500;

/// Fires the slots that have come; answers how many jobs that brought. The database's clock tells the time, unless a test
/// does.
pub async fn fire_due(
    pool: &PgPool,
    now: Option<DateTime<Utc>>,
    max_attempts: i32,
) -> Result<usize, sqlx::Error> {
    let mut jobs = 0;
    for _ in 0..MOST {
        match fire_one(pool, now, max_attempts).await? {
            None => break,
            Some(SlotOutcome::Queued) => jobs += 1,
            Some(_) => {}
        }
    }
    Ok(jobs)
}

/// A schedule whose slot has come.
struct Due {
    schedule_id: Uuid,
    workspace_id: i32,
    crawler_id: Uuid,
    mode: CrawlMode,
    overlap: Overlap,
    catch_up: bool,
    is_crawler_on: bool,
    next_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

fn read(row: &PgRow) -> Result<Due, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(Due {
        schedule_id: row.try_get("schedule_id")?,
        workspace_id: row.try_get("workspace_id")?,
        crawler_id: row.try_get("crawler_id")?,
        mode: word(&CrawlMode::ALL, CrawlMode::wire_name, &text("mode")?)?,
        overlap: word(&Overlap::ALL, Overlap::wire_name, &text("overlap")?)?,
        catch_up: row.try_get("catch_up")?,
        is_crawler_on: row.try_get("is_crawler_on")?,
        next_at: row.try_get("next_at")?,
        now: row.try_get("now")?,
    })
}

/// One schedule whose slot has come, in one transaction. Schedules that another server holds are its own affair.
async fn fire_one(
    pool: &PgPool,
    now: Option<DateTime<Utc>>,
    max_attempts: i32,
) -> Result<Option<SlotOutcome>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let row = sqlx::query(
        "select s.schedule_id, s.workspace_id, s.crawler_id, s.cron, s.time_zone, s.mode, s.overlap, s.catch_up, s.next_at, \
         c.enabled and c.deleted_at is null as is_crawler_on, coalesce($1, now()) as now \
         from schedules s join crawlers c using (crawler_id) where s.next_at <= coalesce($1, now()) \
         order by s.next_at, s.schedule_id limit 1 for update of s skip locked",
    )
    .bind(now)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let due = read(&row)?;
    let (cron, zone): (String, String) = (row.try_get("cron")?, row.try_get("time_zone")?);
    let (slot, next_at) = match Timing::read(&cron, &zone) {
        Ok(timing) => (
            // All that passed meanwhile are one.
            timing
                .latest_until(due.now)
                .map_or(due.next_at, |slot| slot.max(due.next_at)),
            timing.next_after(due.now),
        ),
        Err(error) => {
            // It could be read when it was written; a person has to look.
            tracing::error!(schedule_id = %due.schedule_id, %error, "a schedule cannot be read any more and stands still");
            (due.next_at, None)
        }
    };
    let (outcome, job_id) = fire(&mut transaction, &due, slot, max_attempts).await?;
    sqlx::query(
        "update schedules set next_at = $2, last_slot = $3, last_outcome = $4, last_job_id = coalesce($5, last_job_id) \
         where schedule_id = $1",
    )
    .bind(due.schedule_id)
    .bind(next_at)
    .bind(slot)
    .bind(outcome.wire_name())
    .bind(job_id)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    tracing::info!(schedule_id = %due.schedule_id, %slot, outcome = outcome.wire_name(), "a slot has come");
    Ok(Some(outcome))
}

async fn fire(
    connection: &mut PgConnection,
    due: &Due,
    slot: DateTime<Utc>,
    max_attempts: i32,
) -> Result<(SlotOutcome, Option<Uuid>), sqlx::Error> {
    if !due.is_crawler_on {
        return Ok((SlotOutcome::Disabled, None));
    }
    if !due.catch_up && due.now - slot > MISSED_AFTER {
        return Ok((SlotOutcome::Missed, None));
    }
    if overlaps(connection, due).await? {
        return Ok((SlotOutcome::Overlapped, None));
    }
    let new = NewJob {
        workspace_id: due.workspace_id,
        crawler_id: due.crawler_id,
        kind: JobKind::Crawl,
        mode: due.mode,
        priority: 0,
        not_before: None,
        max_attempts,
        slot: Some((due.schedule_id, slot)),
        created_by: "schedule",
    };
    let job_id = job::insert(connection, &new).await?;
    Ok((SlotOutcome::Queued, job_id))
}

/// Does a job of the schedule stand in the way?
async fn overlaps(connection: &mut PgConnection, due: &Due) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from jobs where schedule_id = $1 and (state = 'queued' or $2 and state in ('leased', 'running')))",
    )
    .bind(due.schedule_id)
    .bind(due.overlap == Overlap::Skip)
    .fetch_one(connection)
    .await
}
