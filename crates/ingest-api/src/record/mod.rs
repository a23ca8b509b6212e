//! From bytes to rows: strict JSON, schema, ids, types.
//!
//! Raw record text enters, [`Row`]s and refusals leave. A refusal names the record, the field and the reason; where the
//! refused record's key can still be told, the row that it stands for is known to exist and must not be removed.
//!
//! There are two ways from text to row, which the [`Decoder`] puts together. The careful one parses strictly, validates
//! against the contract's schema and converts; it decides about everything. The fast one knows only what clean records
//! look like, makes the same rows of them, and leaves all others to the careful one.

mod convert;
mod decoder;
mod extended;
mod fast;
mod ids;
mod key;
mod rows;
mod schema;
mod strict;
mod value;

pub use convert::parse_key;
pub use decoder::{Batch, Decoded, Decoder, LoadContext, canonical, excerpt};
pub use ids::IdRule;
pub use key::{Key, key_parts};
pub use rows::{ContentHash, Field, RowRef, Rows, RowsBuilder, ValueRef, content_hash, timestamp};
pub use schema::Schemas;
pub use strict::{StrictError, parse_object};
pub use value::{Row, Value};

use contract::RecordError;

/// A record that was refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Where and why.
    pub error: RecordError,
    /// The key of the row that the record stands for, when it can be told.
    pub key: Option<Key>,
    /// The beginning of the record's text, for the quarantine.
    pub excerpt: String,
}
