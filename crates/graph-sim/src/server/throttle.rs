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
    calls: Window,
    charged: u64,
    time_scale: f64,
}

impl Meter {
    pub(crate) fn new(settings: Throttle, time_scale: f64) -> Self {
        let window = settings.window.div_f64(time_scale);
        Self {
            settings,
            units: Window::new(window),
            reports: Window::new(window),
            calls: Window::new(Duration::from_secs(1).div_f64(time_scale)),
            charged: 0,
            time_scale,
        }
    }

    pub(crate) fn settings(&self) -> Throttle {
        self.settings
    }

    /// Replaces the limits and forgets what was spent.
    pub(crate) fn reset(&mut self, settings: Throttle) {
        *self = Self::new(settings, self.time_scale);
    }

    /// Counts an HTTP call against the hard cap.
    pub(crate) fn call(&mut self, now: Instant) -> Option<Verdict> {
        let limit = self.settings.calls_per_second?;
        let verdict = self.calls.charge(now, 1, limit);
        verdict.wait.is_some().then_some(verdict)
    }

    /// The limit, or what a neighbour leaves of it.
    fn left_of(&self, limit: u32) -> u32 {
        match self.settings.neighbour {
            Some(neighbour) if self.charged > neighbour.after_requests => {
                let left = 100_u64.saturating_sub(u64::from(neighbour.percent));
                u32::try_from(u64::from(limit) * left / 100).unwrap_or(limit)
            }
            _ => limit,
        }
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
        self.charged += 1;
        let limit = limit.map(|limit| self.left_of(limit));
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
    use crate::options::Neighbour;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn what_does_not_fit_is_told_when_it_will() {
        let start = Instant::now();
        let mut meter = Meter::new(Throttle::units(10, WINDOW), 1.0);
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
        let mut meter = Meter::new(Throttle::units(10, WINDOW), 1.0);
        meter.charge(start, 10, 0, false);
        let first = meter.charge(start, 5, 0, false).used;
        let second = meter.charge(start, 5, 0, false).used;
        assert!(second > first && first > 1.0);
    }

    #[test]
    fn the_limit_grows_with_the_tenant() {
        for (users, limit) in [(10, 3_500), (200, 5_000), (5_000, 8_000)] {
            let now = Instant::now();
            let mut meter = Meter::new(Throttle::on(), 1.0);
            assert_eq!(meter.charge(now, limit, users, false).wait, None);
            assert!(meter.charge(now, 1, users, false).wait.is_some());
        }
    }

    #[test]
    fn reports_have_a_lane_of_their_own() {
        let now = Instant::now();
        let mut meter = Meter::new(Throttle::on(), 1.0);
        for _ in 0..5 {
            assert_eq!(meter.charge(now, 1, 0, true).wait, None);
        }
        assert!(meter.charge(now, 1, 0, true).wait.is_some());
        assert_eq!(meter.charge(now, 1, 0, false).wait, None);
    }

    #[test]
    fn a_neighbour_takes_a_share_of_the_limit() {
        let now = Instant::now();
        let throttle = Throttle {
            neighbour: Some(Neighbour {
                after_requests: 4,
                percent: 50,
            }),
            ..Throttle::units(10, WINDOW)
        };
        let mut meter = Meter::new(throttle, 1.0);
        let waits: Vec<bool> = (0..6)
            .map(|_| meter.charge(now, 1, 0, false).wait.is_some())
            .collect();
        assert_eq!(waits, [false, false, false, false, false, true]);
    }

    #[test]
    fn the_time_scale_shortens_windows_and_waits() {
        let now = Instant::now();
        let mut meter = Meter::new(Throttle::units(10, WINDOW), 100.0);
        meter.charge(now, 10, 0, false);
        let wait = meter.charge(now, 1, 0, false).wait.expect("over the limit");
        assert_eq!(wait, Duration::from_millis(100));
    }

    #[test]
    fn calls_have_a_cap_of_their_own() {
        let now = Instant::now();
        let throttle = Throttle {
            calls_per_second: Some(3),
            ..Throttle::off()
        };
        let mut meter = Meter::new(throttle, 1.0);
        let refused = (0..5).filter(|_| meter.call(now).is_some()).count();
        assert_eq!(refused, 2);
        assert!(meter.call(now + Duration::from_secs(1)).is_none());
    }
}
