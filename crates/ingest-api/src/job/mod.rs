//! Jobs: work that people and schedules ask for, and that workers claim over HTTP.
//!
//! A job waits (`queued`) until a worker claims it. The worker then has a lease, with an epoch that counts the leases of the
//! job, and says every few seconds that it is alive. A worker that is not heard of loses the lease: the job is queued again
//! and goes on under the same run id, hence from its checkpoint, and whatever the old worker still says is refused, for it
//! says it under an old epoch. The states and what leads from one to the next are in [`state`].
//!
//! Invariants:
//! - at most one worker has a job of a crawler at any time (a unique index sees to it);
//! - only the database's clock decides when a lease or a wait is over;
//! - whatever is refused with 409 changed nothing;
//! - a job whose run has reported its end is not given out again;
//! - every lease ends in a word of its worker or by its time, and is counted unless it was handed back, so that no job is
//!   tried for ever.

mod claim;
mod docs;
mod engine;
mod lease;
mod log;
mod routes;
mod state;
mod store;
mod sweep;
mod workers;

use std::time::Duration;

pub use engine::Jobs;
pub use routes::routes;
pub(crate) use routes::{LOOK, require_crawler};
pub(crate) use store::{NewJob, insert};
pub use sweep::sweep;

/// How leases are given and jobs are tried again.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A worker that is not heard of for so long loses its job.
    pub lease: Duration,
    /// How often a worker is to be heard of; also how soon it learns that somebody wants the job's end.
    pub heartbeat: Duration,
    /// Attempts before a job is dead.
    pub max_attempts: i32,
    /// The wait before the second attempt; it doubles with each further one.
    pub first_backoff: Duration,
    /// No wait is longer.
    pub longest_backoff: Duration,
    /// How often a claim that waits looks for jobs that another server queued, and how often leases and schedules are
    /// looked after.
    pub look: Duration,
    /// How long jobs that ended are kept, with their logs.
    pub keep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            heartbeat: Duration::from_secs(3),
            max_attempts: 5,
            first_backoff: Duration::from_secs(10),
            longest_backoff: Duration::from_secs(900),
            look: Duration::from_secs(1),
            keep: Duration::from_secs(180 * 86_400),
        }
    }
}

impl Settings {
    /// How long to wait after so many attempts.
    fn backoff(&self, attempts: i32) -> Duration {
        let doublings = attempts.saturating_sub(1).clamp(0, 20) as u32;
        self.first_backoff
            .saturating_mul(1 << doublings)
            .min(self.longest_backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_the_first_and_have_a_limit() {
        let settings = Settings::default();
        let seconds: Vec<u64> = (1..=9)
            .map(|attempts| settings.backoff(attempts).as_secs())
            .collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(settings.backoff(0).as_secs(), 10);
        assert_eq!(settings.backoff(i32::MAX), settings.longest_backoff);
    }
}
