//! Work that must not stop half-way.

use std::{future::Future, time::Duration};

use rand::RngExt;
use tracing::Instrument as _;

use crate::error::ApiError;

/// Runs a handler's work to its end even if the client leaves. axum drops a handler's future when the connection
/// closes; a database call that is dropped half-way can poison its pooled session (transact-rs/sqlx#4385).
pub async fn durable<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
{
    // In the caller's span, so that what is logged on the way names its request.
    tokio::spawn(work.in_current_span())
        .await
        .map_err(ApiError::internal)?
}

/// How often a transaction that lost against another one is repeated.
const ATTEMPTS: u32 = 6;

/// Repeats a whole transaction while it loses against others (same new rows, deadlock), with a growing random pause.
pub async fn retrying<T, F, W>(mut work: W) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
    W: FnMut() -> F,
{
    for attempt in 1..ATTEMPTS {
        match work().await {
            Err(ApiError::Contention) => {
                let pause =
                    rand::rng().random_range(0..20 * u64::from(attempt) * u64::from(attempt));
                tracing::debug!(
                    attempt,
                    pause,
                    "a transaction lost against another one; repeating it"
                );
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            other => return other,
        }
    }
    work().await
}
