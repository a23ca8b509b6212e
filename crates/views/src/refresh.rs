//! Bringing kept results up to date, and saying how up to date they are.

use std::time::Instant;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, PgPool, Row};

use crate::{
    ViewError,
    catalog::{EFFECTIVE_ACCESS, KeptView},
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
    /// Why the latest attempt failed, if it did; earlier results stay readable.
    pub error: Option<String>,
}

/// Brings every kept view up to date, unless nothing changed or another refresh is under way.
///
/// Readers never wait: the new rows are computed aside and only the difference is written, in one transaction.
/// Only the systems whose tables changed are computed.
pub async fn refresh(pool: &PgPool) -> Result<RefreshOutcome, ViewError> {
    let started = Instant::now();
    match try_refresh(pool, started).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => {
            tracing::error!(view = EFFECTIVE_ACCESS.name, %error, "the refresh failed");
            if let Err(unrecorded) = record_failure(pool, EFFECTIVE_ACCESS, &error).await {
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
    let due = find_due_systems(&mut transaction, EFFECTIVE_ACCESS).await?;
    if due.is_up_to_date() {
        // Here and not when dropped, which gives the lock back some time later.
        transaction.rollback().await?;
        return Ok(RefreshOutcome {
            refreshed: Vec::new(),
            skipped_because: Some(SkipReason::UpToDate),
        });
    }
    let rows_changed = bring_up_to_date(&mut transaction, &due.system_ids).await?;
    let done = record_success(
        &mut transaction,
        EFFECTIVE_ACCESS,
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
    let row = sqlx::query(
        "with last as (
             select v.seen from view_refreshes v where v.view_name = $1 and v.seen is not null
         ),
         due as (
             select c.system_id
             from changes c
             join last l on c.change_xid >= pg_snapshot_xmin(l.seen) and not pg_visible_in_snapshot(c.change_xid, l.seen)
             where c.entity = any ($2)
             union
             select s.system_id from systems s where not exists (select from last)
             union
             select e.system_id from effective_access e where not exists (select from last)
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

/// Computes the rows of the given systems and writes what differs. Returns how many rows that were.
async fn bring_up_to_date(conn: &mut PgConnection, system_ids: &[i32]) -> Result<i64, ViewError> {
    sqlx::raw_sql(
        "set local work_mem = '64MB';
         create temporary table new_effective_access (
             system_id integer not null,
             resource_id uuid not null,
             principal_id uuid not null,
             assignment_type text collate \"C\" not null,
             role_scope text collate \"C\" not null,
             via_group_id uuid not null
         ) on commit drop;",
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "insert into new_effective_access
             (system_id, resource_id, principal_id, assignment_type, role_scope, via_group_id)
         select n.system_id, n.resource_id, n.principal_id, n.assignment_type, n.role_scope, n.via_group_id
         from effective_access_now($1) n",
    )
    .bind(system_ids)
    .execute(&mut *conn)
    .await?;
    sqlx::raw_sql("analyze new_effective_access")
        .execute(&mut *conn)
        .await?;
    let removed = sqlx::query(
        "delete from effective_access e
         where e.system_id = any ($1)
           and not exists (
               select from new_effective_access n
               where n.system_id = e.system_id and n.resource_id = e.resource_id
                 and n.principal_id = e.principal_id and n.assignment_type = e.assignment_type
                 and n.role_scope = e.role_scope and n.via_group_id = e.via_group_id
           )",
    )
    .bind(system_ids)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let added = sqlx::query(
        "insert into effective_access
             (system_id, resource_id, principal_id, assignment_type, role_scope, via_group_id)
         select n.system_id, n.resource_id, n.principal_id, n.assignment_type, n.role_scope, n.via_group_id
         from new_effective_access n
         where not exists (
             select from effective_access e
             where e.system_id = n.system_id and e.resource_id = n.resource_id
               and e.principal_id = n.principal_id and e.assignment_type = n.assignment_type
               and e.role_scope = n.role_scope and e.via_group_id = n.via_group_id
         )
         order by n.system_id, n.resource_id, n.principal_id",
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    Ok((removed + added) as i64)
}

async fn record_success(
    conn: &mut PgConnection,
    view: KeptView,
    due: &Due,
    rows_changed: i64,
    started: Instant,
) -> Result<ViewRefresh, ViewError> {
    let rows_total: i64 = sqlx::query_scalar("select count(*) from effective_access")
        .fetch_one(&mut *conn)
        .await?;
    let duration_ms = started.elapsed().as_millis() as i64;
    sqlx::query(
        "insert into view_refreshes
             (view_name, started_at, finished_at, duration_ms, rows_total, rows_changed, seen, error)
         values ($1, now(), clock_timestamp(), $2, $3, $4, $5::text::pg_snapshot, null)
         on conflict (view_name) do update set
             started_at = excluded.started_at,
             finished_at = excluded.finished_at,
             duration_ms = excluded.duration_ms,
             rows_total = excluded.rows_total,
             rows_changed = excluded.rows_changed,
             seen = excluded.seen,
             error = null",
    )
    .bind(view.name)
    .bind(duration_ms)
    .bind(rows_total)
    .bind(rows_changed)
    .bind(&due.seen)
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
                v.error
         from (values ($1::text)) k (view_name)
         left join view_refreshes v on v.view_name = k.view_name",
    )
    .bind(EFFECTIVE_ACCESS.name)
    .bind(EFFECTIVE_ACCESS.reads)
    .bind(REFRESH_LOCK)
    .fetch_one(pool)
    .await?;
    Ok(vec![status])
}
