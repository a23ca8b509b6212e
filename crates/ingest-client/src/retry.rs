//! When and how long to wait before a request is sent again.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How often and how patiently a call is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub max_attempts: u32,
    /// The wait after the first failure is random between zero and this; it doubles with each further failure.
    pub first_backoff: Duration,
    /// No backoff is longer.
    pub max_backoff: Duration,
    /// A `Retry-After` is honoured up to this.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            first_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// The wait after the `failures`-th failure in a row (from 1): what the server asked for, else backoff with full jitter.
    pub fn wait(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        match retry_after {
            Some(asked) => asked.min(self.max_retry_after),
            None => full_jitter(failures, self.first_backoff, self.max_backoff),
        }
    }
}

/// A random wait between zero and `first * 2^(failures - 1)`, at most `cap`.
pub fn full_jitter(failures: u32, first: Duration, cap: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let ceiling = first.saturating_mul(1 << doublings).min(cap);
    ceiling.mul_f64(rand::random_range(0.0..=1.0))
}

/// Reads a `Retry-After`: whole or fractional seconds, or an HTTP date. `None` for anything else (empty, negative, words),
/// so that the caller falls back to its own backoff.
pub fn parse_retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let moment = DateTime::parse_from_rfc2822(value).ok()?;
    // A date that has passed means "now".
    Some((moment.to_utc() - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-02-03T07:20:00Z".parse().expect("date")
    }

    #[test]
    fn retry_after_is_read_as_seconds_fractions_and_http_dates() {
        let read = |text| parse_retry_after(text, now());
        assert_eq!(read("10"), Some(Duration::from_secs(10)));
        assert_eq!(read(" 2.128 "), Some(Duration::from_millis(2128)));
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(
            read("Tue, 03 Feb 2026 07:20:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(read("Tue, 03 Feb 2026 07:19:30 GMT"), Some(Duration::ZERO));
        assert_eq!(read("86400"), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn a_retry_after_that_makes_no_sense_counts_as_absent() {
        for nonsense in ["", " ", "-1", "soon", "NaN", "inf", "1e400", "Tue, 99 Feb"] {
            assert_eq!(parse_retry_after(nonsense, now()), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_wait_never_exceeds_its_cap_and_honours_what_the_server_asked() {
        let policy = RetryPolicy::default();
        let asked = Duration::from_secs(7);
        assert_eq!(policy.wait(1, Some(asked)), asked);
        assert_eq!(
            policy.wait(1, Some(Duration::from_secs(86_400))),
            policy.max_retry_after
        );
        for failures in 0..100 {
            assert!(policy.wait(failures, None) <= policy.max_backoff);
        }
        assert!(full_jitter(1, asked, policy.max_backoff) <= asked);
    }
}
