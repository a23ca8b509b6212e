//! What of a full load's batch is new, changed or so already.

use sqlx::{PgConnection, Row as _};

use super::{
    CHUNK, Load, MergeError, Statements,
    arrays::{bind_hashes, bind_keys, slices},
    met::Met,
};
use crate::record::{Key, Rows};

/// The verdict about a batch; places are those of the rows in key order.
#[derive(Debug, Default)]
pub struct Compared {
    /// Rows that the table lacks.
    pub new: Vec<usize>,
    /// Rows that differ or were removed; they are locked.
    pub changed: Vec<usize>,
    /// The rows that exist.
    pub met: Met,
}

/// Compares keys and hashes with the table, chunk by chunk in key order.
pub async fn compare(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    rows: &Rows,
) -> Result<Compared, MergeError> {
    let mut compared = Compared::default();
    for start in (0..rows.len()).step_by(CHUNK) {
        let chunk = start..rows.len().min(start + CHUNK);
        let query = sqlx::query(statements.compare)
            .bind(load.system_id)
            .bind(load.sync_id);
        let found = bind_hashes(query, load.spec, chunk.clone().map(|at| rows.get(at)))
            .fetch_one(&mut *connection)
            .await?;
        let places = |name: &str| -> Result<Vec<usize>, sqlx::Error> {
            let ordinals: Vec<i32> = found.try_get(name)?;
            // WITH ORDINALITY counts from 1.
            Ok(ordinals
                .into_iter()
                .map(|ordinal| start + ordinal as usize - 1)
                .collect())
        };
        let changed = places("changed")?;
        lock_changed(connection, load, statements, rows, &changed).await?;
        compared.new.extend(places("new")?);
        compared.changed.extend(changed);
        compared
            .met
            .first
            .extend(found.try_get::<Vec<i64>, _>("met")?);
        compared
            .met
            .again
            .extend(found.try_get::<Vec<i64>, _>("again")?);
    }
    Ok(compared)
}

/// Locks the rows that are about to be changed, in key order. One that changed since it was compared makes the whole
/// batch begin anew.
async fn lock_changed(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    rows: &Rows,
    changed: &[usize],
) -> Result<(), MergeError> {
    if changed.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(statements.lock_changed).bind(load.system_id);
    let locked = bind_hashes(query, load.spec, changed.iter().map(|at| rows.get(*at)))
        .fetch_all(connection)
        .await?;
    if locked.len() == changed.len() {
        Ok(())
    } else {
        Err(MergeError::Conflict)
    }
}

/// The numbers of the rows that refused records stand for.
pub async fn find_refused(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    refused: &[Key],
) -> Result<Vec<i64>, MergeError> {
    find_rows(connection, load, statements, slices(refused)).await
}

/// The numbers of the rows with these keys that exist.
pub async fn find_rows<'k>(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    keys: impl Iterator<Item = &'k [u8]>,
) -> Result<Vec<i64>, MergeError> {
    let keys: Vec<&[u8]> = keys.collect();
    let mut found = Vec::new();
    for keys in keys.chunks(CHUNK) {
        let query = sqlx::query(statements.find_rows).bind(load.system_id);
        for row in bind_keys(query, load.spec, keys.iter().copied())
            .fetch_all(&mut *connection)
            .await?
        {
            found.push(row.try_get(0)?);
        }
    }
    Ok(found)
}
