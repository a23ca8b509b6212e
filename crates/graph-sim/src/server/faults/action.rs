//! What a fault does.

use std::time::Duration;

use super::Kind;

/// The body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultBody {
    /// Graph's error shape.
    Json {
        /// Error code.
        code: String,
        /// Message.
        message: String,
    },
    /// A gateway's HTML page.
    Html,
    /// Nothing.
    Empty,
}

/// What happens to a request that is hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultAction {
    /// Answer with this status.
    Answer {
        /// HTTP status.
        status: u16,
        /// Body.
        body: FaultBody,
        /// `Retry-After` as it goes on the wire.
        retry_after: Option<String>,
    },
    /// Answer 200 with an empty list and no next page.
    EmptyList,
    /// Give a page whose next link leads to itself.
    RepeatPage,
    /// Close the connection without an answer (the whole batch, inside a batch).
    ResetConnection,
    /// Send half of the body, then close the connection (the whole batch, inside a batch).
    TruncateBody,
    /// Leave the part out of its batch's answer; outside a batch the connection is closed.
    OmitFromBatch,
    /// Put the part into its batch's answer twice; nothing outside a batch.
    RepeatInBatch,
    /// Send the body in so many parts with a pause before each but the first (the
    /// whole batch, inside a batch). Two parts and a long pause are a stall.
    SlowBody {
        /// Number of parts.
        parts: usize,
        /// Pause between two parts; divided by the time scale.
        pause: Duration,
    },
    /// Every token given out so far expires, this request's first.
    ExpireTokens,
    /// Refuse page tokens that are old or far from the first page. Counts as a hit
    /// only when a token is refused.
    ExpirePageTokens {
        /// Refuse pages after this many.
        after_pages: Option<u64>,
        /// Refuse tokens of this age; divided by the time scale.
        after: Option<Duration>,
    },
    /// Later pages lead back to the page before: first, second, first, second …
    CyclePages,
    /// Later pages begin with the last objects of the page before.
    RepeatItems,
    /// The next page (or, after the last, the deltaLink or a made-up page) is on the
    /// foreign host.
    ForeignLink,
    /// Answer with a redirect to the foreign host.
    RedirectAbroad,
    /// Add an object of a type that nobody knows to the last page of a list.
    UnknownType,
}

impl FaultAction {
    /// Whether it can do anything to such a request.
    pub(crate) fn applies_to(&self, kind: Kind) -> bool {
        let breaks = matches!(
            self,
            Self::Answer { .. } | Self::ResetConnection | Self::TruncateBody | Self::OmitFromBatch
        );
        match kind {
            Kind::Single => *self != Self::RepeatInBatch,
            Kind::Part => true,
            Kind::Batch => breaks || matches!(self, Self::SlowBody { .. } | Self::ExpireTokens),
            Kind::Token => breaks,
        }
    }

    /// A short name for statistics.
    pub(crate) fn name(&self) -> String {
        let name = match self {
            Self::Answer { status, .. } => return format!("status {status}"),
            Self::EmptyList => "empty list",
            Self::RepeatPage => "repeated page",
            Self::ResetConnection => "connection reset",
            Self::TruncateBody => "truncated body",
            Self::OmitFromBatch => "omitted from batch",
            Self::RepeatInBatch => "repeated in batch",
            Self::SlowBody { .. } => "slow body",
            Self::ExpireTokens => "expired token",
            Self::ExpirePageTokens { .. } => "expired page token",
            Self::CyclePages => "cycle of pages",
            Self::RepeatItems => "repeated items",
            Self::ForeignLink => "foreign link",
            Self::RedirectAbroad => "redirect abroad",
            Self::UnknownType => "unknown type",
        };
        name.to_owned()
    }
}
