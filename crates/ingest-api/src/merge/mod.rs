//! The set-wise merge of one batch into the register.
//!
//! Rows enter sorted by key and without repeated keys; counts leave. Keys and content hashes are copied to a staging
//! table first and compared; whole rows follow only for what is new or changed. Changes are written with the history of
//! what they replace, in the caller's transaction. Unchanged rows are not touched: they cost a comparison, no write.

mod copy;
mod delta;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contract::{RecordError, Scope, SyncMode, SystemId};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, types::Json};
use uuid::Uuid;

use crate::{
    entity::EntitySpec,
    record::{ContentHash, Row, Value, content_hash},
};

pub(crate) use sql::{OVERLAPS, Statements, scope_filter, statements};

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
}

/// Rows of a batch, ready to merge: sorted by key, each key once.
#[derive(Debug, Default)]
pub struct Batch {
    rows: BTreeMap<Vec<Value>, Row>,
    refused: BTreeSet<Vec<Value>>,
    duplicates: u64,
}

impl Batch {
    /// Adds a row; one with the same key that came before is dropped and counted.
    pub fn push(&mut self, row: Row) {
        if self.rows.insert(row.key.clone(), row).is_some() {
            self.duplicates += 1;
        }
    }

    /// Adds the key of a refused record: its row is known to exist in the source and must not be removed.
    pub fn protect(&mut self, key: Vec<Value>) {
        self.refused.insert(key);
    }
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
    /// Another load wrote the same new keys at the same moment; the whole transaction can be repeated.
    #[error("another load wrote the same rows at the same moment")]
    Conflict,
    /// PostgreSQL refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A row that must be written.
struct Change {
    is_new: bool,
    key: Vec<Value>,
    fields: Vec<Value>,
    extended: serde_json::Map<String, serde_json::Value>,
    hash: ContentHash,
}

/// Merges a batch inside the caller's transaction. With `tracks_seen`, every row met is remembered for the commit.
/// `scope` is the load's: what it met is also known to others whose scope overlaps.
pub async fn merge(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
    batch: Batch,
    tracks_seen: bool,
) -> Result<Merged, MergeError> {
    let statements = statements(load.spec);
    let mut merged = Merged {
        duplicates: batch.duplicates,
        ..Merged::default()
    };
    let refused: Vec<Vec<Value>> = batch
        .refused
        .into_iter()
        .filter(|key| !batch.rows.contains_key(key))
        .collect();
    if batch.rows.is_empty() && refused.is_empty() {
        return Ok(merged);
    }
    let rows: Vec<Row> = batch.rows.into_values().collect();
    let has_refused = !refused.is_empty();

    let is_open_elsewhere = meet_overlapping(connection, load, scope).await?;
    open_stage(connection, statements).await?;
    let changes = match load.mode {
        SyncMode::Full => {
            full_changes(connection, load, statements, rows, refused, &mut merged).await?
        }
        SyncMode::Delta => {
            delta::changes(connection, load, statements, rows, refused, &mut merged).await?
        }
    };
    write(connection, load, statements, changes, &mut merged).await?;
    spare(connection, load, scope, is_open_elsewhere).await?;
    if tracks_seen {
        let met = mark_seen(connection, load, statements, false).await?;
        merged.duplicates +=
            (merged.inserted + merged.updated + merged.unchanged).saturating_sub(met);
        if has_refused {
            mark_seen(connection, load, statements, true).await?;
        }
    }
    Ok(merged)
}

/// Makes the commits of open full loads whose scope overlaps wait until this transaction is done, or waits for theirs;
/// answers whether there are such loads. Comes before any row is compared: a row that is here and unchanged must not be
/// removed in between.
async fn meet_overlapping(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
) -> Result<bool, MergeError> {
    let sql = format!(
        "select pg_advisory_xact_lock_shared(hashtextextended(o.sync_id::text, 0)) from (select o.sync_id from sync_sessions o \
         where o.system_id = $1 and o.entity = $4 and o.state = 'open' and o.sync_mode = 'full' and o.sync_id <> $2 \
         and {OVERLAPS} order by o.sync_id) o"
    );
    let met = sqlx::query(AssertSqlSafe(sql))
        .bind(load.system_id)
        .bind(load.sync_id)
        .bind(Json(scope))
        .bind(load.spec.entity.wire_name())
        .execute(connection)
        .await?;
    Ok(met.rows_affected() > 0)
}

/// Whoever else might take these rows for missing learns that they are there: full loads that are open meanwhile, and
/// change sets that wait for a person.
async fn spare(
    connection: &mut PgConnection,
    load: Load,
    scope: &Scope,
    is_open_elsewhere: bool,
) -> Result<(), MergeError> {
    let statements = statements(load.spec);
    if is_open_elsewhere {
        sqlx::query(statements.tell_others)
            .bind(load.system_id)
            .bind(load.sync_id)
            .bind(Json(scope))
            .execute(&mut *connection)
            .await?;
    }
    let is_held: bool = sqlx::query_scalar(
        "select exists (select from held_change_sets c where c.system_id = $1 and c.entity = $2 and c.state = 'held')",
    )
    .bind(load.system_id)
    .bind(load.spec.entity.wire_name())
    .fetch_one(&mut *connection)
    .await?;
    if is_held {
        sqlx::query(statements.release_held)
            .bind(load.system_id)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Removes (softly) the rows with these keys; answers how many were live.
pub async fn remove(
    connection: &mut PgConnection,
    load: Load,
    keys: &[Vec<Value>],
) -> Result<u64, MergeError> {
    let statements = statements(load.spec);
    open_stage(connection, statements).await?;
    copy_keys(
        connection,
        statements,
        keys.iter().map(|key| (key.as_slice(), None, false)),
    )
    .await?;
    remove_staged(connection, load).await
}

/// Removes (softly) the rows whose keys are staged.
pub async fn remove_staged(connection: &mut PgConnection, load: Load) -> Result<u64, MergeError> {
    let statements = statements(load.spec);
    sqlx::query(statements.lock_staged)
        .bind(load.system_id)
        .execute(&mut *connection)
        .await?;
    let now = clock(connection).await?;
    let removed = sqlx::query(statements.remove_staged)
        .bind(load.system_id)
        .bind(load.sync_id)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(removed.rows_affected())
}

/// Makes sure that this session's staging tables exist; they are empty at the start of every transaction.
pub async fn open_stage(
    connection: &mut PgConnection,
    statements: &Statements,
) -> Result<(), MergeError> {
    // Looked up first: CREATE … IF NOT EXISTS would answer with a notice, and take locks, in every batch.
    let exists: bool = sqlx::query_scalar("select to_regclass('pg_temp.' || $1) is not null")
        .bind(&statements.row_stage)
        .fetch_one(&mut *connection)
        .await?;
    if exists {
        sqlx::query(statements.clear_stage)
            .execute(&mut *connection)
            .await?;
    } else {
        sqlx::query(statements.create_key_stage)
            .execute(&mut *connection)
            .await?;
        sqlx::query(statements.create_row_stage)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn full_changes(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    rows: Vec<Row>,
    refused: Vec<Vec<Value>>,
    merged: &mut Merged,
) -> Result<Vec<Change>, MergeError> {
    let mut candidates: Vec<Option<Change>> = rows
        .into_iter()
        .map(|row| {
            let fields: Vec<Value> = row
                .fields
                .into_iter()
                .map(|field| field.unwrap_or(Value::Null))
                .collect();
            let hash = content_hash(&fields, &row.extended);
            Some(Change {
                is_new: false,
                key: row.key,
                fields,
                extended: row.extended,
                hash,
            })
        })
        .collect();
    let keys = candidates
        .iter()
        .flatten()
        .map(|change| (change.key.as_slice(), Some(&change.hash), false))
        .chain(refused.iter().map(|key| (key.as_slice(), None, true)));
    copy_keys(connection, statements, keys).await?;

    let mut changes = Vec::new();
    // New ones first: a key that appears between the two is taken for new, its insert misses, and all is repeated. The
    // other way round it would be taken for unchanged.
    for (statement, is_new) in [
        (statements.find_new, true),
        (statements.lock_changed, false),
    ] {
        for found in sqlx::query(statement)
            .bind(load.system_id)
            .fetch_all(&mut *connection)
            .await?
        {
            let position: i32 = found.try_get("ord")?;
            if let Some(mut change) = candidates[position as usize].take() {
                change.is_new = is_new;
                changes.push(change);
            }
        }
    }
    merged.unchanged = candidates.iter().flatten().count() as u64;
    Ok(changes)
}

/// Copies keys in their order; the position is the row's number in the stage.
async fn copy_keys<'a>(
    connection: &mut PgConnection,
    statements: &Statements,
    keys: impl Iterator<Item = (&'a [Value], Option<&'a ContentHash>, bool)>,
) -> Result<(), MergeError> {
    let mut out = copy::Encoder::new();
    for (count, (key, hash, is_refused)) in (0_i32..).zip(keys) {
        out.begin_row(key.len() + 3);
        out.int4(count);
        for value in key {
            out.value(value);
        }
        out.bytes(hash.map(<[u8; 16]>::as_slice));
        out.boolean(is_refused);
    }
    out.send(connection, &statements.copy_keys).await?;
    Ok(())
}

async fn write(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    changes: Vec<Change>,
    merged: &mut Merged,
) -> Result<(), MergeError> {
    if changes.is_empty() {
        return Ok(());
    }
    let new = changes.iter().filter(|change| change.is_new).count() as u64;
    let updates = changes.len() as u64 - new;
    let mut out = copy::Encoder::new();
    for change in &changes {
        out.begin_row(change.key.len() + change.fields.len() + 3);
        out.boolean(change.is_new);
        for value in change.key.iter().chain(&change.fields) {
            out.value(value);
        }
        out.jsonb(&change.extended);
        out.bytes(Some(&change.hash));
    }
    out.send(connection, &statements.copy_rows).await?;

    let now = clock(connection).await?;
    for (statement, expected) in [(statements.update, updates), (statements.insert, new)] {
        if expected == 0 {
            continue;
        }
        let written = sqlx::query(statement)
            .bind(load.system_id)
            .bind(load.sync_id)
            .bind(now)
            .execute(&mut *connection)
            .await?;
        if written.rows_affected() != expected {
            return Err(MergeError::Conflict);
        }
    }
    merged.inserted = new;
    merged.updated = updates;
    Ok(())
}

/// The moment of a change: read after the rows are locked, so that versions of a row never overlap.
async fn clock(connection: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(connection)
        .await
}

async fn mark_seen(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    refused: bool,
) -> Result<u64, MergeError> {
    let marked = sqlx::query(statements.mark_seen)
        .bind(load.system_id)
        .bind(load.sync_id)
        .bind(refused)
        .execute(connection)
        .await?;
    Ok(marked.rows_affected())
}
