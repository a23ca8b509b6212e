//! The pace towards Graph: a bucket of resource units, a limit of requests under way, and pauses for everybody.
//!
//! When Graph throttles one request, all of them pause: requests sent meanwhile would be refused and still be counted.
//! The limit halves then and grows back with each success.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::meter::Waits;

/// How long the pace stays halved after Graph reported being near its limit.
const EASING: Duration = Duration::from_secs(30);

pub(crate) struct Lane {
    state: Mutex<State>,
    changed: Notify,
    units_per_s: f64,
    max_in_flight: f64,
    /// Does Graph count requests here, whatever they cost in resource units?
    counts_requests: bool,
}

struct State {
    units: f64,
    refilled_at: Instant,
    paused_until: Instant,
    easing_until: Instant,
    in_flight: usize,
    limit: f64,
}

/// A place in the lane; leaving it frees the place.
pub(crate) struct Place<'a> {
    lane: &'a Lane,
    estimate: f64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.state().in_flight -= 1;
        self.lane.changed.notify_one();
    }
}

impl Lane {
    pub fn new(units_per_10_s: f64, max_in_flight: usize) -> Self {
        let now = Instant::now();
        let units_per_s = (units_per_10_s / 10.0).max(0.1);
        let max_in_flight = max_in_flight.max(1) as f64;
        Self {
            state: Mutex::new(State {
                units: Self::capacity(units_per_s),
                refilled_at: now,
                paused_until: now,
                easing_until: now,
                in_flight: 0,
                limit: max_in_flight,
            }),
            changed: Notify::new(),
            units_per_s,
            max_in_flight,
            counts_requests: false,
        }
    }

    /// A lane in which Graph counts requests.
    pub fn of_requests(per_10_s: f64, max_in_flight: usize) -> Self {
        Self {
            counts_requests: true,
            ..Self::new(per_10_s, max_in_flight)
        }
    }

    /// A burst of two seconds' worth keeps any ten-second window within 120 % of the pace.
    fn capacity(units_per_s: f64) -> f64 {
        units_per_s * 2.0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a handful of numbers, valid after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place and takes what the requests probably cost out of the bucket, into debt if need be. That others of ours
    /// are under way is no wait that anybody asked for, and is not counted.
    pub async fn enter(&self, units: f64, requests: u64, waits: Waits<'_>) -> Place<'_> {
        let estimate = if self.counts_requests {
            requests as f64
        } else {
            units
        };
        loop {
            let ready_at = {
                let mut state = self.state();
                let now = Instant::now();
                self.refill(&mut state, now);
                if state.paused_until > now {
                    Some(state.paused_until)
                } else if state.in_flight as f64 >= state.limit.floor() {
                    None
                } else if state.units <= 0.0 {
                    let pace = self.pace(&state, now);
                    Some(now + Duration::from_secs_f64((-state.units + 1.0) / pace))
                } else {
                    state.units -= estimate;
                    state.in_flight += 1;
                    return Place {
                        lane: self,
                        estimate,
                    };
                }
            };
            match ready_at {
                Some(moment) => {
                    let _waiting = waits.begin();
                    sleep_until(moment).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn pace(&self, state: &State, now: Instant) -> f64 {
        if state.easing_until > now {
            self.units_per_s / 2.0
        } else {
            self.units_per_s
        }
    }

    fn refill(&self, state: &mut State, now: Instant) {
        let gained = (now - state.refilled_at).as_secs_f64() * self.pace(state, now);
        state.units = (state.units + gained).min(Self::capacity(self.units_per_s));
        state.refilled_at = now;
    }

    /// Graph asked to wait. Nobody enters before that; what is under way goes on.
    pub fn pause(&self, wait: Duration) {
        let mut state = self.state();
        let now = Instant::now();
        let until = now + wait;
        state.paused_until = state.paused_until.max(until);
        state.limit = (state.limit / 2.0).max(1.0);
    }

    /// Graph reported how near its limit it is (1.0 = throttling begins).
    pub fn near_limit(&self, share: f64) {
        if share >= 0.8 {
            self.state().easing_until = Instant::now() + EASING;
        }
    }
}

impl Place<'_> {
    /// The request went well and cost this much, if Graph said.
    pub fn succeeded(&self, cost: Option<f64>) {
        let mut state = self.lane.state();
        if let Some(cost) = cost.filter(|_| !self.lane.counts_requests) {
            state.units -= cost - self.estimate;
        }
        state.limit = (state.limit + 1.0 / state.limit).min(self.lane.max_in_flight);
        drop(state);
        self.lane.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::meter::Clock, *};

    #[test]
    fn a_pause_halves_the_limit_and_a_shorter_one_does_not_end_it() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("runtime");
        runtime.block_on(async {
            let lane = Lane::new(4_800.0, 8);
            lane.pause(Duration::from_secs(100));
            let until = lane.state().paused_until;
            lane.pause(Duration::from_secs(50));
            let state = lane.state();
            assert_eq!(state.paused_until, until);
            assert!((state.limit - 2.0).abs() < f64::EPSILON);
        });
    }

    fn waits(clock: &Clock) -> Waits<'_> {
        Waits {
            run: clock,
            collection: clock,
        }
    }

    #[test]
    fn a_lane_of_requests_minds_their_number_and_not_their_price() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("runtime");
        runtime.block_on(async {
            let (lane, clock) = (Lane::of_requests(5.0, 1), Clock::default());
            let before = lane.state().units;
            let place = lane.enter(100.0, 1, waits(&clock)).await;
            place.succeeded(Some(100.0));
            drop(place);
            let spent = before - lane.state().units;
            assert!((0.5..=1.0).contains(&spent), "{spent}");
        });
    }

    #[test]
    fn a_cheaper_answer_gives_units_back_and_a_dearer_one_takes_more() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("runtime");
        runtime.block_on(async {
            let (lane, clock) = (Lane::new(10.0, 8), Clock::default());
            let before = lane.state().units;
            let place = lane.enter(10.0, 1, waits(&clock)).await;
            place.succeeded(Some(25.0));
            drop(place);
            let state = lane.state();
            assert!(state.units <= before - 24.0, "{}", state.units);
            assert_eq!(state.in_flight, 0);
        });
    }
}
