//! A register that answers from a script and remembers every request.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use ingest_client::{IngestClient, RetryPolicy};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub const KEY: &str = "fgc_CANARY";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Seen {
    /// The body as JSON, decompressed.
    pub fn json(&self) -> Value {
        let is_zstd = self
            .headers
            .get("content-encoding")
            .is_some_and(|v| v == "zstd");
        let json = if is_zstd {
            zstd::stream::decode_all(self.bytes.as_ref()).expect("zstd")
        } else {
            self.bytes.to_vec()
        };
        serde_json::from_slice(&json).expect("JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer of the script.
#[derive(Debug, Clone)]
pub struct Scripted {
    pub status: u16,
    pub body: Value,
    pub retry_after: Option<&'static str>,
}

#[derive(Default)]
struct Script {
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<(String, Scripted)>>,
}

pub struct Double {
    pub address: String,
    script: Arc<Script>,
    server: JoinHandle<()>,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Double {
    pub async fn start() -> Self {
        let script = Arc::new(Script::default());
        let router = Router::new().fallback(answer).with_state(script.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            script,
            server,
        }
    }

    /// The next request whose path ends so is answered so, once.
    pub fn next(&self, path_end: &str, status: u16, body: Value) -> &Self {
        self.next_after(path_end, status, body, None)
    }

    pub fn next_after(
        &self,
        path_end: &str,
        status: u16,
        body: Value,
        retry_after: Option<&'static str>,
    ) -> &Self {
        let scripted = Scripted {
            status,
            body,
            retry_after,
        };
        let mut answers = self.script.answers.lock().expect("script");
        answers.push_back((path_end.to_owned(), scripted));
        self
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().expect("seen").clone()
    }

    /// Requests whose path ends so.
    pub fn seen_at(&self, path_end: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|seen| seen.path.ends_with(path_end))
            .collect()
    }

    /// An impatient client.
    pub fn client(&self) -> IngestClient {
        let retry = RetryPolicy {
            max_attempts: 4,
            first_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(4),
            max_retry_after: Duration::from_millis(50),
        };
        let address = self.address.parse().expect("url");
        IngestClient::builder(address, KEY.to_owned().into())
            .retry(retry)
            .build()
            .expect("a client")
    }
}

/// Scripted answers first, then a friendly one.
async fn answer(
    State(script): State<Arc<Script>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    script.seen.lock().expect("seen").push(Seen {
        method,
        path: path.clone(),
        headers,
        bytes,
    });
    let mut answers = script.answers.lock().expect("script");
    if let Some(at) = answers.iter().position(|(end, _)| path.ends_with(end))
        && let Some((_, scripted)) = answers.remove(at)
    {
        let status = StatusCode::from_u16(scripted.status).expect("a status");
        let location = scripted.body["location"].as_str().map(str::to_owned);
        let mut response = (status, axum::Json(scripted.body)).into_response();
        if let Some(location) = location {
            let location = location.parse().expect("a header");
            response.headers_mut().insert("location", location);
        }
        if let Some(wait) = scripted.retry_after {
            response
                .headers_mut()
                .insert("retry-after", wait.parse().expect("a header"));
        }
        return response;
    }
    let body = if path.ends_with("/sessions") {
        json!({"syncId": uuid::Uuid::from_u128(1), "expiresAt": "2027-01-01T00:00:00Z"})
    } else {
        json!({"table": "t", "inserted": 1, "records": 1, "systemIds": [3]})
    };
    (StatusCode::CREATED, axum::Json(body)).into_response()
}
