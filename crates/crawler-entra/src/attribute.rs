//! Attributes of users that a tenant adds to Graph's own.

pub use contract::{AttributeFound, AttributeKind, AttributesFound};
