//! The closure of access: which group or package leads to which, however many steps lie between.
//!
//! [`graph`] computes it from a system's edges, without a database; [`store`] reads the edges and keeps the result.
//! The work is bounded: a closure of too many pairs (a chain of ten thousand groups has fifty million) is not kept,
//! and what would read it walks the edges instead.

mod components;
mod graph;
mod store;

pub(crate) use store::bring_up_to_date;
