//! Delta records: only the fields that a record mentions change.

use chrono::{DateTime, Utc};
use contract::RecordError;
use serde_json::Map;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Change, Load, MergeError, Merged, Statements, copy_keys};
use crate::{
    entity::{Column, ColumnKind},
    record::{ContentHash, Row, Value, content_hash},
};

/// Lays delta rows over the rows that exist; answers what must be written.
pub async fn changes(
    connection: &mut PgConnection,
    load: Load,
    statements: &Statements,
    rows: Vec<Row>,
    refused: Vec<Vec<Value>>,
    merged: &mut Merged,
) -> Result<Vec<Change>, MergeError> {
    let keys = rows
        .iter()
        .map(|row| (row.key.as_slice(), None, false))
        .chain(refused.iter().map(|key| (key.as_slice(), None, true)));
    copy_keys(connection, statements, keys).await?;
    let mut existing: Vec<Option<Existing>> = Vec::new();
    existing.resize_with(rows.len(), || None);
    for found in sqlx::query(statements.lock_existing)
        .bind(load.system_id)
        .fetch_all(&mut *connection)
        .await?
    {
        let position: i32 = found.try_get("ord")?;
        existing[position as usize] = Some(Existing::read(&found, load.spec.columns)?);
    }

    let mut changes = Vec::new();
    for (row, existing) in rows.into_iter().zip(existing) {
        let change = match existing {
            None => match insert(load.spec.columns, row) {
                Ok(change) => Some(change),
                Err(refusal) => {
                    merged.refused.push(refusal);
                    continue;
                }
            },
            Some(existing) => update(row, existing),
        };
        match change {
            Some(change) => changes.push(change),
            None => merged.unchanged += 1,
        }
    }
    Ok(changes)
}

struct Existing {
    is_deleted: bool,
    hash: Vec<u8>,
    fields: Vec<Value>,
    extended: Map<String, serde_json::Value>,
}

impl Existing {
    fn read(row: &PgRow, columns: &[Column]) -> Result<Self, sqlx::Error> {
        let extended: sqlx::types::Json<Map<String, serde_json::Value>> =
            row.try_get("extended_attributes")?;
        Ok(Self {
            is_deleted: row.try_get("is_deleted")?,
            hash: row.try_get("content_hash")?,
            fields: columns
                .iter()
                .map(|column| read_value(row, column))
                .collect::<Result<_, _>>()?,
            extended: extended.0,
        })
    }
}

fn read_value(row: &PgRow, column: &Column) -> Result<Value, sqlx::Error> {
    Ok(match column.kind {
        ColumnKind::Uuid => row.try_get::<Option<Uuid>, _>(column.sql)?.map(Value::Uuid),
        ColumnKind::Text => row
            .try_get::<Option<String>, _>(column.sql)?
            .map(Value::Text),
        ColumnKind::Bool => row.try_get::<Option<bool>, _>(column.sql)?.map(Value::Bool),
        ColumnKind::Time => row
            .try_get::<Option<DateTime<Utc>>, _>(column.sql)?
            .map(Value::Time),
        ColumnKind::Int => row.try_get::<Option<i64>, _>(column.sql)?.map(Value::Int),
    }
    .unwrap_or(Value::Null))
}

fn insert(columns: &[Column], row: Row) -> Result<Change, RecordError> {
    let mut fields = Vec::with_capacity(columns.len());
    for (column, field) in columns.iter().zip(row.fields) {
        let value = match (field, column.default) {
            (Some(value), _) => value,
            (None, Some(text)) => Value::Text(text.to_owned()),
            (None, None) => Value::Null,
        };
        if column.is_required && value == Value::Null {
            return Err(RecordError {
                index: row.index,
                pointer: format!("/{}", column.wire),
                code: "required".to_owned(),
                detail: format!("the row does not exist yet, so '{}' is needed", column.wire),
            });
        }
        fields.push(value);
    }
    let mut extended = row.extended;
    extended.retain(|_, value| !value.is_null());
    let hash = content_hash(&fields, &extended);
    Ok(Change {
        is_new: true,
        key: row.key,
        fields,
        extended,
        hash,
    })
}

/// The row after the change; `None` when nothing changes.
fn update(row: Row, existing: Existing) -> Option<Change> {
    let fields: Vec<Value> = row
        .fields
        .into_iter()
        .zip(existing.fields)
        .map(|(new, old)| new.unwrap_or(old))
        .collect();
    let mut extended = existing.extended;
    for (name, value) in row.extended {
        if value.is_null() {
            extended.remove(&name);
        } else {
            extended.insert(name, value);
        }
    }
    let hash: ContentHash = content_hash(&fields, &extended);
    let is_changed = existing.is_deleted || existing.hash != hash;
    is_changed.then_some(Change {
        is_new: false,
        key: row.key,
        fields,
        extended,
        hash,
    })
}
