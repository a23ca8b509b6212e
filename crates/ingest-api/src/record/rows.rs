//! The rows of a batch, encoded once: what is hashed, compared and copied into the database are the same bytes.
//!
//! Every value stands as PostgreSQL's binary formats have it. A row lies in one piece of memory: its key, its other
//! columns and its extended attributes, the latter two laid out as the fields of a binary COPY.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Value, key::Key};
use crate::entity::{Column, EntitySpec};

/// The first 128 bits of the SHA-256 of a row's source fields in canonical form.
pub type ContentHash = [u8; 16];

/// PostgreSQL counts time from 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Length of a field that is null, as in COPY.
const NULL: i32 = -1;
/// Length of a field that a delta record does not mention. Such rows are never copied as they are.
const ABSENT: i32 = -2;

/// A value on its way into a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// SQL null.
    Null,
    /// `boolean`
    Bool(bool),
    /// `bigint`
    Int(i64),
    /// `timestamptz`, in microseconds since 1970
    Micros(i64),
    /// `uuid`
    Uuid([u8; 16]),
    /// `text`, without NUL
    Text(&'a str),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Time(value) => Self::Micros(value.timestamp_micros()),
            Value::Uuid(value) => Self::Uuid(*value.as_bytes()),
            Value::Text(value) => Self::Text(value),
        }
    }
}

/// A column's value in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// A delta record does not mention it.
    Absent,
    /// SQL null.
    Null,
    /// In PostgreSQL's binary format.
    Value(&'a [u8]),
}

#[derive(Debug, Clone)]
struct Entry {
    /// The first 16 bytes of the key, for quick comparison.
    prefix: u128,
    key: u32,
    fields: u32,
    extended: u32,
    end: u32,
    index: u32,
    hash: ContentHash,
}

/// Where the parts of a row that is being written begin.
#[derive(Clone, Copy)]
struct Start {
    key: usize,
    fields: usize,
}

/// Collects rows in any order.
#[derive(Debug)]
pub struct RowsBuilder {
    columns: &'static [Column],
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    hashed: Vec<u8>,
}

impl RowsBuilder {
    /// No rows yet.
    pub fn new(spec: &'static EntitySpec) -> Self {
        Self {
            columns: spec.columns,
            bytes: Vec::new(),
            entries: Vec::new(),
            hashed: Vec::new(),
        }
    }

    /// Adds a row: its place in the call, its key columns, its other columns in the order of the specification (`None`
    /// where a delta record does not mention the field), and its extended attributes as canonical JSON text (keys in
    /// byte order, no spaces).
    pub fn push<'a>(
        &mut self,
        index: usize,
        key: impl IntoIterator<Item = ValueRef<'a>>,
        fields: impl IntoIterator<Item = Option<ValueRef<'a>>>,
        extended: &[u8],
    ) {
        let start = self.bytes.len();
        for value in key {
            super::key::encode(&mut self.bytes, value);
        }
        let start = self.keyed(start);
        for (column, field) in self.columns.iter().zip(fields) {
            let at = self.bytes.len();
            match field {
                None => self.bytes.extend_from_slice(&ABSENT.to_be_bytes()),
                Some(value) => encode_field(&mut self.bytes, value),
            }
            hash_field(&mut self.hashed, column.wire, &self.bytes[at..]);
        }
        self.end(index, start, extended);
    }

    /// Adds a row whose parts are encoded already; answers the hash of its content.
    pub fn push_encoded<'a>(
        &mut self,
        index: usize,
        key: &[u8],
        fields: impl IntoIterator<Item = Field<'a>>,
        extended: &[u8],
    ) -> ContentHash {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let start = self.keyed(start);
        for (column, field) in self.columns.iter().zip(fields) {
            let at = self.bytes.len();
            match field {
                Field::Absent => self.bytes.extend_from_slice(&ABSENT.to_be_bytes()),
                Field::Null => self.bytes.extend_from_slice(&NULL.to_be_bytes()),
                Field::Value(value) => {
                    self.bytes
                        .extend_from_slice(&(value.len() as i32).to_be_bytes());
                    self.bytes.extend_from_slice(value);
                }
            }
            hash_field(&mut self.hashed, column.wire, &self.bytes[at..]);
        }
        self.end(index, start, extended)
    }

    /// The key is written from `key` on.
    fn keyed(&mut self, key: usize) -> Start {
        self.hashed.clear();
        Start {
            key,
            fields: self.bytes.len(),
        }
    }

    /// Everything but the extended attributes is written.
    fn end(&mut self, index: usize, start: Start, extended: &[u8]) -> ContentHash {
        let extended_at = self.bytes.len();
        self.bytes
            .extend_from_slice(&(extended.len() as i32 + 1).to_be_bytes());
        self.bytes.push(1);
        self.bytes.extend_from_slice(extended);
        self.hashed.extend_from_slice(extended);
        let hash = digest(&self.hashed);
        self.entries.push(Entry {
            prefix: prefix(&self.bytes[start.key..start.fields]),
            key: start.key as u32,
            fields: start.fields as u32,
            extended: extended_at as u32,
            end: self.bytes.len() as u32,
            index: index as u32,
            hash,
        });
        hash
    }

    /// Takes the row back that was pushed last.
    pub fn pop(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.bytes.truncate(entry.key as usize);
        }
    }

    /// Memory that the rows take, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Sorts by key and keeps of equal keys the row that was pushed last; answers how many were dropped.
    pub fn finish(self) -> (Rows, u64) {
        let Self {
            columns,
            bytes,
            mut entries,
            ..
        } = self;
        let key = |entry: &Entry| &bytes[entry.key as usize..entry.fields as usize];
        // Rows were pushed one behind the other: the place of a key is its age.
        entries.sort_unstable_by(|a, b| {
            (a.prefix.cmp(&b.prefix))
                .then_with(|| key(a).cmp(key(b)))
                .then_with(|| b.key.cmp(&a.key))
        });
        let pushed = entries.len();
        entries.dedup_by(|later, kept| later.prefix == kept.prefix && key(later) == key(kept));
        let dropped = (pushed - entries.len()) as u64;
        let rows = Rows {
            columns,
            bytes,
            entries,
        };
        (rows, dropped)
    }
}

