//! How often keys were used and refused: counted in memory, written once a minute, and told in the audit log by day.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::gatekeeper::Gatekeeper;

/// Writes what was counted until told to stop, and turns days that are over into entries of the audit log.
pub async fn keep(gatekeeper: Gatekeeper, pool: PgPool, every: Duration, stop: CancellationToken) {
    while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
        write(&gatekeeper, &pool).await;
        if let Err(error) = sum_up(&pool).await {
            tracing::warn!(%error, "the use of keys could not be summed up; trying again later");
        }
    }
}

/// Writes what was counted since the last time; what cannot be written is kept for the next.
pub async fn write(gatekeeper: &Gatekeeper, pool: &PgPool) {
    let uses = gatekeeper.take_uses();
    if uses.is_empty() {
        return;
    }
    let mut counted: Vec<_> = uses.iter().collect();
    // In one order everywhere, so that servers do not wait for each other in a circle.
    counted.sort_by(|(one, _), (other, _)| {
        (&one.key_id, one.outcome.name(), &one.address).cmp(&(
            &other.key_id,
            other.outcome.name(),
            &other.address,
        ))
    });
    let column = |of: fn(&super::gatekeeper::Use) -> String| -> Vec<String> {
        counted.iter().map(|(noted, _)| of(noted)).collect()
    };
    let written = sqlx::query(
        "insert into key_use as k (day, key_id, outcome, address, calls, first_at, last_at) \
         select (u.last_at at time zone 'UTC')::date, u.key_id, u.outcome, u.address, u.calls, u.first_at, u.last_at \
         from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[]) \
         with ordinality u (key_id, outcome, address, calls, first_at, last_at, place) order by u.place \
         on conflict (day, key_id, outcome, address) do update set calls = k.calls + excluded.calls, \
         first_at = least(k.first_at, excluded.first_at), last_at = greatest(k.last_at, excluded.last_at)",
    )
    .bind(column(|noted| noted.key_id.clone()))
    .bind(column(|noted| noted.outcome.name().to_owned()))
    .bind(column(|noted| noted.address.clone()))
    .bind(counted.iter().map(|(_, count)| count.calls).collect::<Vec<_>>())
    .bind(counted.iter().map(|(_, count)| count.first).collect::<Vec<_>>())
    .bind(counted.iter().map(|(_, count)| count.last).collect::<Vec<_>>())
    .execute(pool)
    .await;
    if let Err(error) = written {
        tracing::warn!(%error, "the use of keys could not be written; trying again later");
        gatekeeper.give_back(uses);
    }
}

/// Tells the days that are over in the audit log: an entry for each key and outcome, with the addresses that called most.
/// What could not be told to any key is told to the workspace that was there first, which runs the server. Counts that come
/// late make another entry; no call is told twice, for the rows go as they are told.
async fn sum_up(pool: &PgPool) -> Result<(), sqlx::Error> {
    let told = sqlx::query(
        "with due as (delete from key_use where day < ((now() - interval '15 minutes') at time zone 'UTC')::date \
         returning day, key_id, outcome, address, calls, first_at, last_at), \
         ranked as (select *, row_number() over (partition by day, key_id, outcome order by calls desc, address) as place from due), \
         summed as (select day, key_id, outcome, sum(calls)::bigint as calls, count(*) as places, \
         jsonb_object_agg(case address when '' then 'elsewhere' else address end, calls) filter (where place <= 20) as most, \
         min(first_at) as first_at, max(last_at) as last_at from ranked group by day, key_id, outcome) \
         insert into audit_log (workspace_id, actor, action, target, detail) \
         select coalesce(k.workspace_id, (select min(workspace_id) from workspaces)), \
         case when s.outcome = 'wrong' or k.key_id is null then 'nobody' else format('key:%s (%s)', k.key_id, k.name) end, \
         case s.outcome when 'used' then 'key.used' else 'key.refused' end, \
         case s.key_id when '' then 'unknown' else s.key_id end, \
         jsonb_build_object('day', s.day, 'outcome', s.outcome, 'calls', s.calls, 'addresses', s.places, 'most', s.most, \
         'firstAt', s.first_at, 'lastAt', s.last_at) \
         from summed s left join api_keys k on k.key_id = s.key_id order by s.day, s.key_id, s.outcome",
    )
    .execute(pool)
    .await?;
    if told.rows_affected() > 0 {
        tracing::info!(
            entries = told.rows_affected(),
            "the use of keys is in the audit log"
        );
    }
    Ok(())
}
