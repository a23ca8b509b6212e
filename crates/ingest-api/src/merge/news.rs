//! Batches of nothing but new rows, which need no comparing.
//!
//! A first load brings nothing that is there already, and looking for each of its rows costs as much as half of writing
//! it. So after a batch that was new from end to end, the next one of the same system and entity is copied as if it were
//! too, once a sample of its keys was not found; where PostgreSQL then finds a key taken, the copy is undone and the batch
//! is compared like any other.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use contract::{Entity, SystemId};
use sqlx::{Connection as _, PgConnection};

use super::{CHUNK, Load, MergeError, Statements, arrays::bind_keys, clock, write};
use crate::record::Rows;

/// Keys that are looked up before a copy is tried, the first and the last among them.
const SAMPLE: usize = 16;

/// Batches that are worth it.
const FEWEST: usize = 200;

/// Where the latest batch was new from end to end. Only ever a guess: nothing depends on it but time.
#[derive(Debug, Clone, Default)]
pub struct News(Arc<Mutex<HashSet<(SystemId, Entity)>>>);

impl News {
    fn is_expected(&self, load: Load) -> bool {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.contains(&(load.system_id, load.spec.entity))
    }

    /// Notes whether a batch was new from end to end.
    pub(super) fn note(&self, load: Load, is_all_new: bool) {
        let place = (load.system_id, load.spec.entity);
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_all_new {
            places.insert(place);
        } else {
            places.remove(&place);
        }
    }
}

/// Copies the rows if all of them seem to be new; answers whether they were.
pub async fn insert_if_new(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    rows: &Rows,
    news: &News,
) -> Result<bool, MergeError> {
    if rows.len() < FEWEST || rows.len() > CHUNK || !news.is_expected(load) {
        return Ok(false);
    }
    let step = (rows.len() - 1) as f64 / (SAMPLE - 1) as f64;
    let sample: Vec<&[u8]> = (0..SAMPLE)
        .map(|at| rows.get((at as f64 * step) as usize).key())
        .collect();
    let query = sqlx::query(statements.find_rows).bind(load.system_id);
    let found = bind_keys(query, load.spec, sample.into_iter())
        .fetch_optional(&mut *connection)
        .await?;
    if found.is_some() {
        return Ok(false);
    }
    let mut attempt = connection.begin().await?;
    let now = clock(&mut attempt, load).await?;
    let places: Vec<usize> = (0..rows.len()).collect();
    let all = write::Chosen {
        rows,
        places: &places,
    };
    match write::insert(&mut attempt, load, statements, now, all).await {
        Ok(()) => {
            attempt.commit().await?;
            Ok(true)
        }
        Err(MergeError::Conflict) => {
            attempt.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
