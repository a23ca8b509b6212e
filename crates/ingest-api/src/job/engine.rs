//! What a server does about jobs beside answering: it looks after leases and schedules, and wakes claims that wait.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::{Notify, futures::Notified};
use tokio_util::sync::CancellationToken;

use super::{Settings, sweep};
use crate::schedule;

/// Between two looks at what is old.
const TIDY: Duration = Duration::from_secs(3_600);

/// The jobs of this server.
#[derive(Clone)]
pub struct Jobs {
    pool: PgPool,
    settings: Arc<Settings>,
    queued: Arc<Notify>,
    closing: CancellationToken,
}

impl Jobs {
    /// Nothing runs yet.
    pub fn new(pool: PgPool, settings: Settings) -> Self {
        Self {
            pool,
            settings: Arc::new(settings),
            queued: Arc::new(Notify::new()),
            closing: CancellationToken::new(),
        }
    }

    /// How leases are given.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// There may be a job for somebody who waits.
    pub fn wake(&self) {
        self.queued.notify_waiters();
    }

    /// The next [`wake`](Self::wake).
    pub(super) fn queued(&self) -> Notified<'_> {
        self.queued.notified()
    }

    /// The server stops: nobody is kept waiting.
    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Looks after jobs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut tidy_in = Duration::ZERO;
        while !stop.is_cancelled() {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "jobs and schedules could not be looked after; trying again");
            }
            if tidy_in.is_zero() {
                tidy_in = TIDY;
                if let Err(error) = sweep::tidy(&self.pool, &self.settings).await {
                    tracing::warn!(%error, "old jobs could not be removed; trying again later");
                }
            }
            tidy_in = tidy_in.saturating_sub(self.settings.look);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.settings.look) => {}
            }
        }
        self.closing.cancel();
    }

    async fn look(&self) -> Result<(), sqlx::Error> {
        let taken_back = sweep::sweep(&self.pool, &self.settings).await?;
        let fired = schedule::fire_due(&self.pool, None, self.settings.max_attempts).await?;
        if taken_back + fired > 0 {
            self.wake();
        }
        Ok(())
    }
}
