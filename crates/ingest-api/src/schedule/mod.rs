//! Schedules: a cron expression in a time zone that asks for jobs of a crawler.
//!
//! Every server looks for slots that have come ([`fire_due`]); who finds one holds the schedule's row, so that a slot brings
//! one job at most, however many servers look, and a unique index keeps it so. Slots that passed while no server ran are
//! made up for by one job, or not at all. The time between a slot and its job is that between two looks.

mod docs;
mod routes;
mod store;
mod tick;
mod timing;

pub use routes::routes;
pub use tick::fire_due;
pub use timing::{Timing, TimingError};
