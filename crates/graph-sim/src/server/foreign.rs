//! A host that is not the simulated Graph. It writes down what it is asked and
//! answers as if it were, with an object that must never reach a register.

use std::sync::{Arc, Mutex, PoisonError};
use std::{io, time::Duration};

use axum::extract::{Request, State};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::stats::ReceivedRequest;

/// How long a request under way may take to finish.
const GRACE: Duration = Duration::from_secs(2);

/// What was asked, up to a number.
#[derive(Debug)]
struct Log {
    capacity: usize,
    requests: Mutex<Vec<ReceivedRequest>>,
}

pub(crate) struct ForeignHost {
    url: String,
    log: Arc<Log>,
    server: JoinHandle<()>,
}

impl ForeignHost {
    pub(crate) async fn start(capacity: usize, stopping: CancellationToken) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let log = Arc::new(Log {
            capacity,
            requests: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(log.clone());
        let server = tokio::spawn(async move {
            // Serving never fails by itself: accept errors are retried inside.
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(stopping.cancelled_owned())
                .await;
        });
        Ok(Self { url, log, server })
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.log.lock().clone()
    }

    pub(crate) fn forget(&self) {
        self.log.lock().clear();
    }

    /// Waits for the end, which the token it was started with has asked for.
    pub(crate) async fn stop(&mut self) {
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ReceivedRequest>> {
        // Entries are added whole.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(log): State<Arc<Log>>, request: Request) -> Json<Value> {
    let (head, _) = request.into_parts();
    let mut requests = log.lock();
    if requests.len() < log.capacity {
        requests.push(ReceivedRequest::of(&head));
    }
    Json(json!({"value": [{
        "@odata.type": "#microsoft.graph.user",
        "id": "f0e1d2c3-b4a5-4687-9788-a9bacbdcedfe",
        "displayName": "From the foreign host",
    }]}))
}
