//! What a session brought: told by its batches, and by the session itself once retention took them.

use contract::{IngestAnswer, session::SessionState};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Session, commit::batch_totals, store};
use crate::error::ApiError;

/// Most gaps between the numbers of a session's batches that are named.
const MOST_MISSING: i64 = 1_000;

/// The batches of a session, and what they did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How many arrived.
    pub batches: u64,
    /// The number behind all of them.
    pub next_seq: u64,
    /// The first numbers below it that did not arrive.
    pub missing: Vec<u64>,
    /// What they did.
    pub totals: IngestAnswer,
}

/// What a session brought so far, or in the end.
pub async fn outcome(
    connection: &mut PgConnection,
    session: &Session,
) -> Result<Outcome, ApiError> {
    // Once retention took them, their numbers are as the commit wanted them: all of them, from 0.
    let (batches, next_seq, missing) = match session.kept_batches {
        Some(batches) => (batches as u64, batches as u64, Vec::new()),
        None => numbers(connection, session.sync_id).await?,
    };
    let totals = if session.state == SessionState::Committed || session.kept_batches.is_some() {
        session.totals.clone()
    } else {
        batch_totals(connection, session).await?
    };
    Ok(Outcome {
        batches,
        next_seq,
        missing,
        totals,
    })
}

/// How many batches arrived, the number behind them, and the first gaps.
async fn numbers(
    connection: &mut PgConnection,
    sync_id: Uuid,
) -> Result<(u64, u64, Vec<u64>), ApiError> {
    let (arrived, greatest): (i64, Option<i64>) =
        sqlx::query_as("select count(*), max(seq) from sync_batches where sync_id = $1")
            .bind(sync_id)
            .fetch_one(&mut *connection)
            .await?;
    let next_seq = greatest.map_or(0, |seq| seq as u64 + 1);
    if arrived as u64 == next_seq {
        return Ok((arrived as u64, next_seq, Vec::new()));
    }
    // Among so many numbers there are the gaps that are named; a caller may use numbers as great as it likes.
    let looked_at = greatest.unwrap_or(0).min(arrived + MOST_MISSING);
    let missing: Vec<i64> = sqlx::query_scalar(
        "select n from generate_series(0, $2) n \
         where not exists (select from sync_batches b where b.sync_id = $1 and b.seq = n) order by n limit $3",
    )
    .bind(sync_id)
    .bind(looked_at)
    .bind(MOST_MISSING)
    .fetch_all(connection)
    .await?;
    let missing = missing.into_iter().map(|seq| seq as u64).collect();
    Ok((arrived as u64, next_seq, missing))
}

/// Writes into a session that has ended what its batches say, so that they can go.
pub async fn keep_outcome(connection: &mut PgConnection, sync_id: Uuid) -> Result<(), ApiError> {
    let Some(session) = store::find(connection, sync_id, None).await? else {
        return Ok(());
    };
    if session.kept_batches.is_some() {
        return Ok(());
    }
    let brought = outcome(connection, &session).await?;
    sqlx::query(
        "update sync_sessions set batches = $2, totals = $3 where sync_id = $1 and state <> 'open'",
    )
    .bind(sync_id)
    .bind(brought.batches as i64)
    .bind(Json(&brought.totals))
    .execute(connection)
    .await?;
    Ok(())
}
