//! The gate of a system's entity: batches and removals do not pass each other unseen.
//!
//! Whoever merges records goes inside, with others of its kind, until its transaction ends. A removal that no open session
//! announced before (a full load in one call, a person's approval) closes the gate while it works; the commit of a session
//! waits for those who were inside before it began, for they may not know that the session exists.
//!
//! Removals are judged one after the other: each sees what the ones before it removed, held and settled.

use contract::{Entity, SystemId};
use sqlx::PgConnection;

/// What is locked, told apart from each other and from sessions by the seed of the hash.
#[derive(Clone, Copy)]
enum Lock {
    Inside = 1,
    Removals = 2,
}

/// Goes inside until the transaction ends.
pub async fn enter(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    lock(
        connection,
        "pg_advisory_xact_lock_shared",
        Lock::Inside,
        system_id,
        entity,
    )
    .await
}

/// Waits until nobody is inside or judges removals, and keeps others from both until the transaction ends.
pub async fn close(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    keep_out(connection, Lock::Inside, system_id, entity).await?;
    keep_out(connection, Lock::Removals, system_id, entity).await
}

/// For the commit of a session: waits until everybody who is inside now is done, and until nobody judges removals; keeps
/// others from judging until the transaction ends. Others may be inside when it returns. To be called before the
/// transaction holds anything that somebody inside could wait for.
pub async fn come_to_judge(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("savepoint gate")
        .execute(&mut *connection)
        .await?;
    keep_out(connection, Lock::Inside, system_id, entity).await?;
    // Gives the lock back.
    sqlx::raw_sql("rollback to savepoint gate; release savepoint gate")
        .execute(&mut *connection)
        .await?;
    // After the gate, as everybody who needs both.
    keep_out(connection, Lock::Removals, system_id, entity).await
}

/// Makes everybody who judges removals wait until the transaction ends, or waits for who does.
pub async fn keep_from_judging(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    lock(
        connection,
        "pg_advisory_xact_lock_shared",
        Lock::Removals,
        system_id,
        entity,
    )
    .await
}

async fn keep_out(
    connection: &mut PgConnection,
    what: Lock,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    lock(connection, "pg_advisory_xact_lock", what, system_id, entity).await
}

async fn lock(
    connection: &mut PgConnection,
    function: &'static str,
    what: Lock,
    system_id: SystemId,
    entity: Entity,
) -> Result<(), sqlx::Error> {
    let sql = format!("select {function}(hashtextextended($1::text || '|' || $2, $3))");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(system_id)
        .bind(entity.wire_name())
        .bind(what as i64)
        .execute(connection)
        .await?;
    Ok(())
}
