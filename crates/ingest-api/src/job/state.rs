//! What leads from one state of a job to the next. Rules only: no SQL, no clock.

use contract::{JobOutcome, JobState, RunOutcome};

/// Where a job stands, as far as the next state depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: JobState,
    /// How often it was leased.
    pub epoch: i32,
    /// Leases that were used up, the present one included.
    pub attempt: i32,
    /// After so many it is dead.
    pub max_attempts: i32,
    /// Did somebody ask for its end?
    pub is_cancel_requested: bool,
    /// The epoch whose worker ended it.
    pub finished_epoch: Option<i32>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another worker goes on at once; this lease counts as no attempt.
    HandOver,
    /// It is tried again, after a wait.
    Again,
    /// It has ended.
    Ended(JobState),
}

impl Standing {
    /// Does the lease with this epoch hold?
    pub fn holds(&self, epoch: i32) -> bool {
        self.state.is_leased() && self.epoch == epoch
    }

    /// Was the end of the lease with this epoch told already? Then its worker did not get the answer.
    pub fn has_finished(&self, epoch: i32) -> bool {
        self.finished_epoch == Some(epoch) && self.epoch == epoch
    }

    /// After a word of its worker.
    pub fn after_finish(&self, outcome: JobOutcome, may_retry: bool) -> Next {
        let again = |next| {
            if self.is_cancel_requested {
                Next::Ended(JobState::Cancelled)
            } else {
                next
            }
        };
        match outcome {
            JobOutcome::Complete => Next::Ended(JobState::Succeeded),
            JobOutcome::Partial => Next::Ended(JobState::PartiallySucceeded),
            JobOutcome::Held => Next::Ended(JobState::Held),
            JobOutcome::Cancelled => Next::Ended(JobState::Cancelled),
            JobOutcome::HandedBack => again(Next::HandOver),
            JobOutcome::Failed if !may_retry => again(Next::Ended(JobState::Failed)),
            JobOutcome::Failed => again(self.again_or_dead()),
        }
    }

    /// After its worker was not heard of for too long.
    pub fn after_loss(&self) -> Next {
        if self.is_cancel_requested {
            Next::Ended(JobState::Cancelled)
        } else {
            self.again_or_dead()
        }
    }

    fn again_or_dead(&self) -> Next {
        if self.attempt >= self.max_attempts {
            Next::Ended(JobState::Dead)
        } else {
            Next::Again
        }
    }
}

/// The end of a job whose run reported its own end; `None` for a run that may go on. A run that was cancelled without
/// anybody having asked for it is no end of the job, but the job needs another run.
pub fn end_of_run(outcome: RunOutcome) -> Option<JobState> {
    match outcome {
        RunOutcome::Complete => Some(JobState::Succeeded),
        RunOutcome::Partial => Some(JobState::PartiallySucceeded),
        RunOutcome::Held => Some(JobState::Held),
        RunOutcome::Failed | RunOutcome::Cancelled => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(attempt: i32, is_cancel_requested: bool) -> Standing {
        Standing {
            state: JobState::Running,
            epoch: 7,
            attempt,
            max_attempts: 3,
            is_cancel_requested,
            finished_epoch: None,
        }
    }

    #[test]
    fn a_job_that_loses_its_workers_is_tried_as_often_as_it_may_and_then_dead() {
        assert_eq!(running(1, false).after_loss(), Next::Again);
        assert_eq!(running(2, false).after_loss(), Next::Again);
        assert_eq!(running(3, false).after_loss(), Next::Ended(JobState::Dead));
        let failed = running(3, false).after_finish(JobOutcome::Failed, true);
        assert_eq!(failed, Next::Ended(JobState::Dead));
    }

    #[test]
    fn what_does_not_mend_by_trying_again_fails_at_once() {
        let failed = running(1, false).after_finish(JobOutcome::Failed, false);
        assert_eq!(failed, Next::Ended(JobState::Failed));
    }

    #[test]
    fn a_job_that_somebody_wants_ended_is_not_tried_again_but_what_landed_is_told_as_it_is() {
        let cancelled = Next::Ended(JobState::Cancelled);
        let wanted = running(1, true);
        assert_eq!(wanted.after_loss(), cancelled);
        for outcome in [
            JobOutcome::Cancelled,
            JobOutcome::HandedBack,
            JobOutcome::Failed,
        ] {
            assert_eq!(wanted.after_finish(outcome, true), cancelled);
        }
        let complete = wanted.after_finish(JobOutcome::Complete, false);
        assert_eq!(complete, Next::Ended(JobState::Succeeded));
    }

    #[test]
    fn handing_back_is_no_attempt() {
        let back = running(3, false).after_finish(JobOutcome::HandedBack, false);
        assert_eq!(back, Next::HandOver);
    }

    #[test]
    fn a_lease_holds_under_its_own_epoch_only_and_while_it_lasts() {
        let standing = running(1, false);
        assert!(standing.holds(7) && !standing.holds(6) && !standing.holds(8));
        let queued = Standing {
            state: JobState::Queued,
            finished_epoch: Some(7),
            ..standing
        };
        assert!(!queued.holds(7) && queued.has_finished(7) && !queued.has_finished(6));
    }
}
