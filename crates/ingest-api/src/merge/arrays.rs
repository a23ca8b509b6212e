//! Values on their way into a statement: one array per column, taken apart again by `unnest`.

use sqlx::{
    Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, types::Oid},
    query::Query,
};

use crate::{
    entity::{Column, ColumnKind, EntitySpec},
    record::{Field, Key, RowRef, key_parts},
};

/// A query that arrays are bound to.
pub type ArrayQuery<'q> = Query<'q, Postgres, PgArguments>;

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Column(ColumnKind),
    Bytes,
    Json,
}

impl Element {
    /// The numbers of the element's type and of the array's, as PostgreSQL's catalog `pg_type` has them for built-in types.
    const fn oids(self) -> (u32, u32) {
        match self {
            Self::Column(ColumnKind::Uuid) => (2950, 2951),
            Self::Column(ColumnKind::Text) => (25, 1009),
            Self::Column(ColumnKind::Bool) => (16, 1000),
            Self::Column(ColumnKind::Time) => (1184, 1185),
            Self::Column(ColumnKind::Int) => (20, 1016),
            Self::Bytes => (17, 1001),
            Self::Json => (3802, 3807),
        }
    }
}

/// An array of values that are in PostgreSQL's binary format already (see `array_recv`: one dimension, from 1).
#[derive(Debug)]
struct EncodedArray {
    element: Element,
    count: i32,
    values: Vec<u8>,
}

impl EncodedArray {
    fn new(element: Element, capacity: usize) -> Self {
        Self {
            element,
            count: 0,
            values: Vec::with_capacity(capacity),
        }
    }

    fn push(&mut self, value: Option<&[u8]>) {
        self.count += 1;
        match value {
            None => self.values.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(value) => {
                self.values
                    .extend_from_slice(&(value.len() as i32).to_be_bytes());
                self.values.extend_from_slice(value);
            }
        }
    }

    fn push_json(&mut self, text: &[u8]) {
        self.count += 1;
        self.values
            .extend_from_slice(&(text.len() as i32 + 1).to_be_bytes());
        self.values.push(1);
        self.values.extend_from_slice(text);
    }
}

impl Type<Postgres> for EncodedArray {
    fn type_info() -> PgTypeInfo {
        // Each value says its own, see `produces`.
        PgTypeInfo::with_oid(Oid(Element::Bytes.oids().1))
    }
}

impl Encode<'_, Postgres> for EncodedArray {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let dimensions = i32::from(self.count > 0);
        buffer.extend_from_slice(&dimensions.to_be_bytes());
        // "May hold nulls": PostgreSQL looks for itself.
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&self.element.oids().0.to_be_bytes());
        if dimensions == 1 {
            buffer.extend_from_slice(&self.count.to_be_bytes());
            buffer.extend_from_slice(&1_i32.to_be_bytes());
            buffer.extend_from_slice(&self.values);
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.element.oids().1)))
    }
}

fn key_arrays<'a>(
    columns: &'static [Column],
    keys: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Vec<EncodedArray> {
    let mut arrays: Vec<EncodedArray> = columns
        .iter()
        .map(|column| EncodedArray::new(Element::Column(column.kind), keys.len() * 20))
        .collect();
    for key in keys {
        for (array, part) in arrays.iter_mut().zip(key_parts(columns, key)) {
            array.push(Some(part));
        }
    }
    arrays
}

fn bind_all(query: ArrayQuery<'_>, arrays: Vec<EncodedArray>) -> ArrayQuery<'_> {
    arrays.into_iter().fold(query, Query::bind)
}

/// Binds the key columns.
pub fn bind_keys<'q, 'a>(
    query: ArrayQuery<'q>,
    spec: &EntitySpec,
    keys: impl ExactSizeIterator<Item = &'a [u8]>,
) -> ArrayQuery<'q> {
    bind_all(query, key_arrays(spec.key, keys))
}

/// Binds the key columns and the content hash of rows.
pub fn bind_hashes<'q, 'a>(
    query: ArrayQuery<'q>,
    spec: &EntitySpec,
    rows: impl ExactSizeIterator<Item = RowRef<'a>> + Clone,
) -> ArrayQuery<'q> {
    let query = bind_keys(query, spec, rows.clone().map(|row| row.key()));
    let mut hashes = EncodedArray::new(Element::Bytes, rows.len() * 20);
    for row in rows {
        hashes.push(Some(row.hash()));
    }
    query.bind(hashes)
}

/// Binds everything of rows: key columns, other columns, extended attributes, content hash.
pub fn bind_rows<'q, 'a>(
    query: ArrayQuery<'q>,
    spec: &EntitySpec,
    rows: impl ExactSizeIterator<Item = RowRef<'a>> + Clone,
) -> ArrayQuery<'q> {
    let mut query = bind_keys(query, spec, rows.clone().map(|row| row.key()));
    let mut columns: Vec<EncodedArray> = spec
        .columns
        .iter()
        .map(|column| EncodedArray::new(Element::Column(column.kind), rows.len() * 8))
        .collect();
    let mut extended = EncodedArray::new(Element::Json, rows.len() * 8);
    let mut hashes = EncodedArray::new(Element::Bytes, rows.len() * 20);
    for row in rows {
        for (array, field) in columns.iter_mut().zip(row.fields()) {
            array.push(match field {
                Field::Value(value) => Some(value),
                Field::Null | Field::Absent => None,
            });
        }
        extended.push_json(row.extended());
        hashes.push(Some(row.hash()));
    }
    query = bind_all(query, columns);
    query.bind(extended).bind(hashes)
}

/// Keys as the slices that are bound.
pub fn slices(keys: &[Key]) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
    keys.iter().map(Key::as_bytes)
}
