//! Abandoned sessions come to their end by themselves.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::session::SessionState;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store::{give_up, try_hold_alone};

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_secs(60);
/// Sessions that are read at once, and most that one look takes on.
const PAGE: i64 = 100;
const MOST: usize = 1000;

/// Expires sessions that no batch came to for a day, until told to stop.
pub async fn expire_abandoned(pool: PgPool, stop: CancellationToken) {
    // Where the last look ended: sessions that cannot be expired do not keep the others waiting.
    let mut after = None;
    loop {
        match expire_some(&pool, after, &stop).await {
            Ok(next) => after = next,
            Err(error) => {
                tracing::warn!(%error, "abandoned sessions could not be looked for; trying again later");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

type Place = (DateTime<Utc>, Uuid);

/// Expires a bounded number of sessions; answers where to go on, `None` for the beginning.
async fn expire_some(
    pool: &PgPool,
    mut after: Option<Place>,
    stop: &CancellationToken,
) -> Result<Option<Place>, sqlx::Error> {
    let mut seen = 0;
    while seen < MOST {
        let overdue: Vec<Place> = sqlx::query_as(
            "select expires_at, sync_id from sync_sessions where state = 'open' and expires_at <= now() \
             and ($1::timestamptz is null or (expires_at, sync_id) > ($1, $2)) order by expires_at, sync_id limit $3",
        )
        .bind(after.map(|place| place.0))
        .bind(after.map(|place| place.1))
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        if overdue.is_empty() {
            return Ok(None);
        }
        seen += overdue.len();
        for place in overdue {
            if stop.is_cancelled() {
                return Ok(after);
            }
            if let Err(error) = expire_one(pool, place.1).await {
                tracing::warn!(sync_id = %place.1, %error, "an abandoned session could not be expired; trying again later");
            }
            after = Some(place);
        }
    }
    Ok(after)
}

async fn expire_one(pool: &PgPool, sync_id: Uuid) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Somebody who holds it is about to end it, or to move its expiry.
    if !try_hold_alone(&mut transaction, sync_id).await? {
        return Ok(());
    }
    let is_overdue: Option<bool> = sqlx::query_scalar(
        "select state = 'open' and expires_at <= now() from sync_sessions where sync_id = $1",
    )
    .bind(sync_id)
    .fetch_optional(&mut *transaction)
    .await?;
    if is_overdue == Some(true) {
        give_up(&mut transaction, sync_id, SessionState::Expired).await?;
        tracing::info!(%sync_id, "an abandoned session expired; nothing was removed");
    }
    transaction.commit().await
}
