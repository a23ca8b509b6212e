//! Answers that take long: they end soon after their key does.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Caller, authenticate::still_works};

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Follows a caller's key while a long answer is sent, and says when it does not work any more.
#[derive(Debug)]
pub struct Watch {
    ended: CancellationToken,
    _nobody_asks: DropGuard,
}

impl Watch {
    /// Begins to follow; ends with the value.
    pub fn over(pool: &PgPool, caller: &Caller) -> Self {
        let (ended, nobody_asks) = (CancellationToken::new(), CancellationToken::new());
        let watch = Self {
            ended: ended.clone(),
            _nobody_asks: nobody_asks.clone().drop_guard(),
        };
        let (pool, caller) = (pool.clone(), caller.clone());
        tokio::spawn(async move {
            // Questions are not cut off half-way: only the pauses between them are.
            while tokio::time::timeout(EVERY, nobody_asks.cancelled())
                .await
                .is_err()
            {
                match still_works(&pool, &caller).await {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::info!(key = caller.key.key_id, "an answer ends with its key");
                        return ended.cancel();
                    }
                    // Who needs the database for the answer will find out.
                    Err(error) => tracing::debug!(%error, "a key could not be looked at"),
                }
            }
        });
        watch
    }

    /// Returns when the key does not work any more.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}
