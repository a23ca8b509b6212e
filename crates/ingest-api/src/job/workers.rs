//! The workers that ask for jobs.

use contract::{ClaimJob, WorkerInfo};
use sqlx::{PgPool, Row as _};

use crate::{auth::Caller, error::ApiError};

/// Most workers that are shown.
const MOST: i64 = 1_000;

/// Notes that a worker is there.
pub async fn introduce(
    pool: &PgPool,
    caller: &Caller,
    wanted: &ClaimJob,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into workers (workspace_id, name, version, key_id) values ($1, $2, $3, $4) \
         on conflict (workspace_id, name) do update set last_seen_at = now(), version = excluded.version, key_id = excluded.key_id",
    )
    .bind(caller.workspace_id)
    .bind(&wanted.worker)
    .bind(&wanted.version)
    .bind(caller.key_id())
    .execute(pool)
    .await?;
    Ok(())
}

/// The workers of the last seven days, with those of their jobs that the caller may see. One that is at work asks for no
/// jobs, but is heard of.
pub async fn list(pool: &PgPool, caller: &Caller) -> Result<Vec<WorkerInfo>, ApiError> {
    let rows = sqlx::query(
        "select w.name, w.version, w.key_id, w.first_seen_at, greatest(w.last_seen_at, a.heard_at) as last_seen_at, a.jobs \
         from workers w cross join lateral (select max(j.heartbeat_at) as heard_at, \
         coalesce(array_agg(j.job_id order by j.job_id) filter (where $2::integer[] is null or c.system_id = any ($2)), '{}') as jobs \
         from jobs j join crawlers c using (crawler_id) \
         where j.worker = w.name and j.workspace_id = w.workspace_id and j.state in ('leased', 'running')) a \
         where w.workspace_id = $1 order by 5 desc, w.name limit $3",
    )
    .bind(caller.workspace_id)
    .bind(&caller.system_ids)
    .bind(MOST)
    .fetch_all(pool)
    .await?;
    let workers = rows.iter().map(|row| {
        Ok(WorkerInfo {
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            key_id: row.try_get("key_id")?,
            first_seen_at: row.try_get("first_seen_at")?,
            last_seen_at: row.try_get("last_seen_at")?,
            jobs: row.try_get("jobs")?,
        })
    });
    Ok(workers.collect::<Result<_, sqlx::Error>>()?)
}
