//! Why work stops early, and how a cancelled run leaves the register in order.
//!
//! A request to the register that was begun is never dropped: the register acts on it all the same, and a session that it
//! opens for nobody blocks its scope for a day. Cancelling is therefore noticed between requests, and a request under way is
//! awaited, though not for long. Reading from Graph leaves no traces and is dropped at once.

use std::{future::Future, time::Duration};

use ingest_client::ClientError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::graph::GraphError;

/// How long a cancelled run waits for a request to the register that is under way. With what it takes to abort the
/// session, it is less than a service manager waits before it kills.
const LAST_REQUEST: Duration = Duration::from_secs(3);

/// Why a collection stopped before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error(transparent)]
    Source(#[from] GraphError),
    #[error("{}{}", .0, advice(.0))]
    Register(#[from] ClientError),
}

impl Stopped {
    pub fn cancelled() -> Self {
        Self::Source(GraphError::Cancelled)
    }

    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Source(GraphError::Cancelled))
    }
}

/// What a person can do about a refusal of the register.
fn advice(error: &ClientError) -> &'static str {
    match error {
        ClientError::SessionInTheWay {
            status: Some(_), ..
        } => "; wait until that crawl has ended, or, if it was killed, run again with --take-over",
        ClientError::SessionInTheWay { status: None, .. } => {
            "; wait until that crawl has ended, or, if it was killed, run again with its key and --take-over; without either, it expires 24 hours after its last batch"
        }
        _ => "",
    }
}

/// Work that may be dropped at any moment; a cancelled run drops it.
pub(crate) async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Stopped> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Stopped::cancelled()),
        done = work => Ok(done?),
    }
}

/// A request to the register. A cancelled run does not begin it; once begun it is awaited, for a few seconds after the
/// cancelling. `Err` with [`Stopped::cancelled`] after a beginning means that nobody knows what became of it.
pub(crate) async fn once_begun<T>(
    cancel: &CancellationToken,
    request: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Stopped> {
    if cancel.is_cancelled() {
        return Err(Stopped::cancelled());
    }
    tokio::pin!(request);
    tokio::select! {
        biased;
        answered = &mut request => return Ok(answered?),
        () = cancel.cancelled() => {}
    }
    match timeout(LAST_REQUEST, request).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(Stopped::cancelled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_under_way_is_awaited_and_none_is_begun_after_the_cancelling() {
        let cancel = CancellationToken::new();
        let request = async {
            cancel.cancel();
            tokio::task::yield_now().await;
            Ok(7)
        };
        let answered = once_begun(&cancel, request).await;
        assert_eq!(answered.expect("awaited"), 7);
        let begun = once_begun::<()>(&cancel, async { panic!("must not begin") }).await;
        assert!(begun.is_err_and(|stopped| stopped.is_cancelled()));
    }
}
