//! The past of the register: every version of a row and who made it, what differs between two moments, and reading a table
//! as of a moment.
//!
//! A row is its own current version; versions that ended are in `history_X`, one table per entity, partitioned by the month in
//! which they ended (migration 0005, ADR 0007). A row was so at a moment `t` when its live version began at `t` or before, or a
//! version that ended has `valid_from <= t < valid_to`. What enters here are questions with a system, key fields and moments;
//! what leaves are versions and differences in the words of the wire, each with the load that made it.
//!
//! Other reads take a moment with [`Moment::of_query`], read from the function `X_as_of(moment)`, and then ask
//! [`Moment::still_kept`]: retention may have dropped a month meanwhile.

mod differences;
mod docs;
mod moment;
mod page;
pub mod partitions;
mod question;
mod routes;
mod sql;
mod tables;
mod two_moments;
mod versions;
mod who;

pub use moment::Moment;
pub use routes::routes;
