//! How one try of a request ended, and what the head of an answer tells.

use std::time::Duration;

use chrono::Utc;
use ingest_client::retry::parse_retry_after;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::{Fault, GraphError};

/// How one try ended.
pub(super) enum Try<T> {
    Done(T),
    Refused(GraphError),
    Throttled(Option<Duration>),
    TokenRejected(u64),
    Failed {
        last: String,
        fault: Fault,
        retry_after: Option<Duration>,
    },
}

impl<T> Try<T> {
    /// What went wrong, if the request is to be sent again.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Done(_) | Self::Refused(_) => None,
            Self::Throttled(_) => Some(Fault::Throttled),
            Self::TokenRejected(_) => Some(Fault::RejectedToken),
            Self::Failed { fault, .. } => Some(*fault),
        }
    }
}

/// A try whose connection failed.
pub(super) fn broken<T>(error: &reqwest::Error) -> Try<T> {
    Try::Failed {
        last: failure_class(error).to_owned(),
        fault: if error.is_timeout() {
            Fault::Timeout
        } else {
            Fault::Connection
        },
        retry_after: None,
    }
}

fn header_number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let number: f64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

/// How near its limit Graph is: 1.0 is where throttling begins.
pub(super) fn limit_share(headers: &HeaderMap) -> Option<f64> {
    header_number(headers, "x-ms-throttle-limit-percentage")
}

/// Resource units that the request cost, if the answer tells.
pub(super) fn resource_units(headers: &HeaderMap) -> Option<f64> {
    header_number(headers, "x-ms-resource-unit").and_then(price)
}

/// These units, if they can be what a request costs.
pub(super) fn price(units: f64) -> Option<f64> {
    (0.0..1000.0).contains(&units).then_some(units)
}

/// What a request cost that was answered with this status, in whole units: Graph has no others. Refused requests count; those
/// that failed or brought a token that is worth nothing count only where that is told.
pub(super) fn units_of(told: Option<f64>, status: u16, estimate: f64) -> u64 {
    let is_charged = !matches!(status, 401 | 408 | 424 | 500..=599);
    let units = told.or_else(|| is_charged.then_some(estimate));
    units.unwrap_or(0.0).ceil() as u64
}

/// How long Graph asks to wait.
pub(super) fn retry_after_in(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(text, Utc::now())
}

/// The class of a failure, in words that hold no address, header or body.
pub(crate) fn failure_class(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the connection broke"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_counts_and_where_nothing_is_told_the_estimate_of_what_graph_charges() {
        for (told, status, units) in [
            (Some(3.0), 200, 3),
            (Some(1.2), 200, 2),
            (Some(3.0), 503, 3),
            (None, 200, 5),
            (None, 404, 5),
            (None, 429, 5),
            (None, 401, 0),
            (None, 504, 0),
        ] {
            assert_eq!(units_of(told, status, 4.5), units, "{told:?} {status}");
        }
        for nonsense in [-1.0, 1e9, f64::NAN] {
            assert_eq!(price(nonsense), None, "{nonsense}");
        }
    }
}
