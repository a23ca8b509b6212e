//! Keeps the views up to date in the background, one refresh at a time.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use views::SkipReason;

/// Between two looks that nobody asked for: some callers never ask, and a request is lost with the server that heard it.
const UNASKED: Duration = Duration::from_secs(300);

/// Wakes up when it starts, when asked to and from time to time, and refreshes until nothing is stale.
#[derive(Clone)]
pub struct ViewRefresher {
    pool: PgPool,
    wanted: Arc<Notify>,
}

impl ViewRefresher {
    /// A refresher that sleeps.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            wanted: Arc::new(Notify::new()),
        }
    }

    /// Asks for a refresh; requests that come while one runs are served by one more.
    pub fn request(&self) {
        self.wanted.notify_one();
    }

    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        // Whoever stopped before may have left something to do.
        self.request();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(UNASKED) => {}
            }
            // Not inside select!: a refresh that began is finished.
            while !stop.is_cancelled() {
                match views::refresh(&self.pool).await {
                    Ok(outcome) => {
                        for view in &outcome.refreshed {
                            tracing::info!(
                                view = view.view,
                                rows = view.rows_total,
                                changed = view.rows_changed,
                                duration_ms = view.duration_ms,
                                "view refreshed"
                            );
                        }
                        // Another replica's refresh may have begun before the load that we were asked for.
                        if outcome.skipped_because != Some(SkipReason::AlreadyRunning) {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "the views could not be refreshed; trying again");
                    }
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
