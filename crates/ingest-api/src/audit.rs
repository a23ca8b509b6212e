//! The audit log: who did what to what, in the transaction that did it.

use sqlx::PgConnection;

use crate::auth::Caller;

/// Writes an entry.
pub async fn record(
    connection: &mut PgConnection,
    caller: &Caller,
    action: &'static str,
    target: &str,
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into audit_log (workspace_id, actor, action, target, detail) values ($1, $2, $3, $4, $5)")
        .bind(caller.workspace_id)
        .bind(caller.actor())
        .bind(action)
        .bind(target)
        .bind(detail)
        .execute(connection)
        .await?;
    Ok(())
}
