//! Request limits: resource units and report requests in sliding windows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::options::{Limit, Throttle};

/// What the meter says to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// How long to stay away, when rejected.
    pub(crate) wait: Option<Duration>,
    /// Share of the limit that is spent, this request included.
    pub(crate) used: f64,
}

/// What has been spent in the running window. Rejected requests are spent, too.
#[derive(Debug)]
struct Window {
    length: Duration,
    spent: VecDeque<(Instant, u32)>,
    total: u32,
}

impl Window {
    fn new(length: Duration) -> Self {
        Self {
            length,
            spent: VecDeque::new(),
            total: 0,
        }
    }

    fn charge(&mut self, now: Instant, units: u32, limit: u32) -> Verdict {
        while let Some((when, spent)) = self.spent.front().copied() {
            if now.duration_since(when) < self.length {
                break;
            }
            self.total -= spent;
            self.spent.pop_front();
        }
        let is_first = self.spent.is_empty();
        self.spent.push_back((now, units));
        self.total += units;
        let used = f64::from(self.total) / f64::from(limit.max(1));
        // A lone request passes whatever its price, or it could never pass.
        if self.total <= limit || is_first {
            return Verdict { wait: None, used };
        }
        Verdict {
            wait: Some(self.until_affordable(now, units, limit)),
            used,
        }
    }

    /// When enough of the window has passed for `units` to fit again.
    fn until_affordable(&self, now: Instant, units: u32, limit: u32) -> Duration {
        let mut total = self.total;
        for (when, spent) in &self.spent {
            total -= spent;
            if total + units <= limit {
                return self.length.saturating_sub(now.duration_since(*when));
            }
        }
        self.length
    }
}

/// The limits of one application in one tenant.
#[derive(Debug)]
pub(crate) struct Meter {
    settings: Throttle,
    units: Window,
    reports: Window,
}

impl Meter {
    pub(crate) fn new(settings: Throttle) -> Self {
        Self {
            settings,
            units: Window::new(settings.window),
            reports: Window::new(settings.window),
        }
    }

    pub(crate) fn settings(&self) -> Throttle {
        self.settings
    }

    /// Replaces the limits and forgets what was spent.
    pub(crate) fn reset(&mut self, settings: Throttle) {
        *self = Self::new(settings);
    }

    /// Charges a request; `users` is the size of the tenant.
    pub(crate) fn charge(
        &mut self,
        now: Instant,
        units: u32,
        users: usize,
        is_report: bool,
    ) -> Verdict {
        let limit = match self.settings.limit {
            Limit::Off => None,
            Limit::Units(units) => Some(units),
            Limit::ByTenantSize if users < 50 => Some(3_500),
            Limit::ByTenantSize if users <= 500 => Some(5_000),
            Limit::ByTenantSize => Some(8_000),
        };
        let mut verdict = limit.map_or(
            Verdict {
                wait: None,
                used: 0.0,
            },
            |limit| self.units.charge(now, units, limit),
        );
        if let Some(limit) = self.settings.report_requests.filter(|_| is_report) {
            let report = self.reports.charge(now, 1, limit);
            verdict.wait = verdict.wait.max(report.wait);
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn what_does_not_fit_is_told_when_it_will() {
        let start = Instant::now();
        let mut meter = Meter::new(Throttle::units(10, WINDOW));
        assert_eq!(meter.charge(start, 6, 0, false).wait, None);
        let later = start + Duration::from_secs(4);
        let verdict = meter.charge(later, 5, 0, false);
        assert_eq!(verdict.wait, Some(Duration::from_secs(6)));
        let recovered = meter.charge(later + Duration::from_secs(6), 5, 0, false);
        assert_eq!(recovered.wait, None);
    }

    #[test]
    fn rejected_requests_count() {
        let start = Instant::now();
        let mut meter = Meter::new(Throttle::units(10, WINDOW));
        meter.charge(start, 10, 0, false);
        let first = meter.charge(start, 5, 0, false).used;
        let second = meter.charge(start, 5, 0, false).used;
        assert!(second > first && first > 1.0);
    }

    #[test]
    fn the_limit_grows_with_the_tenant() {
        for (users, limit) in [(10, 3_500), (200, 5_000), (5_000, 8_000)] {
            let now = Instant::now();
            let mut meter = Meter::new(Throttle::on());
            assert_eq!(meter.charge(now, limit, users, false).wait, None);
            assert!(meter.charge(now, 1, users, false).wait.is_some());
        }
    }

    #[test]
    fn reports_have_a_lane_of_their_own() {
        let now = Instant::now();
        let mut meter = Meter::new(Throttle::on());
        for _ in 0..5 {
            assert_eq!(meter.charge(now, 1, 0, true).wait, None);
        }
        assert!(meter.charge(now, 1, 0, true).wait.is_some());
        assert_eq!(meter.charge(now, 1, 0, false).wait, None);
    }
}
