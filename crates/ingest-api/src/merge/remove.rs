//! Soft removal of named rows, with the history of what ends.

use sqlx::PgConnection;

use super::{
    CHUNK, Load, MergeError, Statements,
    arrays::{bind_keys, slices},
    clock, statements,
};
use crate::record::Key;

/// Removes (softly) the rows with these keys; answers how many were live.
pub async fn remove(
    connection: &mut PgConnection,
    load: Load,
    keys: &[Key],
) -> Result<u64, MergeError> {
    let statements = statements(load.spec);
    open_stage(connection, statements).await?;
    for keys in keys.chunks(CHUNK) {
        let query = sqlx::query(statements.stage_keys);
        bind_keys(query, load.spec, slices(keys))
            .execute(&mut *connection)
            .await?;
    }
    remove_staged(connection, load).await
}

/// Removes (softly) the rows whose keys are staged.
pub async fn remove_staged(connection: &mut PgConnection, load: Load) -> Result<u64, MergeError> {
    let statements = statements(load.spec);
    sqlx::query(statements.lock_staged)
        .bind(load.system_id)
        .execute(&mut *connection)
        .await?;
    let now = clock(connection, load).await?;
    let removed = sqlx::query(statements.remove_staged)
        .bind(load.system_id)
        .bind(load.sync_id)
        .bind(now)
        .execute(&mut *connection)
        .await?;
    Ok(removed.rows_affected())
}

/// Makes sure that this connection's stage for the keys of rows that go exists, and is empty.
pub async fn open_stage(
    connection: &mut PgConnection,
    statements: &Statements,
) -> Result<(), MergeError> {
    // Looked up first: CREATE … IF NOT EXISTS would answer with a notice, and take locks, each time.
    let exists: bool = sqlx::query_scalar("select to_regclass('pg_temp.' || $1) is not null")
        .bind(&statements.stage)
        .fetch_one(&mut *connection)
        .await?;
    let statement = if exists {
        statements.clear_stage
    } else {
        statements.create_stage
    };
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}
