//! One request to Graph, tried until it is answered for good.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::Utc;
use contract::Traffic;
use ingest_client::retry::{full_jitter, parse_retry_after};
use reqwest::{
    Method, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::{
    GraphError, Version,
    body::{BodyError, parse, read_bounded},
    lanes::{Lanes, Workload, workload_of},
    origin::Origin,
};
use crate::{
    CrawlConfig, CrawlError, ProgressEvent, ProgressSink, Tuning,
    auth::{Claims, TokenSource},
};

/// Tokens that one request may see rejected in a row. One is the rule; more happen when tokens are revoked under way.
pub(super) const MAX_REJECTED_TOKENS: u32 = 3;

/// The header that turns to the index, and its value.
pub(super) const CONSISTENCY_LEVEL: &str = "ConsistencyLevel";
pub(super) const EVENTUAL: &str = "eventual";

/// Is this an advanced query? Those count (`$count=true`), and Graph ignores or refuses them without the header; next links
/// keep the query.
pub(super) fn needs_index(url: &Url) -> bool {
    url.query_pairs()
        .any(|(name, value)| name == "$count" && value == "true")
}

/// Requests that a collection made.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: AtomicU64,
}

impl Meter {
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub http_calls: AtomicU64,
    pub requests: AtomicU64,
    /// In hundredths, so that fractions add up.
    pub centi_units: AtomicU64,
    pub throttled: AtomicU64,
    pub retries: AtomicU64,
    pub received_bytes: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Microsoft Graph, for one tenant.
pub(crate) struct Graph {
    http: reqwest::Client,
    pub(super) origin: Origin,
    tokens: TokenSource,
    lanes: Lanes,
    pub(super) counters: Counters,
    pub(super) tuning: Tuning,
    cancel: CancellationToken,
    progress: Arc<dyn ProgressSink>,
}

/// What to send. Everything is a read, so it may be sent again.
pub(super) struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub body: Option<Bytes>,
    /// Resource units that it probably costs.
    pub estimate: f64,
    /// Requests as Graph counts them.
    pub parts: u64,
    /// Whose pace it keeps.
    pub workload: Workload,
    /// Ask the index that lags behind (advanced queries). Links to further pages do not remember it.
    pub is_eventual: bool,
}

impl Outgoing {
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            workload: workload_of(&url),
            is_eventual: needs_index(&url),
            url,
            body: None,
            estimate: 2.0,
            parts: 1,
        }
    }
}

/// What the tries of one request have used up.
#[derive(Default)]
struct Spent {
    failures: u32,
    throttled: u32,
    rejected_tokens: u32,
}

/// How one try ended.
enum Try<T> {
    Done(T),
    Refused(GraphError),
    Throttled(Option<Duration>),
    TokenRejected(u64),
    Failed {
        last: String,
        retry_after: Option<Duration>,
    },
}

