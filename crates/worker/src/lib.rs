//! Runs crawls wherever it stands: inside the network of a source, beside the server, in a container of its own.
//!
//! A worker claims jobs from the server over HTTP ([`claim`]), or runs the configurations that it is given, once or again
//! and again.
//!
//! Invariants:
//! - it speaks HTTP only, and no database driver is among its dependencies;
//! - a configuration never overlaps itself;
//! - a run that fails is tried again later and later, never in a hot loop, and holds up no other configuration;
//! - told to stop, it gives up its open sessions and ends within [`GRACE`];
//! - no secret is in a log line, an error or `Debug` output.
//!
//! ```
//! use std::time::Duration;
//! use worker::{RunEnd, Schedule};
//!
//! // Two configurations every quarter of an hour. Both are due at the start; the first goes first.
//! let mut schedule = Schedule::new(2, Duration::from_secs(900));
//! assert_eq!(schedule.next(), Some((0, Duration::ZERO)));
//! let (began, ended) = (Duration::ZERO, Duration::from_secs(60));
//! schedule.ended(0, began, ended, RunEnd::Complete, 0.0);
//! schedule.ended(1, ended, ended * 2, RunEnd::Failed, 0.0);
//! // The one that failed is tried again half a minute after its end, long before the other's next turn.
//! assert_eq!(schedule.next(), Some((1, Duration::from_secs(150))));
//! ```

pub mod claim;
mod clock;
mod job;
mod journal;
mod repeat;
mod schedule;

pub mod cli;

pub use clock::{Clock, SystemClock};
pub use job::{GRACE, Job, RunEnd};
pub use repeat::repeat;
pub use schedule::{Schedule, backoff};
