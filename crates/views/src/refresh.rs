//! Bringing kept results up to date, and saying how up to date they are.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, PgPool, Row};

use crate::{
    ViewError,
    catalog::{ACCESS_CLOSURE, KeptView},
    closure,
};

/// Identifies the refresh among PostgreSQL's advisory locks; any fixed number would do.
const REFRESH_LOCK: i64 = 0x0063_6164_5f76_6965;

/// What a refresh did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshOutcome {
    /// The views that were brought up to date.
    pub refreshed: Vec<ViewRefresh>,
    /// Why nothing was done, where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_because: Option<SkipReason>,
}

/// Why a refresh did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SkipReason {
    /// Another refresh is under way. What was loaded after it began stays stale until the next one.
    AlreadyRunning,
    /// Nothing that a view depends on changed since the last refresh.
    UpToDate,
}

/// One view's refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewRefresh {
    /// The view.
    pub view: String,
    /// Rows that it has now.
    pub rows_total: i64,
    /// Rows that were added or removed.
    pub rows_changed: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// How up to date a view is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// Did something that it depends on change since it was refreshed? True when it never was.
    pub is_stale: bool,
    /// When the last refresh ended.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Rows after it.
    pub rows_total: Option<i64>,
    /// Rows that it changed.
    pub rows_changed: Option<i64>,
    /// Is a refresh running now?
    pub is_running: bool,
    /// How many systems the latest refresh had to look at.
    pub systems_total: Option<i32>,
    /// How many of them it is done with.
    pub systems_done: Option<i32>,
    /// Why the latest attempt failed, if it did; earlier results stay readable.
    pub error: Option<String>,
}

/// Brings every kept view up to date, unless nothing changed or another refresh is under way.
///
/// Readers never wait: the new rows are computed aside and only the difference is written, in one transaction.
/// Only the systems whose tables changed are looked at, and only those are computed whose groups and packages lead
/// elsewhere than before: where nothing but the memberships of people changed, nothing is.
pub async fn refresh(pool: &PgPool) -> Result<RefreshOutcome, ViewError> {
    let started = Instant::now();
    match try_refresh(pool, started).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => {
            tracing::error!(view = ACCESS_CLOSURE.name, %error, "the refresh failed");
            if let Err(unrecorded) = record_failure(pool, ACCESS_CLOSURE, &error).await {
                tracing::error!(error = %unrecorded, "the failure could not be noted");
            }
            Err(error)
        }
    }
}

async fn try_refresh(pool: &PgPool, started: Instant) -> Result<RefreshOutcome, ViewError> {
    let mut transaction = pool.begin().await?;
    // Read committed: each statement sees all that was committed before it, so that whoever gets the lock also sees
    // what its last holder wrote. The new rows are computed by one statement, hence from one snapshot, and
    // `seen` is taken before it: what is committed in between may be computed already and is stale all the
    // same, never the other way round.
    let is_ours: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
        .bind(REFRESH_LOCK)
        .fetch_one(&mut *transaction)
        .await?;
    if !is_ours {
        transaction.rollback().await?;
        return Ok(RefreshOutcome {
            refreshed: Vec::new(),
            skipped_because: Some(SkipReason::AlreadyRunning),
        });
    }
    let due = find_due_systems(&mut transaction, ACCESS_CLOSURE).await?;
    if due.is_up_to_date() {
        // Here and not when dropped, which gives the lock back some time later.
        transaction.rollback().await?;
        return Ok(RefreshOutcome {
            refreshed: Vec::new(),
            skipped_because: Some(SkipReason::UpToDate),
        });
    }
    let rows_changed = bring_up_to_date(pool, &mut transaction, &due).await?;
    let done = record_success(
        &mut transaction,
        ACCESS_CLOSURE,
        &due,
        rows_changed,
        started,
    )
    .await?;
    transaction.commit().await?;
    tracing::info!(
        view = done.view,
        rows_total = done.rows_total,
        rows_changed = done.rows_changed,
        duration_ms = done.duration_ms,
        systems = due.system_ids.len(),
        "view refreshed"
    );
    Ok(RefreshOutcome {
        refreshed: vec![done],
        skipped_because: None,
    })
}

/// What a refresh has to look at.
#[derive(Debug)]
struct Due {
    /// Text form of the snapshot that becomes `seen`.
    seen: String,
    was_refreshed_before: bool,
    system_ids: Vec<i32>,
}

impl Due {
    fn is_up_to_date(&self) -> bool {
        self.was_refreshed_before && self.system_ids.is_empty()
    }
}

async fn find_due_systems(conn: &mut PgConnection, view: KeptView) -> Result<Due, ViewError> {
    // Transactions that are yet to come cannot have been seen: they are another cluster's, whose dump was restored here.
    sqlx::query(
        "delete from changes c where c.change_xid >= pg_snapshot_xmax(pg_current_snapshot())",
    )
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query(
        "with last as (
             select v.seen from view_refreshes v
             where v.view_name = $1 and v.seen is not null
               and v.cluster_id = (select k.system_identifier from pg_control_system() k)
         ),
         due as (
             select c.system_id
             from changes c
             join last l on c.change_xid >= pg_snapshot_xmin(l.seen) and not pg_visible_in_snapshot(c.change_xid, l.seen)
             where c.entity = any ($2)
             union
             select s.system_id from systems s where not exists (select from last)
             union
             select k.system_id from access_closure_systems k where not exists (select from last)
         )
         select pg_current_snapshot()::text as seen,
                exists (select from last) as was_refreshed_before,
                coalesce((select array_agg(d.system_id order by d.system_id) from due d), '{}') as system_ids",
    )
    .bind(view.name)
    .bind(view.reads)
    .fetch_one(conn)
    .await?;
    Ok(Due {
        seen: row.try_get("seen")?,
        was_refreshed_before: row.try_get("was_refreshed_before")?,
        system_ids: row.try_get("system_ids")?,
    })
}

