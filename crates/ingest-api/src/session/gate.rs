//! The gate of a system's entity: batches and removals do not pass each other unseen.
//!
//! Whoever merges records goes inside, with others of its kind, until its transaction ends. A removal that nobody could
//! know of before (a full load in one call, a person's approval) closes the gate while it works. A session announces its
//! removals: it is opened while the gate is closed, so that every batch is either done before the session's first one, or
//! finds the session and shares its lock.
//!
//! Removals themselves are made one after the other, under a lock of their own.

use contract::{Entity, SystemId};
use sqlx::PgConnection;
use uuid::Uuid;

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

/// Goes inside with a batch of a session, and shares the session's lock: it is not committed, aborted or expired until the
/// transaction ends.
pub async fn enter_with(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
    sync_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "select pg_advisory_xact_lock_shared({KEY}), pg_advisory_xact_lock_shared(hashtextextended($3::text, 0))"
    )))
    .bind(system_id)
    .bind(entity.wire_name())
    .bind(sync_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// [`close`] for somebody who is going to remove rows.
pub async fn close_to_remove(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    close(connection, system_id, entity).await?;
    remove_alone(connection, system_id, entity).await
}

/// Waits until nobody is inside and keeps others out until the transaction ends. To be called before the transaction
/// holds anything that somebody inside could wait for.
pub async fn close(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    lock(connection, "pg_advisory_xact_lock", system_id, entity).await
}

/// Keeps others from removing until the transaction ends. Whoever already works on something that such a removal must know
/// (see [`keep_from_removing`]) is waited for.
pub async fn remove_alone(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    removals(connection, "pg_advisory_xact_lock", system_id, entity).await
}

/// Makes every removal in the entity wait until the transaction ends, or waits for the one that is under way.
pub async fn keep_from_removing(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    removals(
        connection,
        "pg_advisory_xact_lock_shared",
        system_id,
        entity,
    )
    .await
}

async fn removals(
    connection: &mut PgConnection,
    function: &'static str,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "select {function}(hashtextextended($1::text || '|' || $2, 3))"
    )))
    .bind(system_id)
    .bind(entity.wire_name())
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
