//! Errors on the wire: problem documents (RFC 9457).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::RecordError;

/// `application/problem+json`, with the `error` text that older callers read.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Problem {
    /// A stable URI reference that names the kind of problem, such as `/problems/unknown-system`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in people's words; the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time and what to do about it.
    pub detail: String,
    /// Short text, for callers written for Identity Atlas' API.
    pub error: String,
    /// The request, for support.
    pub request_id: Option<String>,
    /// A session that stands in the way (409), where one does.
    pub sync_id: Option<Uuid>,
    /// Where a text of the query is wrong: which character, counted from 0; its length where something is missing at the end.
    pub position: Option<u64>,
    /// Refused records or fields, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RecordError>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.title, self.detail)?;
        if let Some(first) = self.errors.first() {
            write!(
                f,
                " (record {} {}: {})",
                first.index, first.pointer, first.detail
            )?;
        }
        Ok(())
    }
}
