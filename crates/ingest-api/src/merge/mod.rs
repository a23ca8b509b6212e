//! The set-wise merge of one batch into the register.
//!
//! Rows enter encoded, sorted by key and without repeated keys; counts leave. Keys and content hashes are compared with
//! the table first; whole rows follow only for what is new or changed. Changes are written with the history of what they
//! replace, in the caller's transaction. Unchanged rows are not touched: they cost a look-up, no write.

mod arrays;
mod compare;
mod copy;
mod delta;
mod met;
mod neighbours;
mod news;
mod remove;
mod sql;
mod write;

use chrono::{DateTime, Utc};
use contract::{RecordError, Scope, SyncMode, SystemId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{entity::EntitySpec, record::Batch};

pub use met::KEPT as MET_KEPT;
use met::{Counted, Met};
pub use news::News;
pub(crate) use remove::open_stage;
pub use remove::{remove, remove_staged};
pub(crate) use sql::{OVERLAPS, Statements, scope_filter, statements};
use write::Chosen;

/// Rows that one statement is about: what it takes in memory, here and in PostgreSQL, is bounded.
const CHUNK: usize = 10_000;

/// What a batch is part of.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The entity.
    pub spec: &'static EntitySpec,
    /// The system that every row belongs to.
    pub system_id: SystemId,
    /// The load; rows and history carry it.
    pub sync_id: Uuid,
    /// Full or delta.
    pub mode: SyncMode,
    /// When it was opened. Nothing that it writes or meets counts as earlier, even if the database's clock is set back.
    pub not_before: DateTime<Utc>,
    /// The batch, where it must be known later which batch brought a row: in sessions that name rows to remove.
    pub seq: Option<i64>,
}

/// What a merge did.
#[derive(Debug, Default)]
pub struct Merged {
    /// New rows.
    pub inserted: u64,
    /// Changed or restored rows.
    pub updated: u64,
    /// Rows that were so already.
    pub unchanged: u64,
    /// Records whose key came again.
    pub duplicates: u64,
    /// Delta records for rows that do not exist and lack a required field.
    pub refused: Vec<RecordError>,
}

/// Why a merge failed. Nothing of it stays once the caller rolls back.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Another load wrote the same rows at the same moment; the whole transaction can be repeated.
    #[error("another load wrote the same rows at the same moment")]
    Conflict,
    /// PostgreSQL refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Merges a batch inside the caller's transaction, which is inside the gate of the system's entity. `scope` is the load's.
/// The rows that exist are remembered: no removal that comes later, or goes on meanwhile, takes them.
pub async fn merge(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
    batch: &Batch,
    news: &News,
) -> Result<Merged, MergeError> {
    let statements = statements(load.spec);
    let mut merged = Merged {
        duplicates: batch.duplicates,
        ..Merged::default()
    };
    if batch.rows.is_empty() && batch.refused.is_empty() {
        return Ok(merged);
    }
    let latest = neighbours::meet_overlapping(connection, load, scope, batch).await?;
    let load = Load {
        // Whoever reads at this moment must find newer what is written now, whatever the clock says.
        not_before: latest.map_or(load.not_before, |latest| latest.max(load.not_before)),
        ..load
    };
    let met = match load.mode {
        SyncMode::Full => {
            merge_full(connection, load, statements, batch, news, &mut merged).await?
        }
        SyncMode::Delta => delta::merge(connection, load, statements, batch, &mut merged).await?,
    };
    merged.duplicates += met.again.len() as u64;
    met::remember(connection, load, met.first, Counted::AtTheEnd).await?;
    met::remember(connection, load, met.again, Counted::No).await?;
    let refused = compare::find_refused(connection, load, statements, &batch.refused).await?;
    met::remember(connection, load, refused, Counted::No).await?;
    neighbours::release_held(connection, load, statements, batch).await?;
    Ok(merged)
}

async fn merge_full(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    batch: &Batch,
    news: &News,
    merged: &mut Merged,
) -> Result<Met, MergeError> {
    let rows = &batch.rows;
    if news::insert_if_new(connection, load, statements, rows, news).await? {
        merged.inserted = rows.len() as u64;
        return Ok(Met::default());
    }
    let compared = compare::compare(connection, load, statements, rows).await?;
    let changed = Chosen {
        rows,
        places: &compared.changed,
    };
    let new = Chosen {
        rows,
        places: &compared.new,
    };
    write(connection, load, statements, changed, new).await?;
    merged.inserted = compared.new.len() as u64;
    merged.updated = compared.changed.len() as u64;
    merged.unchanged = rows.len() as u64 - merged.inserted - merged.updated;
    news.note(load, compared.new.len() == rows.len());
    Ok(compared.met)
}

/// Writes changes, then new rows; both in key order.
async fn write(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    changed: Chosen<'_>,
    new: Chosen<'_>,
) -> Result<(), MergeError> {
    if changed.places.is_empty() && new.places.is_empty() {
        return Ok(());
    }
    let now = clock(connection, load).await?;
    write::update(connection, load, statements, now, changed).await?;
    if !new.places.is_empty() {
        write::insert(connection, load, statements, now, new).await?;
    }
    Ok(())
}

/// The moment of a change: read after the rows are locked, so that versions of a row never overlap.
///
/// From here on the transaction plans no hash or merge joins, unless asked to: rows that change are found by their keys and
/// changed at their places, one by one. Whatever the planner believes about a table, it must not read all of it for some.
async fn clock(connection: &mut PgConnection, load: Load) -> Result<DateTime<Utc>, sqlx::Error> {
    let (now, _, _): (DateTime<Utc>, String, String) = sqlx::query_as(
        "select greatest(clock_timestamp(), $1), set_config('enable_hashjoin', 'off', true), \
         set_config('enable_mergejoin', 'off', true)",
    )
    .bind(load.not_before)
    .fetch_one(connection)
    .await?;
    Ok(now)
}
