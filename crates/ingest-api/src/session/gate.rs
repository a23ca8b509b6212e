//! The gate of a system's entity: batches and removals do not pass each other unseen.
//!
//! Whoever merges records goes inside, with others of its kind, until its transaction ends. A removal that no open session
//! announced before (a full load in one call, a person's approval) closes the gate while it works; the commit of a session
//! waits for those who were inside before it began, for they may not know that the session exists.

use contract::{Entity, SystemId};
use sqlx::PgConnection;

const KEY: &str = "hashtextextended($1::text || '|' || $2, 1)";

/// Goes inside until the transaction ends.
pub async fn enter(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    lock(
        connection,
        "pg_advisory_xact_lock_shared",
        system_id,
        entity,
    )
    .await
}

/// Waits until nobody is inside and keeps others out until the transaction ends.
pub async fn close(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    lock(connection, "pg_advisory_xact_lock", system_id, entity).await
}

/// Waits until everybody who is inside now is done. Others may be inside when it returns. To be called before the
/// transaction holds anything that somebody inside could wait for.
pub async fn wait_for_those_inside(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("savepoint gate")
        .execute(&mut *connection)
        .await?;
    close(connection, system_id, entity).await?;
    // Gives the lock back.
    sqlx::raw_sql("rollback to savepoint gate; release savepoint gate")
        .execute(connection)
        .await?;
    Ok(())
}

async fn lock(
    connection: &mut PgConnection,
    function: &'static str,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(format!("select {function}({KEY})")))
        .bind(system_id)
        .bind(entity.wire_name())
        .execute(connection)
        .await?;
    Ok(())
}