fn prefix(key: &[u8]) -> u128 {
    let mut first = [0; 16];
    let length = key.len().min(16);
    first[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(first)
}

fn encode_field(out: &mut Vec<u8>, value: ValueRef<'_>) {
    let mut field = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        ValueRef::Null => out.extend_from_slice(&NULL.to_be_bytes()),
        ValueRef::Bool(value) => field(&[u8::from(value)]),
        ValueRef::Int(value) => field(&value.to_be_bytes()),
        ValueRef::Micros(value) => field(&micros(value)),
        ValueRef::Uuid(value) => field(&value),
        ValueRef::Text(value) => field(value.as_bytes()),
    }
}

/// A field that is null does not count, and each stands under its name: a column that is added or moved later changes no
/// hash.
fn hash_field(hashed: &mut Vec<u8>, name: &str, encoded: &[u8]) {
    if encoded != NULL.to_be_bytes() && encoded != ABSENT.to_be_bytes() {
        hashed.extend_from_slice(name.as_bytes());
        hashed.push(0);
        hashed.extend_from_slice(encoded);
    }
}

/// The hash of content that is not in a batch: fields with their wire names, and extended attributes as canonical JSON.
pub fn content_hash<'a>(
    fields: impl IntoIterator<Item = (&'a str, ValueRef<'a>)>,
    extended: &[u8],
) -> ContentHash {
    let (mut hashed, mut encoded) = (Vec::new(), Vec::new());
    for (name, value) in fields {
        encoded.clear();
        encode_field(&mut encoded, value);
        hash_field(&mut hashed, name, &encoded);
    }
    hashed.extend_from_slice(extended);
    digest(&hashed)
}

fn micros(since_1970: i64) -> [u8; 8] {
    (since_1970 - EPOCH_MICROS).to_be_bytes()
}

/// A `timestamptz` in PostgreSQL's binary format.
pub fn timestamp(moment: DateTime<Utc>) -> [u8; 8] {
    micros(moment.timestamp_micros())
}

fn digest(bytes: &[u8]) -> ContentHash {
    let digest = Sha256::digest(bytes);
    let mut hash = ContentHash::default();
    hash.copy_from_slice(&digest[..16]);
    hash
}

/// Rows sorted by key, each key once.
#[derive(Debug)]
pub struct Rows {
    columns: &'static [Column],
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The row at this place in key order.
    pub fn get(&self, place: usize) -> RowRef<'_> {
        RowRef {
            rows: self,
            entry: &self.entries[place],
        }
    }

    /// All rows in key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> {
        self.entries
            .iter()
            .map(|entry| RowRef { rows: self, entry })
    }

    /// Is there a row with this key?
    pub fn contains(&self, key: &Key) -> bool {
        let wanted = prefix(key.as_bytes());
        self.entries
            .binary_search_by(|entry| {
                (entry.prefix.cmp(&wanted)).then_with(|| {
                    self.bytes[entry.key as usize..entry.fields as usize].cmp(key.as_bytes())
                })
            })
            .is_ok()
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    rows: &'a Rows,
    entry: &'a Entry,
}

impl<'a> RowRef<'a> {
    /// Its place in the call.
    pub fn index(&self) -> usize {
        self.entry.index as usize
    }

    /// Its key as [`Key`] has it.
    pub fn key(&self) -> &'a [u8] {
        &self.rows.bytes[self.entry.key as usize..self.entry.fields as usize]
    }

    /// The hash of its content; means nothing where a field is absent.
    pub fn hash(&self) -> &'a ContentHash {
        &self.entry.hash
    }

    /// Columns and extended attributes as the fields of a binary COPY; only for rows that mention every field.
    pub fn copy_fields(&self) -> &'a [u8] {
        &self.rows.bytes[self.entry.fields as usize..self.entry.end as usize]
    }

    /// The columns that are not its key.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let mut rest = &self.rows.bytes[self.entry.fields as usize..self.entry.extended as usize];
        self.rows.columns.iter().map(move |_| take_field(&mut rest))
    }

    /// Its extended attributes, as canonical JSON text.
    pub fn extended(&self) -> &'a [u8] {
        &self.rows.bytes[self.entry.extended as usize + 5..self.entry.end as usize]
    }
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Field<'a> {
    let (length, behind) = rest
        .split_first_chunk::<4>()
        .expect("every column has a length");
    let length = i32::from_be_bytes(*length);
    match length {
        NULL | ABSENT => {
            *rest = behind;
            if length == NULL {
                Field::Null
            } else {
                Field::Absent
            }
        }
        length => {
            let (value, behind) = behind.split_at(length as usize);
            *rest = behind;
            Field::Value(value)
        }
    }
}
