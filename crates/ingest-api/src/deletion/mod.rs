//! Removals: what a full load did not meet.
//!
//! Absence is evidence only where the source was read to the end. Removals happen at the commit of a full load, inside
//! its scope, for parents that were read completely, and only as many as the guard lets through; more are held for a
//! person. A removal is soft and has its history.

mod docs;
mod guard;
mod held;
mod list;
mod missing;
mod routes;
mod rows;

pub use guard::{Extent, Limits, QuestionChange, Verdict, judge};
pub use held::{Removal, conclude};
pub use routes::routes;
pub(crate) use rows::name_of;
