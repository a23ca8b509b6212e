//! The labels, each with a bounded set of values.

use axum::http::Method;
use prometheus_client::encoding::EncodeLabelSet;

/// The route of a request that no route answers.
pub const UNMATCHED: &str = "unmatched";
/// A method that HTTP does not define.
pub const OTHER_METHOD: &str = "OTHER";

/// A method as a label: callers may make up methods.
pub fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or(OTHER_METHOD)
}

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    pub method: &'static str,
    /// The template of its path, or [`UNMATCHED`].
    pub route: String,
    pub status: String,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Route {
    pub method: &'static str,
    pub route: String,
}

/// Rows of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Rows {
    pub entity: &'static str,
    /// What a load did with them.
    pub outcome: &'static str,
}

/// Connections in a state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Connections {
    pub state: &'static str,
}

/// Jobs in a state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Jobs {
    pub state: &'static str,
}
