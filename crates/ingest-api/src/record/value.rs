//! Typed values of core columns and the rows they make.

use chrono::{DateTime, Utc};
use serde_json::Map;
use uuid::Uuid;

/// The value of a core column. The order is that of the database for keys (`uuid`, and `text collate "C"`), so that
/// rows can be sorted into the order of the primary key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// SQL null.
    Null,
    /// `boolean`
    Bool(bool),
    /// `bigint`
    Int(i64),
    /// `timestamptz`, cut to microseconds
    Time(DateTime<Utc>),
    /// `uuid`
    Uuid(Uuid),
    /// `text`, without NUL
    Text(String),
}

impl Value {
    /// The value as the part of a row key.
    pub fn key_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Time(value) => value.to_rfc3339(),
            Self::Uuid(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }
}

/// A record that fits its entity.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its position in the call.
    pub index: usize,
    /// The values of the key columns.
    pub key: Vec<Value>,
    /// The values of the other columns; `None` where a delta record does not mention the field.
    pub fields: Vec<Option<Value>>,
    /// Everything else. In a delta, `null` clears an attribute.
    pub extended: Map<String, serde_json::Value>,
}
