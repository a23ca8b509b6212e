//! Keeps the views up to date in the background, one refresh at a time.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use views::SkipReason;

use crate::run::refreshed;

/// Wakes up when asked to and refreshes until nothing is stale.
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
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wanted.notified() => {}
            }
            // Not inside select!: a refresh that began is finished.
            while !stop.is_cancelled() {
                let waiting = self.reports_that_wait().await;
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
                            self.settle(waiting).await;
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
    /// The reports of runs whose loads the next refresh brings in. Without them it is done all the same.
    async fn reports_that_wait(&self) -> Vec<(Uuid, DateTime<Utc>)> {
        refreshed::waiting(&self.pool)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "the reports that wait for a refresh could not be read");
                Vec::new()
            })
    }

    /// Notes in the reports that the views hold what their runs loaded.
    async fn settle(&self, waiting: Vec<(Uuid, DateTime<Utc>)>) {
        let settled = async {
            refreshed::settle(&self.pool, waiting).await?;
            // And those that came while it ran.
            refreshed::settle_if_fresh(&self.pool).await
        };
        if let Err(error) = settled.await {
            tracing::warn!(%error, "the refresh is done, and is noted in the runs' reports later");
        }
    }
}
