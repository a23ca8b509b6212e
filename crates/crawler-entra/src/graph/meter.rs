//! What requests cost, by the collection on whose behalf they are made.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use contract::{CollectionReport, Cost, Recovered};

/// The name of the meter for what belongs to no collection.
pub(crate) const OTHER: &str = "";

/// Counts and times are valid after any panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that goes wrong and may be got over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Throttled,
    ServerError,
    Connection,
    Timeout,
    UnreadableAnswer,
    RejectedToken,
    ExpiredPageToken,
    PagingLoop,
    MissingBatchItem,
    RepeatedBatchItem,
    RefusedDelta,
}

impl Fault {
    /// Counts it among those that are got over, once they are.
    pub fn add_to(self, faults: &mut Recovered) {
        let count = match self {
            Self::Throttled => &mut faults.throttled,
            Self::ServerError => &mut faults.server_error,
            Self::Connection => &mut faults.connection,
            Self::Timeout => &mut faults.timeout,
            Self::UnreadableAnswer => &mut faults.unreadable_answer,
            Self::RejectedToken => &mut faults.rejected_token,
            Self::ExpiredPageToken => &mut faults.expired_page_token,
            Self::PagingLoop => &mut faults.paging_loop,
            Self::MissingBatchItem => &mut faults.missing_batch_item,
            Self::RepeatedBatchItem => &mut faults.repeated_batch_item,
            Self::RefusedDelta => &mut faults.refused_delta,
        };
        *count += 1;
    }
}

/// What a collection has cost so far.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// All but the time.
    cost: Mutex<Cost>,
    pub(super) waits: Clock,
}

impl Meter {
    pub fn cost(&self) -> Cost {
        Cost {
            waited_ms: self.waits.millis(),
            ..*lock(&self.cost)
        }
    }

    pub(super) fn book(&self, change: impl FnOnce(&mut Cost)) {
        change(&mut lock(&self.cost));
    }

    /// These faults did no harm.
    pub fn got_over(&self, faults: Recovered) {
        self.book(|cost| cost.recovered += faults);
    }

    /// This fault did no harm.
    pub fn got_over_one(&self, fault: Fault) {
        self.book(|cost| fault.add_to(&mut cost.recovered));
    }

    /// What an earlier attempt cost.
    fn add(&self, before: Cost) {
        self.waits.add(Duration::from_millis(before.waited_ms));
        self.book(|cost| *cost += before);
    }
}

/// The time in which at least one waited.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Waited>);

#[derive(Debug, Default)]
struct Waited {
    /// How many wait, and since when the first of them does.
    waiting: usize,
    since: Option<Instant>,
    total: Duration,
}

/// Somebody waits, as long as this is there.
pub(super) struct Waiting<'a>(&'a Clock);

impl Clock {
    fn begin(&self) -> Waiting<'_> {
        let mut waited = lock(&self.0);
        waited.waiting += 1;
        waited.since.get_or_insert_with(Instant::now);
        Waiting(self)
    }

    fn add(&self, time: Duration) {
        lock(&self.0).total += time;
    }

    /// The time so far, waits under way included.
    pub fn millis(&self) -> u64 {
        let waited = lock(&self.0);
        let now = waited.since.map_or(Duration::ZERO, |since| since.elapsed());
        (waited.total + now).as_millis() as u64
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waited = lock(&self.0.0);
        waited.waiting -= 1;
        if waited.waiting == 0
            && let Some(since) = waited.since.take()
        {
            waited.total += since.elapsed();
        }
    }
}

/// Where a request's waits are counted: for the run and for its collection.
#[derive(Clone, Copy)]
pub(super) struct Waits<'a> {
    pub run: &'a Clock,
    pub collection: &'a Clock,
}

impl<'a> Waits<'a> {
    /// The request waits until this is dropped.
    pub fn begin(self) -> [Waiting<'a>; 2] {
        let run = self.run.begin();
        // Ends first, as it begins last: a collection never seems to have waited longer than the run.
        [self.collection.begin(), run]
    }
}