impl Graph {
    pub fn new(
        config: &CrawlConfig,
        progress: Arc<dyn ProgressSink>,
        cancel: CancellationToken,
    ) -> Result<Self, CrawlError> {
        // Installing twice is an error that means "already there", which is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tuning = config.tuning;
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!(
                    "cadastre-crawler-entra/",
                    env!("CARGO_PKG_VERSION")
                ))
                .connect_timeout(Duration::from_secs(10))
                .read_timeout(tuning.read_timeout)
                .timeout(tuning.request_timeout)
                // A redirect would carry the token to another place.
                .redirect(reqwest::redirect::Policy::none())
        };
        let setup = |error: reqwest::Error| CrawlError::Setup(error.without_url().to_string());
        let http = config.network.apply(builder()).build().map_err(setup)?;
        let direct = builder().no_proxy().build().map_err(setup)?;
        Ok(Self {
            tokens: TokenSource::new(http.clone(), direct, &config.graph, tuning),
            http,
            origin: Origin::new(&config.graph.base_url),
            lanes: Lanes::new(&tuning),
            counters: Counters::default(),
            tuning,
            cancel,
            progress,
        })
    }

    /// One object or page.
    pub async fn get<T: DeserializeOwned>(
        &self,
        version: Version,
        relative: &str,
        meter: &Meter,
    ) -> Result<T, GraphError> {
        let url = self.origin.address(version, relative)?;
        self.call(&Outgoing::get(url), meter).await
    }

    /// What an action answers that only reads, so that it may be sent again.
    pub async fn post<T: DeserializeOwned>(
        &self,
        relative: &str,
        body: &Value,
        meter: &Meter,
    ) -> Result<T, GraphError> {
        let url = self.origin.address(Version::V1, relative)?;
        let outgoing = Outgoing {
            method: Method::POST,
            body: Some(Bytes::from(body.to_string())),
            ..Outgoing::get(url)
        };
        self.call(&outgoing, meter).await
    }

    /// Was this application permission granted? `None` when that cannot be told.
    pub async fn has_permission(&self, permission: &str) -> Option<bool> {
        self.tokens.has_role(permission).await
    }

    /// What the token in use says; `None` when there is none or it says nothing.
    pub async fn claims(&self) -> Option<Claims> {
        self.tokens.claims().await
    }

    /// Fetches a token, so that a wrong secret shows before anything else.
    pub async fn sign_in(&self) -> Result<(), GraphError> {
        self.or_cancelled(async { Ok(self.tokens.token().await.map(|_| ())?) })
            .await
    }

    /// Which token is in use.
    pub(super) async fn token_generation(&self) -> Result<u64, GraphError> {
        self.or_cancelled(async { Ok(self.tokens.token().await?.generation) })
            .await
    }

    /// The token of this generation was rejected.
    pub(super) async fn reject_token(&self, generation: u64) {
        self.tokens.reject(generation).await;
    }

    /// What the run has cost so far.
    pub fn traffic(&self) -> Traffic {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            http_calls: load(&self.counters.http_calls),
            requests: load(&self.counters.requests),
            resource_units: load(&self.counters.centi_units).div_ceil(100),
            throttled: load(&self.counters.throttled),
            retries: load(&self.counters.retries),
            waited_ms: self.lanes.waited().as_millis() as u64,
            received_bytes: load(&self.counters.received_bytes),
        }
    }

    pub(super) async fn or_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, GraphError>>,
    ) -> Result<T, GraphError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(GraphError::Cancelled),
            result = work => result,
        }
    }

    /// Sends a request until it is answered, refused, or out of tries.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        outgoing: &Outgoing,
        meter: &Meter,
    ) -> Result<T, GraphError> {
        self.or_cancelled(async {
            let mut spent = Spent::default();
            loop {
                match self.try_once(outgoing, meter).await? {
                    Try::Done(value) => return Ok(value),
                    Try::Refused(error) => return Err(error),
                    Try::TokenRejected(generation) => {
                        spent.rejected_tokens += 1;
                        if spent.rejected_tokens > MAX_REJECTED_TOKENS {
                            return Err(GraphError::Unauthorized);
                        }
                        self.tokens.reject(generation).await;
                    }
                    Try::Throttled(retry_after) => {
                        spent.throttled += 1;
                        // A token may well die during a long wait.
                        spent.rejected_tokens = 0;
                        self.pause_lane(outgoing.workload, spent.throttled, retry_after)?;
                    }
                    Try::Failed { last, retry_after } => {
                        spent.failures += 1;
                        self.back_off(outgoing.workload, spent.failures, last, retry_after)
                            .await?;
                    }
                }
                count(&self.counters.retries, 1);
            }
        })
        .await
    }

    /// Graph throttles: everybody pauses. Fails when that would take longer than this crawl waits.
    pub(super) fn pause_lane(
        &self,
        workload: Workload,
        times: u32,
        retry_after: Option<Duration>,
    ) -> Result<(), GraphError> {
        count(&self.counters.throttled, 1);
        let backoff = full_jitter(times, self.tuning.first_backoff, self.tuning.max_backoff);
        let wait = retry_after.unwrap_or(backoff);
        if wait > self.tuning.max_retry_after {
            return Err(GraphError::ThrottledTooLong {
                wait_s: wait.as_secs(),
            });
        }
        if times >= self.tuning.max_throttled {
            return Err(GraphError::Unanswered {
                tries: times,
                last: "HTTP 429".to_owned(),
            });
        }
        self.lanes.of(workload).pause(wait);
        self.progress
            .event(ProgressEvent::waiting("Graph is throttling", wait));
        Ok(())
    }

    /// Waits before the next try of a request that failed, if there is one.
    pub(super) async fn back_off(
        &self,
        workload: Workload,
        failures: u32,
        last: String,
        retry_after: Option<Duration>,
    ) -> Result<(), GraphError> {
        if failures >= self.tuning.max_tries {
            return Err(GraphError::Unanswered {
                tries: failures,
                last,
            });
        }
        let backoff = full_jitter(failures, self.tuning.first_backoff, self.tuning.max_backoff);
        let wait = retry_after
            .unwrap_or(backoff)
            .min(self.tuning.max_retry_after);
        if retry_after.is_some() {
            // An overloaded server that says for how long means everybody.
            self.lanes.of(workload).pause(wait);
            self.progress.event(ProgressEvent::waiting(last, wait));
        } else {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    async fn try_once<T: DeserializeOwned>(
        &self,
        outgoing: &Outgoing,
        meter: &Meter,
    ) -> Result<Try<T>, GraphError> {
        let lane = self.lanes.of(outgoing.workload);
        let place = lane.enter(outgoing.estimate, outgoing.parts).await;
        // After the wait for a place, which a token may not outlive.
        let token = self.tokens.token().await?;
        count(&self.counters.http_calls, 1);
        count(&self.counters.requests, outgoing.parts);
        count(&meter.requests, outgoing.parts);
        let mut request = self
            .http
            .request(outgoing.method.clone(), outgoing.url.clone())
            .header(AUTHORIZATION, token.bearer.clone())
            .header("client-request-id", Uuid::new_v4().to_string())
            .header("x-ms-throttle-priority", "Low");
        if outgoing.is_eventual {
            request = request.header(CONSISTENCY_LEVEL, EVENTUAL);
        }
        if let Some(body) = &outgoing.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(failed(failure_class(&error).to_owned())),
        };
        let cost = resource_units(response.headers());
        if let Some(share) = header_number(response.headers(), "x-ms-throttle-limit-percentage") {
            lane.near_limit(share);
        }
        let answered = self.read_answer(response, token.generation).await;
        if matches!(answered, Try::Done(_)) {
            place.succeeded(cost);
            if let Some(cost) = cost {
                count(&self.counters.centi_units, (cost * 100.0) as u64);
            }
        }
        Ok(answered)
    }

    async fn read_answer<T: DeserializeOwned>(
        &self,
        response: Response,
        generation: u64,
    ) -> Try<T> {
        let status = response.status().as_u16();
        let retry_after = retry_after_in(response.headers());
        match status {
            300..=399 => return Try::Refused(GraphError::Redirected),
            401 => return Try::TokenRejected(generation),
            429 => return Try::Throttled(retry_after),
            408 | 500 | 502..=599 => {
                return Try::Failed {
                    last: format!("HTTP {status}"),
                    retry_after,
                };
            }
            _ => {}
        }
        let body = match read_bounded(response, self.tuning.max_body_bytes).await {
            Ok(body) => body,
            Err(BodyError::TooLarge) => return Try::Refused(GraphError::TooLarge),
            Err(BodyError::Broken(class)) => return failed(class.to_owned()),
        };
        count(&self.counters.received_bytes, body.len() as u64);
        if (200..300).contains(&status) {
            return match parse(&body) {
                Some(value) => Try::Done(value),
                None => failed("the answer is not what Graph sends".to_owned()),
            };
        }
        let refusal: Value = parse(&body).unwrap_or(Value::Null);
        Try::Refused(GraphError::from_refusal(status, &refusal))
    }
}

fn failed<T>(last: String) -> Try<T> {
    Try::Failed {
        last,
        retry_after: None,
    }
}

fn header_number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let number: f64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

fn resource_units(headers: &HeaderMap) -> Option<f64> {
    header_number(headers, "x-ms-resource-unit").filter(|units| (0.0..1000.0).contains(units))
}

fn retry_after_in(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(text, Utc::now())
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
