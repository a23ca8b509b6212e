//! Requests that are asked for at about the same time, sent as one batch.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, oneshot};

use super::{Graph, GraphError, Meter, SubRequest, Version};

/// How long the first one waits for others.
const WAIT: Duration = Duration::from_millis(20);

/// What is waiting to be sent.
#[derive(Default)]
pub(super) struct Gathering {
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    request: SubRequest,
    answer: oneshot::Sender<Result<Value, GraphError>>,
}

impl Graph {
    /// Asks version 1.0 for something, in one batch with what others ask for so meanwhile. The requests of a batch are on the
    /// account of the one that sends it.
    pub(super) async fn get_along(&self, url: String, meter: &Meter) -> Result<Value, GraphError> {
        let (answer, answered) = oneshot::channel();
        let request = SubRequest { url, estimate: 1.0 };
        let is_first = {
            let mut waiting = self.gathering.waiting.lock().await;
            waiting.push(Waiting { request, answer });
            waiting.len() == 1
        };
        if is_first {
            tokio::time::sleep(WAIT).await;
            let waiting = std::mem::take(&mut *self.gathering.waiting.lock().await);
            self.send_along(waiting, meter).await;
        }
        // Should the one that sends be stopped, so is the run.
        self.or_cancelled(async { answered.await.unwrap_or(Err(GraphError::Cancelled)) })
            .await
    }

    async fn send_along(&self, waiting: Vec<Waiting>, meter: &Meter) {
        let (requests, askers): (Vec<_>, Vec<_>) = (waiting.into_iter())
            .map(|one| (one.request, one.answer))
            .unzip();
        let mut askers = askers.into_iter();
        for requests in requests.chunks(SubRequest::PER_BATCH) {
            let answers = self.batch_each(Version::V1, requests, meter).await;
            for (answer, asker) in answers.into_iter().zip(&mut askers) {
                // Whoever asked may have been stopped.
                let _ = asker.send(answer);
            }
        }
    }
}
