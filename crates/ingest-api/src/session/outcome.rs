//! What a session brought: told by its batches, and by the session itself once retention took them.

use contract::{IngestAnswer, session::SessionState};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    Session,
    commit::{batch_totals, count_batches},
    store,
};
use crate::error::ApiError;

/// How many batches a session had, and what they did.
pub async fn outcome(
    connection: &mut PgConnection,
    session: &Session,
) -> Result<(u64, IngestAnswer), ApiError> {
    let batches = match session.kept_batches {
        Some(batches) => batches as u64,
        None => count_batches(connection, session.sync_id).await?,
    };
    let totals = if session.state == SessionState::Committed || session.kept_batches.is_some() {
        session.totals.clone()
    } else {
        batch_totals(connection, session).await?
    };
    Ok((batches, totals))
}

/// Writes into a session that has ended what its batches say, so that they can go.
pub async fn keep_outcome(connection: &mut PgConnection, sync_id: Uuid) -> Result<(), ApiError> {
    let Some(session) = store::find(connection, sync_id, None).await? else {
        return Ok(());
    };
    if session.kept_batches.is_some() {
        return Ok(());
    }
    let (batches, totals) = outcome(connection, &session).await?;
    sqlx::query(
        "update sync_sessions set batches = $2, totals = $3 where sync_id = $1 and state <> 'open'",
    )
    .bind(sync_id)
    .bind(batches as i64)
    .bind(Json(&totals))
    .execute(connection)
    .await?;
    Ok(())
}