/// How often progress is written at most.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Brings the due systems up to date, one after the other. Returns how many rows changed.
async fn bring_up_to_date(
    pool: &PgPool,
    conn: &mut PgConnection,
    due: &Due,
) -> Result<i64, ViewError> {
    let mut told = Instant::now();
    tell_progress(pool, ACCESS_CLOSURE, due.system_ids.len(), 0).await;
    let mut rows_changed = 0;
    for (done, system_id) in due.system_ids.iter().enumerate() {
        if told.elapsed() >= PROGRESS_INTERVAL {
            tell_progress(pool, ACCESS_CLOSURE, due.system_ids.len(), done).await;
            told = Instant::now();
        }
        rows_changed +=
            closure::bring_up_to_date(conn, *system_id, !due.was_refreshed_before).await?;
    }
    Ok(rows_changed as i64)
}

/// Notes how far the refresh is, on a connection of its own: what the refresh writes shows only at its end. Where none is
/// free in time the note is left out.
async fn tell_progress(pool: &PgPool, view: KeptView, total: usize, done: usize) {
    let told = sqlx::query(
        "insert into view_refreshes (view_name, started_at, systems_total, systems_done) values ($1, now(), $2, $3)
         on conflict (view_name) do update set
             systems_total = excluded.systems_total,
             systems_done = excluded.systems_done",
    )
    .bind(view.name)
    .bind(total as i32)
    .bind(done as i32)
    .execute(pool)
    .await;
    if let Err(error) = told {
        tracing::warn!(%error, "the refresh's progress could not be noted");
    }
}

async fn record_success(
    conn: &mut PgConnection,
    view: KeptView,
    due: &Due,
    rows_changed: i64,
    started: Instant,
) -> Result<ViewRefresh, ViewError> {
    let rows_total: i64 = sqlx::query_scalar(
        "select coalesce(sum(k.pairs) filter (where k.is_kept), 0)::bigint from access_closure_systems k",
    )
    .fetch_one(&mut *conn)
    .await?;
    let duration_ms = started.elapsed().as_millis() as i64;
    sqlx::query(
        "insert into view_refreshes
             (view_name, started_at, finished_at, duration_ms, rows_total, rows_changed, seen, cluster_id,
              systems_total, systems_done, error)
         values ($1, now(), clock_timestamp(), $2, $3, $4, $5::text::pg_snapshot,
                 (select k.system_identifier from pg_control_system() k), $6, $6, null)
         on conflict (view_name) do update set
             started_at = excluded.started_at,
             finished_at = excluded.finished_at,
             duration_ms = excluded.duration_ms,
             rows_total = excluded.rows_total,
             rows_changed = excluded.rows_changed,
             seen = excluded.seen,
             cluster_id = excluded.cluster_id,
             systems_total = excluded.systems_total,
             systems_done = excluded.systems_done,
             error = null",
    )
    .bind(view.name)
    .bind(duration_ms)
    .bind(rows_total)
    .bind(rows_changed)
    .bind(&due.seen)
    .bind(due.system_ids.len() as i32)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "delete from changes c where c.change_xid < (select min(pg_snapshot_xmin(v.seen)) from view_refreshes v)",
    )
    .execute(conn)
    .await?;
    Ok(ViewRefresh {
        view: view.name.to_owned(),
        rows_total,
        rows_changed,
        duration_ms,
    })
}

/// Notes the failure beside the last good refresh, whose result stays readable. The log has the details.
async fn record_failure(pool: &PgPool, view: KeptView, error: &ViewError) -> Result<(), ViewError> {
    sqlx::query(
        "insert into view_refreshes (view_name, started_at, error) values ($1, now(), $2)
         on conflict (view_name) do update set error = excluded.error",
    )
    .bind(view.name)
    .bind(error.summary())
    .execute(pool)
    .await?;
    Ok(())
}

/// How up to date each kept view is.
pub async fn refresh_status(pool: &PgPool) -> Result<Vec<ViewStatus>, ViewError> {
    let status = sqlx::query_as(
        "select k.view_name as view,
                v.seen is null
                    or v.cluster_id is distinct from (select k.system_identifier from pg_control_system() k)
                    or exists (
                        select from changes c
                        where c.entity = any ($2) and c.change_xid >= pg_snapshot_xmin(v.seen)
                          and not pg_visible_in_snapshot(c.change_xid, v.seen)
                    ) as is_stale,
                v.finished_at as refreshed_at,
                v.duration_ms,
                v.rows_total,
                v.rows_changed,
                exists (
                    select from pg_locks l
                    where l.locktype = 'advisory'
                      and l.database = (select d.oid from pg_database d where d.datname = current_database())
                      and l.objsubid = 1
                      and (l.classid::bigint << 32 | l.objid::bigint) = $3
                      and l.granted
                ) as is_running,
                v.systems_total,
                v.systems_done,
                v.error
         from (values ($1::text)) k (view_name)
         left join view_refreshes v on v.view_name = k.view_name",
    )
    .bind(ACCESS_CLOSURE.name)
    .bind(ACCESS_CLOSURE.reads)
    .bind(REFRESH_LOCK)
    .fetch_one(pool)
    .await?;
    Ok(vec![status])
}
