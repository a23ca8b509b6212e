//! When which configuration runs next. Arithmetic only: times are durations since the worker's start.

use std::time::Duration;

use crate::RunEnd;

/// The first pause after a failure, where the interval is not shorter.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// Pauses after failures grow up to this, or to the interval where that is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Waits are longer by up to this part, so that many workers do not come at the same moment.
const JITTER: f64 = 0.05;

/// The pause after the end of the `failures`-th failed run in a row: it doubles with each.
pub fn backoff(failures: u32, every: Duration) -> Duration {
    let first = FIRST_PAUSE.min(every);
    let doublings = failures.saturating_sub(1).min(31);
    first
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE.max(every))
}

/// The turns of several configurations that share an interval.
#[derive(Debug, Clone)]
pub struct Schedule {
    every: Duration,
    turns: Vec<Turn>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    due: Duration,
    failures: u32,
}

impl Schedule {
    /// Configurations number 0 to `configurations - 1`, all due at once.
    pub fn new(configurations: usize, every: Duration) -> Self {
        Self {
            every,
            turns: vec![Turn::default(); configurations],
        }
    }

    /// The configuration whose turn comes first, and when; `None` when there are none.
    pub fn next(&self) -> Option<(usize, Duration)> {
        let due = |(number, turn): (usize, &Turn)| (number, turn.due);
        self.turns
            .iter()
            .enumerate()
            .map(due)
            .min_by_key(|(number, due)| (*due, *number))
    }

    /// Takes note of a run. `chance`, from 0 to 1, spreads the next turn.
    ///
    /// A run that did not fail is followed by one an interval after it **began**, or at once when it took longer than
    /// that; a failed one by one after a growing pause from its **end**.
    pub fn ended(
        &mut self,
        configuration: usize,
        began: Duration,
        ended: Duration,
        end: RunEnd,
        chance: f64,
    ) {
        let Some(turn) = self.turns.get_mut(configuration) else {
            return;
        };
        if end == RunEnd::Failed {
            turn.failures = turn.failures.saturating_add(1);
            let pause = backoff(turn.failures, self.every);
            turn.due = ended.saturating_add(spread(pause, chance));
        } else {
            turn.failures = 0;
            turn.due = began.saturating_add(spread(self.every, chance));
        }
    }
}

fn spread(wait: Duration, chance: f64) -> Duration {
    wait.saturating_add(wait.mul_f64(JITTER * chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_after_failures_double_from_half_a_minute_to_a_quarter_of_an_hour() {
        let minutes: Vec<f64> = (1..=7)
            .map(|n| backoff(n, 10 * MINUTE).as_secs_f64() / 60.0)
            .collect();
        assert_eq!(minutes, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]);
        assert_eq!(backoff(1, Duration::from_secs(10)).as_secs(), 10);
        assert_eq!(backoff(99, Duration::from_secs(10)), LONGEST_PAUSE);
        assert_eq!(backoff(u32::MAX, 60 * MINUTE), 60 * MINUTE);
    }

    #[test]
    fn the_interval_counts_from_the_beginning_of_a_run() {
        let mut schedule = Schedule::new(1, 15 * MINUTE);
        schedule.ended(0, MINUTE, 6 * MINUTE, RunEnd::Partial, 0.0);
        assert_eq!(schedule.next(), Some((0, 16 * MINUTE)));
        // It took longer than the interval: its next turn has come when it ends.
        schedule.ended(0, 16 * MINUTE, 46 * MINUTE, RunEnd::Complete, 0.0);
        assert_eq!(schedule.next(), Some((0, 31 * MINUTE)));
    }

    #[test]
    fn a_success_forgets_earlier_failures() {
        let mut schedule = Schedule::new(1, 15 * MINUTE);
        let mut failed_at = |at: Duration| {
            schedule.ended(0, at, at, RunEnd::Failed, 0.0);
            schedule.next().expect("one").1.saturating_sub(at)
        };
        assert_eq!(failed_at(MINUTE), MINUTE / 2);
        assert_eq!(failed_at(2 * MINUTE), MINUTE);
        schedule.ended(0, 3 * MINUTE, 4 * MINUTE, RunEnd::Complete, 0.0);
        schedule.ended(0, 18 * MINUTE, 18 * MINUTE, RunEnd::Failed, 0.0);
        assert_eq!(schedule.next(), Some((0, 18 * MINUTE + MINUTE / 2)));
    }

    #[test]
    fn nothing_to_run_is_no_turn() {
        assert_eq!(Schedule::new(0, MINUTE).next(), None);
    }

    fn end() -> impl Strategy<Value = RunEnd> {
        prop_oneof![
            Just(RunEnd::Complete),
            Just(RunEnd::Partial),
            Just(RunEnd::Failed)
        ]
    }

    proptest! {
        #[test]
        fn waits_lie_between_what_was_asked_and_five_percent_more(
            seconds in 10u64..1_000_000, failures in 0u32..50, chance in 0.0f64..1.0,
        ) {
            let every = Duration::from_secs(seconds);
            for wait in [every, backoff(failures, every)] {
                let spread = spread(wait, chance);
                prop_assert!(spread >= wait && spread.as_secs_f64() <= wait.as_secs_f64() * 1.050_001);
            }
        }

        #[test]
        fn runs_never_follow_each_other_faster_than_asked_and_nobody_is_forgotten(
            runs in proptest::collection::vec((0u64..7_200, end(), 0.0f64..1.0), 1..80),
            configurations in 1usize..5, seconds in 10u64..7_200,
        ) {
            let every = Duration::from_secs(seconds);
            let mut schedule = Schedule::new(configurations, every);
            let mut now = Duration::ZERO;
            let mut last_began = vec![None; configurations];
            for (length, end, chance) in runs {
                let (which, due) = schedule.next().expect("there are some");
                // Nobody whose turn came earlier is passed over.
                prop_assert!(schedule.turns.iter().all(|turn| turn.due >= due));
                now = now.max(due);
                if let Some(began) = last_began[which] {
                    prop_assert!(now >= began + every.min(FIRST_PAUSE));
                }
                last_began[which] = Some(now);
                let began = now;
                now += Duration::from_secs(length);
                schedule.ended(which, began, now, end, chance);
            }
        }
    }
}
