//! Delta records: only the fields that a record mentions change.

use contract::RecordError;
use serde_json::Map;
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{
    Load, MergeError, Merged, Statements,
    arrays::bind_keys,
    compare,
    met::{self, Met},
    write::Chosen,
};
use crate::{
    entity::Column,
    record::{Batch, Field, RowRef, Rows, RowsBuilder, canonical},
};

/// Rows that are read at once. Each may be some 64 KiB, however small the record is that speaks of it.
const READ: usize = 1000;
/// Rows of so many bytes are written before more are read.
const FULL: usize = 16 * 1024 * 1024;

/// Lays delta rows over the rows that exist, and writes what differs; answers which those are.
pub async fn merge(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    batch: &Batch,
    merged: &mut Merged,
) -> Result<Met, MergeError> {
    let mut met = Met::default();
    let mut laid = Laid::new(load);
    for start in (0..batch.rows.len()).step_by(READ) {
        let chunk = start..batch.rows.len().min(start + READ);
        let existing =
            lock_existing(connection, load, statements, &batch.rows, chunk.clone()).await?;
        for (row, existing) in chunk.map(|at| batch.rows.get(at)).zip(existing) {
            match existing {
                None => {
                    if let Err(refusal) = insert(load.spec.columns, row, &mut laid.new) {
                        merged.refused.push(refusal);
                    }
                }
                Some(existing) => {
                    let is_again = existing.try_get::<Uuid, _>("sync_id")? == load.sync_id;
                    let place = if is_again {
                        &mut met.again
                    } else {
                        &mut met.first
                    };
                    place.push(existing.try_get("row_id")?);
                    if !update(load.spec.columns, row, &existing, &mut laid.changed)? {
                        merged.unchanged += 1;
                    }
                }
            }
        }
        if laid.changed.size() + laid.new.size() > FULL {
            std::mem::replace(&mut laid, Laid::new(load))
                .write(connection, load, statements, merged)
                .await?;
        }
    }
    laid.write(connection, load, statements, merged).await?;
    Ok(met)
}

/// Rows as they are to be.
struct Laid {
    changed: RowsBuilder,
    new: RowsBuilder,
}

impl Laid {
    fn new(load: Load) -> Self {
        Self {
            changed: RowsBuilder::new(load.spec),
            new: RowsBuilder::new(load.spec),
        }
    }

    async fn write(
        self,
        connection: &mut PgConnection,
        load: Load,
        statements: &Statements,
        merged: &mut Merged,
    ) -> Result<(), MergeError> {
        let ((changed, _), (new, _)) = (self.changed.finish(), self.new.finish());
        let all = |rows: &Rows| (0..rows.len()).collect::<Vec<_>>();
        let (changed_places, new_places) = (all(&changed), all(&new));
        let changed_rows = Chosen {
            rows: &changed,
            places: &changed_places,
        };
        let new_rows = Chosen {
            rows: &new,
            places: &new_places,
        };
        super::write(connection, load, statements, changed_rows, new_rows).await?;
        if load.seq.is_some() {
            // Rows that exist are remembered as met; these are there only now.
            let inserted = compare::find_rows(
                connection,
                load,
                statements,
                new.iter().map(|row: RowRef<'_>| row.key()),
            )
            .await?;
            met::remember(connection, load, inserted, met::Counted::No).await?;
        }
        merged.updated += changed.len() as u64;
        merged.inserted += new.len() as u64;
        Ok(())
    }
}

async fn lock_existing(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    rows: &Rows,
    chunk: std::ops::Range<usize>,
) -> Result<Vec<Option<PgRow>>, MergeError> {
    let mut existing: Vec<Option<PgRow>> = Vec::new();
    existing.resize_with(chunk.len(), || None);
    let query = sqlx::query(statements.lock_existing).bind(load.system_id);
    for found in bind_keys(query, load.spec, chunk.map(|at| rows.get(at).key()))
        .fetch_all(connection)
        .await?
    {
        let ordinal: i32 = found.try_get("ord")?;
        // WITH ORDINALITY counts from 1.
        existing[ordinal as usize - 1] = Some(found);
    }
    Ok(existing)
}

/// A row of its own; refused when it lacks what a row must have.
fn insert(
    columns: &'static [Column],
    row: RowRef<'_>,
    new: &mut RowsBuilder,
) -> Result<(), RecordError> {
    let fields: Vec<Field<'_>> = columns
        .iter()
        .zip(row.fields())
        .map(|(column, field)| match (field, column.default) {
            (Field::Absent, Some(text)) => Field::Value(text.as_bytes()),
            (Field::Absent, None) => Field::Null,
            (field, _) => field,
        })
        .collect();
    for (column, field) in columns.iter().zip(&fields) {
        if column.is_required && *field == Field::Null {
            return Err(RecordError {
                index: row.index(),
                pointer: format!("/{}", column.wire),
                code: "required".to_owned(),
                detail: format!("the row does not exist yet, so '{}' is needed", column.wire),
            });
        }
    }
    let mut extended = object(row.extended());
    extended.retain(|_, value| !value.is_null());
    new.push_encoded(row.index(), row.key(), fields, &canonical(&extended));
    Ok(())
}

/// The row after the change; answers whether it differs from what is there.
fn update(
    columns: &'static [Column],
    row: RowRef<'_>,
    existing: &PgRow,
    changed: &mut RowsBuilder,
) -> Result<bool, sqlx::Error> {
    let mut fields = Vec::with_capacity(columns.len());
    for (column, field) in columns.iter().zip(row.fields()) {
        fields.push(match field {
            Field::Absent => stored(existing, column)?,
            field => field,
        });
    }
    let Json(mut extended) =
        existing.try_get::<Json<Map<String, serde_json::Value>>, _>("extended_attributes")?;
    for (name, value) in object(row.extended()) {
        if value.is_null() {
            extended.remove(&name);
        } else {
            extended.insert(name, value);
        }
    }
    let hash = changed.push_encoded(row.index(), row.key(), fields, &canonical(&extended));
    let is_changed = existing.try_get::<bool, _>("is_deleted")?
        || existing.try_get::<&[u8], _>("content_hash")? != hash;
    if !is_changed {
        changed.pop();
    }
    Ok(is_changed)
}

/// What is stored in a column, in the binary format in which it came.
fn stored<'a>(row: &'a PgRow, column: &Column) -> Result<Field<'a>, sqlx::Error> {
    let value = row.try_get_raw(column.sql)?;
    if sqlx::ValueRef::is_null(&value) {
        return Ok(Field::Null);
    }
    value
        .as_bytes()
        .map(Field::Value)
        .map_err(sqlx::Error::Decode)
}

fn object(text: &[u8]) -> Map<String, serde_json::Value> {
    serde_json::from_slice(text).expect("we wrote it as an object")
}
