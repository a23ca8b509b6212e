//! The pace towards Graph: a bucket of resource units, a limit of requests under way, and pauses for everybody.
//!
//! When Graph throttles one request, all of them pause: requests sent meanwhile would be refused and still be counted.
//! The limit halves then and grows back with each success.
//!
//! A crawl that has not asked for a while may begin fast: the bucket holds several seconds' worth, so that a small tenant is
//! read without a wait. What was spent is remembered for as long as Graph does, and no ten seconds get more than 120 % of
//! the pace, which is 72 % of what Graph gives a large tenant.

use std::{
    collections::VecDeque,
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

/// How long Graph remembers what was spent.
const WINDOW: Duration = Duration::from_secs(10);

/// What was spent within so much time is remembered together.
const GRAIN: Duration = Duration::from_millis(200);

/// So many seconds' worth of units may be spent at once.
const BURST_S: f64 = 6.0;

/// The same where Graph counts requests: its limits there leave no room.
const BURST_OF_REQUESTS_S: f64 = 2.0;

pub(crate) struct Lane {
    state: Mutex<State>,
    changed: Notify,
    units_per_s: f64,
    /// The most that the bucket holds.
    capacity: f64,
    max_in_flight: f64,
    /// Does Graph count requests here, whatever they cost in resource units?
    counts_requests: bool,
}

struct State {
    units: f64,
    refilled_at: Instant,
    spent: Spent,
    paused_until: Instant,
    easing_until: Instant,
    in_flight: usize,
    limit: f64,
}

/// What was spent within the last ten seconds.
#[derive(Debug, Default)]
struct Spent {
    /// When a grain of time began, and what was spent in it.
    grains: VecDeque<(Instant, f64)>,
    total: f64,
}

impl Spent {
    fn forget_old(&mut self, now: Instant) {
        while let Some((began, units)) = self.grains.front().copied() {
            if now < began + WINDOW + GRAIN {
                return;
            }
            self.total -= units;
            self.grains.pop_front();
        }
        // No rest of a rounded sum stays for ever.
        self.total = 0.0;
    }

    fn add(&mut self, now: Instant, units: f64) {
        self.total += units;
        match self.grains.back_mut() {
            Some((began, spent)) if now < *began + GRAIN => *spent += units,
            _ => self.grains.push_back((now, units)),
        }
    }

    /// When something of it is forgotten next.
    fn next_end(&self) -> Option<Instant> {
        let (began, _) = self.grains.front()?;
        Some(*began + WINDOW + GRAIN)
    }
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
        Self::bursting(units_per_10_s, max_in_flight, BURST_S)
    }

    fn bursting(units_per_10_s: f64, max_in_flight: usize, burst_s: f64) -> Self {
        let now = Instant::now();
        let units_per_s = (units_per_10_s / 10.0).max(0.1);
        let capacity = units_per_s * burst_s;
        let max_in_flight = max_in_flight.max(1) as f64;
        Self {
            state: Mutex::new(State {
                units: capacity,
                refilled_at: now,
                spent: Spent::default(),
                paused_until: now,
                easing_until: now,
                in_flight: 0,
                limit: max_in_flight,
            }),
            changed: Notify::new(),
            units_per_s,
            capacity,
            max_in_flight,
            counts_requests: false,
        }
    }

    /// A lane in which Graph counts requests.
    pub fn of_requests(per_10_s: f64, max_in_flight: usize) -> Self {
        Self {
            counts_requests: true,
            ..Self::bursting(per_10_s, max_in_flight, BURST_OF_REQUESTS_S)
        }
    }

    /// The most that is spent within ten seconds.
    fn most_in_window(&self) -> f64 {
        self.units_per_s * WINDOW.as_secs_f64() * 1.2
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
            let ready_at = match self.try_enter(&mut self.state(), Instant::now(), estimate) {
                Ok(()) => {
                    return Place {
                        lane: self,
                        estimate,
                    };
                }
                Err(ready_at) => ready_at,
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

    /// Takes a place now, or tells when to look again; `None` when somebody leaves.
    fn try_enter(
        &self,
        state: &mut State,
        now: Instant,
        estimate: f64,
    ) -> Result<(), Option<Instant>> {
        self.refill(state, now);
        state.spent.forget_old(now);
        if state.paused_until > now {
            return Err(Some(state.paused_until));
        }
        if state.in_flight as f64 >= state.limit.floor() {
            return Err(None);
        }
        if state.units <= 0.0 {
            let missing = 1.0 - state.units;
            let refilled = Duration::from_secs_f64(missing / self.pace(state, now));
            return Err(Some(now + refilled));
        }
        if let Some(end) = self.full_until(state, estimate) {
            return Err(Some(end));
        }
        state.units -= estimate;
        state.spent.add(now, estimate);
        state.in_flight += 1;
        Ok(())
    }

    /// What was estimated cost this much in truth.
    fn correct(&self, state: &mut State, now: Instant, estimate: f64, cost: Option<f64>) {
        if let Some(cost) = cost.filter(|_| !self.counts_requests) {
            state.units -= cost - estimate;
            state.spent.add(now, cost - estimate);
        }
    }

    /// When to look again, if these units are too many for the last ten seconds.
    fn full_until(&self, state: &State, units: f64) -> Option<Instant> {
        // Without anything to forget, waiting would be for ever: what is dearer than a window goes alone.
        let end = state.spent.next_end()?;
        (state.spent.total + units > self.most_in_window()).then_some(end)
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
        state.units = (state.units + gained).min(self.capacity);
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
        let now = Instant::now();
        self.lane.correct(&mut state, now, self.estimate, cost);
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
    fn a_rested_lane_begins_fast_and_no_ten_seconds_get_more_than_a_fifth_above_the_pace() {
        let lane = Lane::new(4_800.0, 8);
        let mut state = lane.state();
        let began = Instant::now();
        let mut spent: Vec<(Duration, f64)> = Vec::new();
        for after in (0..60_000).map(Duration::from_millis) {
            let now = began + after;
            if lane.try_enter(&mut state, now, 40.0).is_ok() {
                lane.correct(&mut state, now, 40.0, Some(45.0));
                state.in_flight -= 1;
                spent.push((after, 45.0));
            }
        }
        let within = |from: Duration, to: Duration| -> f64 {
            let fitting = spent.iter().filter(|(at, _)| (from..to).contains(at));
            fitting.map(|(_, units)| units).sum()
        };
        for (from, _) in &spent {
            let units = within(*from, *from + WINDOW);
            assert!(units <= 5_760.0 + 5.0, "{units} from {from:?}");
        }
        assert!(within(Duration::ZERO, Duration::from_secs(1)) > 2_880.0);
        let whole = within(Duration::ZERO, Duration::from_secs(60));
        let pace = 60.0 * 480.0;
        assert!((pace..pace + 2_880.0 + 45.0).contains(&whole), "{whole}");
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
