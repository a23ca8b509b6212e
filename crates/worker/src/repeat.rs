//! The worker's loop: whose turn is it, wait, run, take note.

use tokio_util::sync::CancellationToken;

use crate::{Clock, RunEnd, Schedule};

/// Runs the configurations of a schedule, one at a time, until told to stop. `run` gets a configuration's number; `chance`
/// gives numbers from 0 to 1 that spread the turns.
pub async fn repeat(
    mut schedule: Schedule,
    clock: &impl Clock,
    mut chance: impl FnMut() -> f64,
    stop: &CancellationToken,
    mut run: impl AsyncFnMut(usize) -> RunEnd,
) {
    while let Some((configuration, due)) = schedule.next()
        && !stop.is_cancelled()
    {
        let wait = due.saturating_sub(clock.now());
        if !wait.is_zero() {
            tracing::info!(wait_seconds = wait.as_secs(), "waiting for the next run");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = clock.pause(wait) => {}
            }
        }
        let began = clock.now();
        let end = run(configuration).await;
        schedule.ended(configuration, began, clock.now(), end, chance());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::pending,
        time::Duration,
    };

    use super::*;

    const EVERY: Duration = Duration::from_secs(900);

    /// Time that passes only when somebody waits or works.
    #[derive(Default)]
    struct Hands {
        now: Cell<Duration>,
    }

    impl Hands {
        fn turn(&self, by: Duration) {
            self.now.set(self.now.get() + by);
        }
    }

    impl Clock for Hands {
        fn now(&self) -> Duration {
            self.now.get()
        }

        async fn pause(&self, wait: Duration) {
            self.turn(wait);
        }
    }

    /// The runs of a script: how long each takes and how it ends. Answers when each began, in seconds, and whose it was.
    async fn play(configurations: usize, script: &[(u64, RunEnd)]) -> Vec<(u64, usize)> {
        let (clock, stop) = (Hands::default(), CancellationToken::new());
        let began = RefCell::new(Vec::new());
        let mut script = script.iter();
        let schedule = Schedule::new(configurations, EVERY);
        repeat(
            schedule,
            &clock,
            || 0.0,
            &stop,
            async |which| {
                began.borrow_mut().push((clock.now().as_secs(), which));
                let (seconds, end) = script.next().expect("the loop has stopped");
                clock.turn(Duration::from_secs(*seconds));
                if script.len() == 0 {
                    stop.cancel();
                }
                *end
            },
        )
        .await;
        began.into_inner()
    }

    #[tokio::test]
    async fn runs_begin_an_interval_apart_and_never_overlap() {
        use RunEnd::{Complete, Partial};
        let began = play(1, &[(60, Complete), (2_000, Partial), (60, Complete)]).await;
        assert_eq!(began, [(0, 0), (900, 0), (2_900, 0)]);
    }

    #[tokio::test]
    async fn failures_pause_longer_and_longer() {
        use RunEnd::{Complete, Failed};
        let began = play(
            1,
            &[
                (1, Failed),
                (1, Failed),
                (1, Failed),
                (1, Complete),
                (1, Complete),
            ],
        )
        .await;
        assert_eq!(began, [(0, 0), (31, 0), (92, 0), (213, 0), (1_113, 0)]);
    }

    #[tokio::test]
    async fn a_failing_configuration_holds_up_no_other() {
        use RunEnd::{Complete, Failed};
        let began = play(
            2,
            &[
                (1, Failed),
                (1, Complete),
                (1, Failed),
                (1, Complete),
                (1, Complete),
            ],
        )
        .await;
        assert_eq!(began, [(0, 0), (1, 1), (31, 0), (92, 0), (901, 1)]);
    }

    /// A clock whose pauses never end.
    struct Stands;

    impl Clock for Stands {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        async fn pause(&self, _: Duration) {
            pending::<()>().await;
        }
    }

    #[tokio::test]
    async fn a_pause_ends_when_the_worker_is_told_to_stop() {
        let (stop, runs) = (CancellationToken::new(), Cell::new(0));
        let looping = repeat(
            Schedule::new(1, EVERY),
            &Stands,
            || 0.0,
            &stop,
            async |_| {
                runs.set(runs.get() + 1);
                RunEnd::Complete
            },
        );
        let stopping = async {
            tokio::task::yield_now().await;
            stop.cancel();
        };
        tokio::join!(looping, stopping);
        assert_eq!(runs.get(), 1);
    }
}
