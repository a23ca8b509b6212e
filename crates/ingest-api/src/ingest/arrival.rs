//! When a call arrived: its source was read before that.

use std::{convert::Infallible, time::Instant};

use axum::{extract::FromRequestParts, http::request::Parts};

use super::envelope::Envelope;

/// The moment at which a call's head was there. Its body may take long to follow, and wait for room after that; what
/// other loads write meanwhile is newer than what the call knows.
#[derive(Debug, Clone, Copy)]
pub struct ArrivedAt(Instant);

impl ArrivedAt {
    /// How long ago the reading of the call's source began: before it arrived, or earlier if it says so.
    pub fn read_began_ms_ago(self, envelope: &Envelope) -> u64 {
        let waited = self.0.elapsed().as_millis() as u64;
        envelope
            .read_began_ms_ago
            .unwrap_or(0)
            // A part of a millisecond counts whole.
            .saturating_add(waited + 1)
    }
}

impl<S: Sync> FromRequestParts<S> for ArrivedAt {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Instant::now()))
    }
}
