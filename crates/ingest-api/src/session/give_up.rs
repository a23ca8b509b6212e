//! Loads of a run that nobody goes on with.

use contract::session::SessionState;
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::{give_up, hold_alone};

/// Ends the open sessions of a run without removing anything. A batch that is just coming to one is waited for: a session
/// that is left open stands in the way of the next run until it expires.
pub async fn give_up_run(
    connection: &mut PgConnection,
    workspace_id: i32,
    run_id: Uuid,
) -> Result<(), sqlx::Error> {
    let open: Vec<Uuid> = sqlx::query_scalar(
        "select sync_id from sync_sessions where run_id = $1 and workspace_id = $2 and state = 'open' order by sync_id",
    )
    .bind(run_id)
    .bind(workspace_id)
    .fetch_all(&mut *connection)
    .await?;
    for sync_id in open {
        hold_alone(connection, sync_id).await?;
        give_up(connection, sync_id, SessionState::Aborted).await?;
    }
    Ok(())
}
