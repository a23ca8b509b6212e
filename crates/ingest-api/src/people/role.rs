//! What a person may do: asked of the register at each call, so that whoever leaves a group has lost its role at once.
//!
//! From the account to its principal, from there to the groups that it is a member of, through as many nested groups as
//! there are, to the role mappings of the workspace; the highest role counts. What ended, begins later, was removed or is
//! switched off gives nothing, and neither does owning a group or being eligible for it.

use contract::Role;
use sqlx::PgExecutor;
use uuid::Uuid;

const MAPPED: &str = include_str!("role.sql");

/// The person's role now; `None` for nothing.
pub async fn of(
    connection: impl PgExecutor<'_>,
    account_id: Uuid,
) -> Result<Option<Role>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(MAPPED)
        .bind(account_id)
        .fetch_all(connection)
        .await?;
    // A word that this version does not know gives nothing.
    Ok(Role::ALL
        .into_iter()
        .filter(|role| names.iter().any(|name| name == role.wire_name()))
        .max())
}
