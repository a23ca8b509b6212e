//! The audit log: who did what to what, in the transaction that did it.
//!
//! Entries come from [`record`] (a call) and [`record_by`] (the command line, the server itself); how keys are used and
//! refused comes from `auth` by day. The database refuses to change or remove an entry; retention alone may, when it is
//! told to. What leaves is `GET /api/audit` and its export, for admins of the workspace.

mod docs;
mod export;
mod find;
mod routes;

use sqlx::PgConnection;

use crate::auth::{Caller, Origin};

pub use routes::routes;

/// Writes an entry about what a caller does.
pub async fn record(
    connection: &mut PgConnection,
    caller: &Caller,
    action: &'static str,
    target: &str,
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    let entry = Entry {
        workspace_id: caller.workspace_id,
        actor: &caller.actor(),
        action,
        target,
        detail,
    };
    write(connection, entry, &caller.origin).await
}

/// What is written where nobody calls.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The workspace whose admins see it.
    pub workspace_id: i32,
    /// Who did it, such as `command line`.
    pub actor: &'a str,
    /// What was done, such as `key.create`.
    pub action: &'static str,
    /// What it was done to.
    pub target: &'a str,
    /// What else there is to know.
    pub detail: serde_json::Value,
}

/// Writes an entry about what was done without a call: at the command line, or by the server itself.
pub async fn record_by(connection: &mut PgConnection, entry: Entry<'_>) -> Result<(), sqlx::Error> {
    write(connection, entry, &Origin::default()).await
}

/// Writes an entry about what came from somewhere, but from nobody with a key or a session.
pub async fn record_from(
    connection: &mut PgConnection,
    entry: Entry<'_>,
    origin: &Origin,
) -> Result<(), sqlx::Error> {
    write(connection, entry, origin).await
}

async fn write(
    connection: &mut PgConnection,
    entry: Entry<'_>,
    origin: &Origin,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit_log (workspace_id, actor, action, target, detail, address, request_id) \
         values ($1, $2, $3, $4, $5, $6::inet, $7)",
    )
    .bind(entry.workspace_id)
    .bind(entry.actor)
    .bind(entry.action)
    .bind(entry.target)
    .bind(entry.detail)
    .bind(origin.address.map(|address| address.to_string()))
    .bind(&origin.request_id)
    .execute(connection)
    .await?;
    Ok(())
}
