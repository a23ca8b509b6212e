//! Writing what is new or changed, with the history of what it replaces.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{CHUNK, Load, MergeError, Statements, arrays::bind_rows, copy::copy_rows};
use crate::record::Rows;

/// From so many new rows on they are copied. Fewer are inserted by one statement, which needs fewer messages and does not
/// wait for the network (the end of a COPY is a small packet behind another one).
const COPY_FROM: usize = 200;

/// Some rows of a batch, in key order.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The batch.
    pub rows: &'a Rows,
    /// Which of them.
    pub places: &'a [usize],
}

/// Changes rows that are locked. Each must exist.
pub async fn update(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    now: DateTime<Utc>,
    changed: Chosen<'_>,
) -> Result<(), MergeError> {
    for places in changed.places.chunks(CHUNK) {
        let query = sqlx::query(statements.update)
            .bind(load.system_id)
            .bind(load.sync_id)
            .bind(now);
        let rows = places.iter().map(|at| changed.rows.get(*at));
        let written = bind_rows(query, load.spec, rows)
            .execute(&mut *connection)
            .await?;
        require(written.rows_affected(), places.len())?;
    }
    Ok(())
}

/// Writes rows that do not exist yet.
pub async fn insert(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    now: DateTime<Utc>,
    new: Chosen<'_>,
) -> Result<(), MergeError> {
    let rows = new.places.iter().map(|at| new.rows.get(*at));
    let written = if new.places.len() >= COPY_FROM {
        copy_rows(connection, statements.copy, load, now, rows).await
    } else {
        let query = sqlx::query(statements.insert)
            .bind(load.system_id)
            .bind(load.sync_id)
            .bind(now);
        let inserted = bind_rows(query, load.spec, rows).execute(connection).await;
        inserted.map(|done| done.rows_affected())
    };
    match written {
        Ok(written) => require(written, new.places.len()),
        // Another load brought one of these keys since they were compared.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(MergeError::Conflict)
        }
        Err(error) => Err(error.into()),
    }
}

fn require(written: u64, expected: usize) -> Result<(), MergeError> {
    if written == expected as u64 {
        Ok(())
    } else {
        Err(MergeError::Conflict)
    }
}
