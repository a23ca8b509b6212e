//! Bytes from the connection, bounded in number and in how slowly they may come.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use crate::error::ApiError;

/// How slow a client may be. Only time in which the server waits for the client counts.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Longest wait for the next byte, and the time over which the rate is looked at.
    pub patience: Duration,
    /// Least bytes a second. What came quickly before is no credit: a large body that stalls holds memory.
    pub min_rate: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(30),
            min_rate: 4096,
        }
    }
}

/// The body of one request.
pub struct Source {
    body: Body,
    pace: Pace,
    limit: usize,
    received: usize,
    /// What was received, and how long was waited for it, since the rate was looked at.
    recent: (usize, Duration),
}

impl Source {
    /// A body of at most `limit` bytes.
    pub fn new(body: Body, limit: usize, pace: Pace) -> Self {
        Self {
            body,
            pace,
            limit,
            received: 0,
            recent: (0, Duration::ZERO),
        }
    }

    /// The next bytes, about `size` of them or all that are left, and whether they are the last.
    pub async fn block(&mut self, size: usize) -> Result<(Bytes, bool), ApiError> {
        if self.body.size_hint().lower() > (self.limit - self.received) as u64 {
            return Err(self.too_large());
        }
        let mut block = Vec::new();
        while block.len() < size {
            let Some(bytes) = self.frame().await? else {
                return Ok((block.into(), true));
            };
            self.received += bytes.len();
            self.recent.0 += bytes.len();
            if self.received > self.limit {
                return Err(self.too_large());
            }
            block.extend_from_slice(&bytes);
        }
        Ok((block.into(), self.body.is_end_stream()))
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let asked = Instant::now();
            let frame = timeout(self.pace.patience, self.body.frame())
                .await
                .map_err(|_| ApiError::TooSlow)?;
            self.recent.1 += asked.elapsed();
            if self.recent.1 > self.pace.patience {
                let (received, waited) = std::mem::take(&mut self.recent);
                if (received as f64) < waited.as_secs_f64() * f64::from(self.pace.min_rate) {
                    return Err(ApiError::TooSlow);
                }
            }
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(ApiError::bad_body("the body ended early")),
                // Trailers tell nothing.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    fn too_large(&self) -> ApiError {
        ApiError::TooLarge(format!("the body is larger than {} bytes", self.limit))
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io};

    use futures_util::{StreamExt as _, stream};

    use super::*;

    fn source(body: Body, patience: Duration, min_rate: u32) -> Source {
        Source::new(body, 100, Pace { patience, min_rate })
    }

    /// Bytes that come one by one, each after a pause.
    fn drip(pause: Duration) -> Body {
        Body::from_stream(stream::repeat(Bytes::from_static(b"a")).take(20).then(
            move |byte| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, Infallible>(byte)
            },
        ))
    }

    const MOMENT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_client_may_be_slow_but_neither_silent_nor_slower_than_the_rate() {
        let slow = source(drip(MOMENT), LONG, u32::MAX).block(1000).await;
        assert_eq!(slow.expect("within the patience").0.len(), 20);
        let steady = source(drip(MOMENT), LONG, 0).block(1000).await;
        assert_eq!(steady.expect("no rate is asked for").0.len(), 20);
        let slower = source(drip(MOMENT * 5), MOMENT * 50, u32::MAX)
            .block(1000)
            .await;
        assert!(matches!(slower, Err(ApiError::TooSlow)));
        let silent = source(drip(LONG), MOMENT, 0).block(1000).await;
        assert!(matches!(silent, Err(ApiError::TooSlow)));
    }

    #[tokio::test]
    async fn time_in_which_nobody_asked_the_client_does_not_count() {
        let patience = MOMENT * 300;
        let bytes = stream::repeat(Bytes::from_static(b"a")).take(5);
        let mut source = source(
            Body::from_stream(bytes.map(Ok::<_, Infallible>)),
            patience,
            u32::MAX,
        );
        for _ in 0..4 {
            source.block(1).await.expect("the client was there");
            tokio::time::sleep(patience / 2).await;
        }
    }

    #[tokio::test]
    async fn a_body_is_bounded_and_an_early_end_is_an_error() {
        let announced = source(Body::from(vec![0; 101]), LONG, 0).block(10).await;
        assert!(matches!(announced, Err(ApiError::TooLarge(_))));
        let unannounced =
            Body::from_stream(stream::iter(vec![Ok::<_, Infallible>(vec![0; 40]); 3]));
        assert!(matches!(
            source(unannounced, LONG, 0).block(1000).await,
            Err(ApiError::TooLarge(_))
        ));
        let broken = Body::from_stream(stream::iter([
            Ok(vec![0; 4]),
            Err(io::Error::other("gone")),
        ]));
        assert!(matches!(
            source(broken, LONG, 0).block(1000).await,
            Err(ApiError::BadRequest { .. })
        ));
        let (all, is_last) = source(Body::from(vec![0; 100]), LONG, 0)
            .block(1000)
            .await
            .expect("fits");
        assert_eq!((all.len(), is_last), (100, true));
    }
}
