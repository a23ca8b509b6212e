//! Answers that take long: they end soon after their key, session or role does.

use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Caller, authenticate::still_works};
use crate::{app::AppState, people};

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Follows a caller's key or session while a long answer is sent, and says when it does not work any more.
#[derive(Debug)]
pub struct Watch {
    ended: CancellationToken,
    _nobody_asks: DropGuard,
}

impl Watch {
    /// Begins to follow; ends with the value.
    pub fn over(state: &AppState, caller: &Caller) -> Self {
        let (ended, nobody_asks) = (CancellationToken::new(), CancellationToken::new());
        let watch = Self {
            ended: ended.clone(),
            _nobody_asks: nobody_asks.clone().drop_guard(),
        };
        let (state, caller) = (state.clone(), caller.clone());
        tokio::spawn(async move {
            // Questions are not cut off half-way: only the pauses between them are.
            while tokio::time::timeout(EVERY, nobody_asks.cancelled())
                .await
                .is_err()
            {
                match still_may(&state, &caller).await {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::info!(
                            caller = caller.actor(),
                            "an answer ends with its caller's right to it"
                        );
                        return ended.cancel();
                    }
                    // Who needs the database for the answer will find out.
                    Err(error) => tracing::debug!(%error, "a caller could not be looked at"),
                }
            }
        });
        watch
    }

    /// Returns when the caller may not any more.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// Does the key work still, and may the person still what they might when the answer began?
async fn still_may(state: &AppState, caller: &Caller) -> Result<bool, sqlx::Error> {
    if let Some(key) = caller.key()
        && !still_works(&state.pool, &key.key_id, caller.origin.address).await?
    {
        return Ok(false);
    }
    match caller.person() {
        Some(person) => people::still_may(state, person).await,
        None => Ok(true),
    }
}
