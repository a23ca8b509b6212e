//! The API's description of itself: the OpenAPI 3.1 document and a page that shows it.
//!
//! [`Routes`] is an axum router that takes no route without an [`Operation`], the description of it: what is served
//! and what is described cannot drift apart. The schemas come from the types that handlers read and write. What
//! leaves is `/api/openapi.json` and `/api/docs`, made once per process.
//!
//! Why not a crate: handlers look at a body only after they know that the caller may send it, so its type is not in
//! their signature, where `aide` would look for it; and `utoipa` would need a second derive on every type of the contract,
//! which has its JSON Schemas already.

mod document;
mod operation;
mod page;
mod problems;
mod publish;
mod routes;
mod schemas;

pub use document::document;
pub use operation::{Access, Operation, Tag};
pub use publish::routes;
pub use routes::Routes;
pub use schemas::{SchemaOf, schema_of};

/// One JSON text a line.
pub const LINES: &str = "application/x-ndjson";
