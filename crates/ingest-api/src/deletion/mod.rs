//! Removals: what a full load did not meet.
//!
//! Absence is evidence only where the source was read to the end. Removals happen at the commit of a full load, inside
//! its scope, for parents that were read completely, and only as many as the guard lets through; more are held for a
//! person. What a delta session names is guarded in the same way, over the whole session. A removal is soft and has its history.

mod docs;
mod guard;
mod held;
mod list;
mod missing;
mod named;
mod routes;
mod rows;

pub use guard::{Extent, Limits, QuestionChange, Verdict, judge};
pub use held::{Removal, conclude, conclude_named};
pub use missing::spared;
pub use routes::routes;
pub(crate) use rows::name_of;
