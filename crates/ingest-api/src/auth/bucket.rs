//! Token buckets: so many calls at once, and as many again in a minute.

use std::time::Instant;

const SECONDS: f64 = 60.0;

/// What is left of a limit after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// May the call be done?
    pub is_allowed: bool,
    /// Calls a minute.
    pub limit: u32,
    /// Calls that may follow at once.
    pub remaining: u32,
    /// Seconds until the limit is whole again, or, where nothing remains, until the next call may be done.
    pub seconds: u32,
}

/// A bucket that is full at first.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn full(per_minute: u32, now: Instant) -> Self {
        Self {
            tokens: per_minute.into(),
            at: now,
        }
    }

    fn refill(&mut self, per_minute: u32, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let capacity = f64::from(per_minute);
        self.tokens = (self.tokens + passed * capacity / SECONDS).min(capacity);
        self.at = self.at.max(now);
    }

    /// Is there nothing to remember of it?
    pub fn is_full(&mut self, per_minute: u32, now: Instant) -> bool {
        self.refill(per_minute, now);
        self.tokens >= f64::from(per_minute)
    }

    /// Has nobody looked at it for so long that it is full, whatever its limit?
    pub fn is_idle(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at).as_secs_f64() > SECONDS
    }

    /// What a call would find, without one.
    pub fn look(&mut self, per_minute: u32, now: Instant) -> Allowance {
        self.refill(per_minute, now);
        let is_allowed = self.tokens >= 1.0;
        let missing = if is_allowed {
            f64::from(per_minute) - self.tokens
        } else {
            1.0 - self.tokens
        };
        Allowance {
            is_allowed,
            limit: per_minute,
            remaining: whole(self.tokens.floor()),
            seconds: whole((missing * SECONDS / f64::from(per_minute)).ceil()),
        }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, per_minute: u32, now: Instant) -> Allowance {
        let before = self.look(per_minute, now);
        if !before.is_allowed {
            return before;
        }
        self.tokens -= 1.0;
        Allowance {
            is_allowed: true,
            ..self.look(per_minute, now)
        }
    }
}

/// A number that is whole, not negative and far below `u32::MAX`: capacities are at most that, a minute has 60 seconds.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_full_bucket_gives_all_at_once_and_says_when_there_is_more() {
        let now = Instant::now();
        let mut bucket = Bucket::full(3, now);
        for remaining in [2, 1, 0] {
            let taken = bucket.take(3, now);
            assert!(taken.is_allowed);
            assert_eq!((taken.limit, taken.remaining), (3, remaining));
        }
        let refused = bucket.take(3, now);
        assert_eq!((refused.is_allowed, refused.seconds), (false, 20));
        let later = now + Duration::from_secs(20);
        assert!(bucket.take(3, later).is_allowed);
        assert!(!bucket.take(3, later).is_allowed);
        assert!(bucket.is_full(3, now + Duration::from_secs(80)));
    }

    proptest! {
        #[test]
        fn no_sequence_of_calls_gets_more_than_the_bucket_and_what_ran_into_it(
            per_minute in 1_u32..500,
            pauses in vec(0_u64..3_000, 1..400),
        ) {
            let begin = Instant::now();
            let mut bucket = Bucket::full(per_minute, begin);
            let (mut now, mut done) = (begin, 0_u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                let taken = bucket.take(per_minute, now);
                done += u32::from(taken.is_allowed);
                let most = f64::from(per_minute) * (1.0 + (now - begin).as_secs_f64() / 60.0);
                prop_assert!(f64::from(done) <= most + 0.001);
                if !taken.is_allowed {
                    // Who waits as long as it was told gets through.
                    let then = now + Duration::from_secs(taken.seconds.into());
                    let mut patient = bucket;
                    prop_assert!(patient.take(per_minute, then).is_allowed);
                }
            }
        }
    }
}
