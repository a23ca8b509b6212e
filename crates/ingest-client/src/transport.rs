//! One call to the register: tried again while that can help, with the same bytes and the same key.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use contract::Problem;
use reqwest::{
    Method, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;

use crate::{ClientError, RetryPolicy, retry::parse_retry_after};

/// No answer of the ingest API comes near this.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A body, written once and sent as often as needed.
#[derive(Clone)]
pub(crate) struct Body {
    pub bytes: Bytes,
    pub is_zstd: bool,
}

impl Body {
    /// JSON text, compressed if that is wanted and worth it.
    pub fn json(json: Vec<u8>, compress: bool) -> Result<Self, ClientError> {
        const WORTH_COMPRESSING: usize = 1024;
        if compress && json.len() >= WORTH_COMPRESSING {
            let packed = zstd::bulk::compress(&json, 1)
                .map_err(|error| ClientError::Compression(error.to_string()))?;
            return Ok(Self {
                bytes: packed.into(),
                is_zstd: true,
            });
        }
        Ok(Self {
            bytes: json.into(),
            is_zstd: false,
        })
    }
}

/// What to send.
pub(crate) struct Call {
    pub operation: &'static str,
    pub method: Method,
    /// Below `/api/`.
    pub path: String,
    pub body: Option<Body>,
    pub idempotency_key: Option<Uuid>,
    /// Some calls (giving up a session) are not worth waiting for.
    pub max_attempts: Option<u32>,
}

impl Call {
    pub fn new(operation: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self {
            operation,
            method,
            path: path.into(),
            body: None,
            idempotency_key: None,
            max_attempts: None,
        }
    }

    pub fn body(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    pub fn idempotent(mut self) -> Self {
        self.idempotency_key = Some(Uuid::new_v4());
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Reply {
    operation: &'static str,
    status: StatusCode,
    body: Bytes,
}

impl Reply {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::UnusableAnswer {
            operation: self.operation,
            status: self.status.as_u16(),
            reason: format!("{:?} at line {}", error.classify(), error.line()),
        })
    }
}

/// A failed call and how many tries it took: a refusal of a later try may be the echo of an earlier one that worked.
pub(crate) struct CallFailed {
    pub error: ClientError,
    pub attempts: u32,
}

impl From<CallFailed> for ClientError {
    fn from(failed: CallFailed) -> Self {
        failed.error
    }
}

#[derive(Clone)]
pub(crate) struct Transport {
    pub http: reqwest::Client,
    pub root: Url,
    pub api_key: SecretString,
    pub retry: RetryPolicy,
    /// The claim of a run that calls are made under, as the header says it.
    pub claim: Option<String>,
}

/// How one try ended.
enum Try {
    Done(Reply),
    Refused(ClientError),
    Again {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl Transport {
    /// Sends the call until it is answered or refused, or until the policy's tries are used up.
    pub async fn send(&self, call: &Call) -> Result<Reply, CallFailed> {
        let max_attempts = call.max_attempts.unwrap_or(self.retry.max_attempts).max(1);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (reason, retry_after) = match self.try_once(call).await {
                Try::Done(reply) => return Ok(reply),
                Try::Refused(error) => return Err(CallFailed { error, attempts }),
                Try::Again {
                    reason,
                    retry_after,
                } => (reason, retry_after),
            };
            if attempts >= max_attempts {
                let error = ClientError::Unreachable {
                    operation: call.operation,
                    attempts,
                    reason,
                };
                return Err(CallFailed { error, attempts });
            }
            let wait = self.retry.wait(attempts, retry_after);
            // A single failure happens; from the third on somebody should know why nothing moves.
            if attempts == 3 {
                tracing::warn!(
                    operation = call.operation,
                    reason,
                    "the register does not answer, trying again"
                );
            } else {
                tracing::debug!(operation = call.operation, attempts, reason, "trying again");
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_once(&self, call: &Call) -> Try {
        let again = |reason: String| Try::Again {
            reason,
            retry_after: None,
        };
        let Ok(url) = self.root.join(&call.path) else {
            return Try::Refused(ClientError::BadAddress(
                "a path cannot be joined to it".into(),
            ));
        };
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(claim) = &self.claim {
            request = request.header("X-Run-Claim", claim);
        }
        if let Some(key) = call.idempotency_key {
            request = request.header("Idempotency-Key", key.to_string());
        }
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.bytes.clone());
            if body.is_zstd {
                request = request.header(CONTENT_ENCODING, "zstd");
            }
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return again(failure_class(&error).to_owned()),
        };
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| parse_retry_after(text, Utc::now()));
        let body = match read_bounded(response).await {
            Ok(body) => body,
            Err(reason) => return again(reason),
        };
        if status.is_success() {
            return Try::Done(Reply {
                operation: call.operation,
                status,
                body,
            });
        }
        if matches!(status.as_u16(), 429 | 502 | 503 | 504) {
            return Try::Again {
                reason: format!("HTTP {}", status.as_u16()),
                retry_after,
            };
        }
        Try::Refused(self.refusal(call.operation, status, &body))
    }

    /// The problem document, or what can be said without one. Should a server ever echo the key, it is cut out.
    fn refusal(&self, operation: &'static str, status: StatusCode, body: &[u8]) -> ClientError {
        let text = String::from_utf8_lossy(body);
        let key = self.api_key.expose_secret();
        let text = if key.is_empty() {
            text.into_owned()
        } else {
            text.replace(key, "[REDACTED]")
        };
        let Ok(mut problem) = serde_json::from_str::<Problem>(&text) else {
            return ClientError::UnusableAnswer {
                operation,
                status: status.as_u16(),
                reason: "no problem document".to_owned(),
            };
        };
        problem.status = status.as_u16();
        if problem.title.is_empty() {
            status
                .canonical_reason()
                .unwrap_or("refused")
                .clone_into(&mut problem.title);
        }
        if problem.detail.is_empty() {
            problem.detail.clone_from(&problem.error);
        }
        ClientError::Refused {
            operation,
            problem: Box::new(problem),
        }
    }
}

async fn read_bounded(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER_BYTES => {
                return Err("the answer is too large".to_owned());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.freeze()),
            Err(error) => return Err(failure_class(&error).to_owned()),
        }
    }
}

/// The class of a failure, in words that hold no address, header or body.
pub(crate) fn failure_class(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the connection broke"
    }
}
