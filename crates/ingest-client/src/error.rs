//! What can go wrong between a crawler and the register.

use chrono::{DateTime, Utc};
use contract::{Problem, session::SessionStatus};
use uuid::Uuid;

/// A call to the register that did not succeed. No variant ever holds the API key.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base address cannot be used; correct the configuration.
    #[error("the register's address cannot be used: {0}")]
    BadAddress(String),
    /// The API key cannot be sent; it must be visible ASCII. Correct the configuration.
    #[error("the API key cannot be sent: it holds characters that no key has")]
    BadKey,
    /// The HTTP client could not be set up (no trusted roots, for example).
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
    /// The register refused the call. Sending the same again will be refused again.
    #[error("{operation}: the register answered {problem}")]
    Refused {
        /// What was asked for.
        operation: &'static str,
        /// The register's problem document.
        problem: Box<Problem>,
    },
    /// Another session of the same scope is open: wait for it, or open with `take_over`.
    #[error("{}", in_the_way(*.sync_id, .status.as_deref()))]
    SessionInTheWay {
        /// The other session.
        sync_id: Uuid,
        /// Where it stands; absent when it belongs to another key, which cannot be taken over either.
        status: Option<Box<SessionStatus>>,
    },
    /// The register could not be reached, or stayed overloaded, for as long as the retry policy allows.
    #[error("{operation}: the register could not be reached in {attempts} tries: {reason}")]
    Unreachable {
        /// What was asked for.
        operation: &'static str,
        /// How often it was tried.
        attempts: u32,
        /// The class of the last failure; never an address or a body.
        reason: String,
    },
    /// The register answered something that is no answer of the ingest API; the address is probably wrong.
    #[error("{operation}: the answer (HTTP {status}) is none of the ingest API's: {reason}")]
    UnusableAnswer {
        /// What was asked for.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// A record could not be written as JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Unserialisable(String),
    /// The records could not be compressed.
    #[error("a batch could not be compressed: {0}")]
    Compression(String),
    /// A batch task ended without a result (it panicked or the runtime stopped).
    #[error("a batch ended without an answer")]
    Interrupted,
}

fn in_the_way(sync_id: Uuid, status: Option<&SessionStatus>) -> String {
    let minute = |moment: DateTime<Utc>| moment.format("%Y-%m-%d %H:%M UTC");
    match status {
        Some(status) => format!(
            "session {sync_id} of another crawl is in the way: it is open since {} and expires at {}",
            minute(status.opened_at),
            minute(status.expires_at)
        ),
        None => {
            format!(
                "session {sync_id} of another crawl, opened with another API key, is in the way"
            )
        }
    }
}

impl ClientError {
    /// The register's HTTP status, where it answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { problem, .. } => Some(problem.status),
            Self::SessionInTheWay { .. } => Some(409),
            Self::UnusableAnswer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The register's problem document, where it sent one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }
}