/// The meters of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    meters: Mutex<BTreeMap<String, Arc<Meter>>>,
    /// What is remembered for whoever goes on with the run.
    remembered: Mutex<BTreeMap<String, Cost>>,
}

impl Ledger {
    /// The meter of a collection.
    pub fn meter(&self, collection: &str) -> Arc<Meter> {
        let mut meters = lock(&self.meters);
        match meters.get(collection) {
            Some(meter) => meter.clone(),
            None => meters.entry(collection.to_owned()).or_default().clone(),
        }
    }

    /// Adds what an earlier attempt of the run cost.
    pub fn restore(&self, collection: &str, before: Cost) {
        self.meter(collection).add(before);
    }

    fn costs(&self) -> BTreeMap<String, Cost> {
        let meters = lock(&self.meters);
        let costs = meters.iter().map(|(name, one)| (name.clone(), one.cost()));
        costs.collect()
    }

    /// What all collections together cost. Their waits are no sum.
    pub fn total(&self) -> Cost {
        let mut total = Cost::default();
        for cost in self.costs().into_values() {
            total += cost;
        }
        total
    }

    /// What has grown since the last time, to be remembered.
    pub fn grown(&self) -> Vec<(String, Cost)> {
        let mut remembered = lock(&self.remembered);
        let mut grown = Vec::new();
        for (name, cost) in self.costs() {
            if remembered.get(&name) != Some(&cost) {
                remembered.insert(name.clone(), cost);
                grown.push((name, cost));
            }
        }
        grown
    }

    /// Writes into the lines what their collections cost, and answers what is left over. A line that an earlier attempt
    /// finished may have cost more since, where its list was read once more for others.
    pub fn settle(&self, lines: &mut [CollectionReport]) -> Cost {
        let mut costs = self.costs();
        for line in lines {
            if let Some(cost) = costs.remove(&line.collection) {
                line.cost = cost;
            }
        }
        let mut other = Cost::default();
        for cost in costs.into_values() {
            other += cost;
        }
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(requests: u64) -> Cost {
        Cost {
            requests,
            ..Cost::default()
        }
    }

    #[test]
    fn what_an_earlier_attempt_cost_is_added_and_what_no_line_has_is_left_over() {
        let ledger = Ledger::default();
        ledger.meter("users").book(|cost| cost.requests += 2);
        ledger.meter(OTHER).book(|cost| cost.requests += 3);
        ledger.restore("users", requests(10));
        ledger.restore("list of groups", requests(20));
        assert_eq!(ledger.total(), requests(35));
        let mut lines = ["users", "guests"].map(|name| crate::collect::skipped(name, ""));
        assert_eq!(ledger.settle(&mut lines), requests(23));
        assert_eq!(lines.map(|line| line.cost), [requests(12), requests(0)]);
    }

    #[test]
    fn only_what_has_grown_is_remembered_again() {
        let ledger = Ledger::default();
        let users = ledger.meter("users");
        users.book(|cost| cost.requests += 2);
        ledger.restore("groups", requests(1));
        assert_eq!(ledger.grown().len(), 2);
        users.got_over_one(Fault::PagingLoop);
        let grown = ledger.grown();
        assert_eq!(grown.len(), 1);
        assert_eq!((grown[0].0.as_str(), grown[0].1), ("users", users.cost()));
        assert_eq!(ledger.grown(), []);
    }

    #[test]
    fn waits_at_the_same_time_count_once() {
        let clock = Clock::default();
        let (first, second) = (clock.begin(), clock.begin());
        drop(first);
        assert!(lock(&clock.0).since.is_some(), "one still waits");
        assert_eq!(lock(&clock.0).total, Duration::ZERO);
        drop(second);
        let waited = lock(&clock.0).total;
        assert!(lock(&clock.0).since.is_none());
        drop(clock.begin());
        assert!(lock(&clock.0).total >= waited);
        clock.add(Duration::from_secs(7));
        assert!(clock.millis() >= 7_000);
    }
}
