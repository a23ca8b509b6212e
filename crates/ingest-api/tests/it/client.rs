//! A client that sends the same bytes again until it has an answer, as a well-made crawler does.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use crate::app::Answer;

/// A guard against waiting for ever, no promise.
const PATIENCE: Duration = Duration::from_secs(180);

/// A caller of one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

/// One request, which can be sent any number of times.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    idempotency_key: Option<String>,
    body: Vec<u8>,
}

impl Call {
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path, Vec::new())
    }

    pub fn post(path: &str, body: &Value) -> Self {
        Self::new(Method::POST, path, body.to_string().into_bytes())
    }

    pub fn put(path: &str, body: &Value) -> Self {
        Self::new(Method::PUT, path, body.to_string().into_bytes())
    }

    fn new(method: Method, path: &str, body: Vec<u8>) -> Self {
        Self {
            method,
            path: path.to_owned(),
            idempotency_key: None,
            body,
        }
    }

    /// Gives the call a name under which the server knows it again.
    pub fn known_as(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }
}

/// What became of a call in the end.
#[derive(Debug)]
pub struct Outcome {
    pub answer: Answer,
    /// An earlier try may have been done without our hearing of it.
    pub was_in_doubt: bool,
}

impl Client {
    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn new(base: &str, key: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Sends once; an error says that there was no whole answer.
    pub async fn once(&self, call: &Call) -> Result<Answer, reqwest::Error> {
        let mut request = self
            .http
            .request(call.method.clone(), format!("{}{}", self.base, call.path))
            .bearer_auth(&self.key)
            .timeout(PATIENCE / 3);
        if let Some(key) = &call.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if !call.body.is_empty() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(call.body.clone());
        }
        let response = request.send().await?;
        let status = response.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert_says_when_to_come_again(response.headers());
        }
        let content_type = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let text = response.text().await?;
        Ok(Answer {
            status,
            content_type,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    /// Sends until there is an answer other than "come again later". The pauses are shorter than the server asks for:
    /// that is harder on it.
    pub async fn insist_on(&self, call: &Call) -> Outcome {
        let give_up = Instant::now() + PATIENCE;
        let mut was_in_doubt = false;
        loop {
            match self.once(call).await {
                Ok(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE => {
                    return Outcome {
                        answer,
                        was_in_doubt,
                    };
                }
                // "Come again" may follow a commit whose confirmation the server never got.
                Ok(_) | Err(_) => was_in_doubt = true,
            }
            assert!(
                Instant::now() < give_up,
                "no answer to {} {}",
                call.method,
                call.path
            );
            let pause = rand::rng().random_range(10..150);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// The answer alone.
    pub async fn insist(&self, call: &Call) -> Answer {
        self.insist_on(call).await.answer
    }
}

#[track_caller]
fn assert_says_when_to_come_again(headers: &header::HeaderMap) {
    let seconds: Option<u64> = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    assert!(
        seconds.is_some_and(|seconds| (1..=60).contains(&seconds)),
        "503 without a Retry-After in whole seconds: {headers:?}"
    );
}
