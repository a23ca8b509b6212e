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
use contract::{Recovered, Traffic};
use ingest_client::retry::full_jitter;
use reqwest::{
    Method, Response,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::{
    Answered, Fault, GraphError, Meter, Version,
    attempt::{Try, broken, limit_share, resource_units, retry_after_in, units_of},
    body::{BodyError, UNREADABLE, parse, read_bounded},
    gather::Gathering,
    lanes::{Lanes, Workload, workload_of},
    meter::{Clock, Ledger, Waits},
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

/// What is counted of the run alone.
#[derive(Default)]
struct Counters {
    http_calls: AtomicU64,
    received_bytes: AtomicU64,
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Microsoft Graph, for one tenant.
pub(crate) struct Graph {
    http: reqwest::Client,
    pub(super) origin: Origin,
    tokens: TokenSource,
    lanes: Lanes,
    pub(super) gathering: Gathering,
    counters: Counters,
    /// What collections cost.
    pub ledger: Ledger,
    waits: Clock,
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
    pub is_batch: bool,
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
            is_batch: false,
        }
    }
}

/// What the tries of one request have used up.
#[derive(Default)]
struct Spent {
    failures: u32,
    throttled: u32,
    rejected_tokens: u32,
    faults: Recovered,
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
            gathering: Gathering::default(),
            counters: Counters::default(),
            ledger: Ledger::default(),
            waits: Clock::default(),
            tuning,
            cancel,
            progress,
        })
    }

    /// One object or page.
    pub async fn get<T: Answered>(
        &self,
        version: Version,
        relative: &str,
        meter: &Meter,
    ) -> Result<T, GraphError> {
        let url = self.origin.address(version, relative)?;
        self.call(&Outgoing::get(url), meter).await
    }

    /// What an action answers that only reads, so that it may be sent again.
    pub async fn post<T: Answered>(
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

    /// All application permissions that were granted, in one text that is the same for the same permissions.
    pub async fn granted(&self) -> String {
        let Some(mut claims) = self.tokens.claims().await else {
            return "unknown".to_owned();
        };
        claims.roles.sort_unstable();
        claims.roles.join(",")
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
        let total = self.ledger.total();
        Traffic {
            http_calls: load(&self.counters.http_calls),
            requests: total.requests,
            resource_units: total.resource_units,
            pages: total.pages,
            throttled: total.throttled,
            retries: total.retries,
            waited_ms: self.waits.millis(),
            received_bytes: load(&self.counters.received_bytes),
            recovered: total.recovered,
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
    pub(super) async fn call<T: Answered>(
        &self,
        outgoing: &Outgoing,
        meter: &Meter,
    ) -> Result<T, GraphError> {
        self.or_cancelled(async {
            let mut spent = Spent::default();
            loop {
                let tried = self.try_once(outgoing, meter).await?;
                match tried.fault() {
                    Some(fault) => fault.add_to(&mut spent.faults),
                    None => meter.got_over(spent.faults),
                }
                match tried {
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
                    Try::Failed {
                        last, retry_after, ..
                    } => {
                        spent.failures += 1;
                        let wait =
                            self.back_off(outgoing.workload, spent.failures, last, retry_after)?;
                        self.wait(wait, meter).await;
                    }
                }
                meter.book(|cost| cost.retries += 1);
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

    /// How long to wait before the next try of a request that failed, if there is one.
    fn back_off(
        &self,
        workload: Workload,
        failures: u32,
        last: String,
        retry_after: Option<Duration>,
    ) -> Result<Duration, GraphError> {
        if failures >= self.tuning.max_tries {
            return Err(GraphError::Unanswered {
                tries: failures,
                last,
            });
        }
        let backoff = full_jitter(failures, self.tuning.first_backoff, self.tuning.max_backoff);
        let Some(wait) = retry_after else {
            return Ok(backoff.min(self.tuning.max_retry_after));
        };
        // An overloaded server that says for how long means everybody.
        let wait = wait.min(self.tuning.max_retry_after);
        self.lanes.of(workload).pause(wait);
        self.progress.event(ProgressEvent::waiting(last, wait));
        Ok(Duration::ZERO)
    }

    /// Waits on behalf of a collection.
    pub(super) async fn wait(&self, time: Duration, meter: &Meter) {
        let _waiting = self.waits(meter).begin();
        tokio::time::sleep(time).await;
    }

    fn waits<'a>(&'a self, meter: &'a Meter) -> Waits<'a> {
        Waits {
            run: &self.waits,
            collection: &meter.waits,
        }
    }

    async fn try_once<T: Answered>(
        &self,
        outgoing: &Outgoing,
        meter: &Meter,
    ) -> Result<Try<T>, GraphError> {
        let lane = self.lanes.of(outgoing.workload);
        let place = lane
            .enter(outgoing.estimate, outgoing.parts, self.waits(meter))
            .await;
        // After the wait for a place, which a token may not outlive.
        let token = self.tokens.token().await?;
        count(&self.counters.http_calls, 1);
        meter.book(|cost| cost.requests += outgoing.parts);
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
            Err(error) => return Ok(broken(&error)),
        };
        let status = response.status().as_u16();
        let told = resource_units(response.headers());
        if let Some(share) = limit_share(response.headers()) {
            lane.near_limit(share);
        }
        let answered: Try<T> = self.read_answer(response, token.generation).await;
        let pages = match &answered {
            Try::Done(value) => {
                place.succeeded(told);
                value.pages()
            }
            _ => 0,
        };
        meter.book(|cost| {
            cost.pages += pages;
            cost.throttled += u64::from(status == 429);
            // The parts of a batch tell what they cost.
            if !outgoing.is_batch {
                cost.resource_units += units_of(told, status, outgoing.estimate);
            }
        });
        Ok(answered)
    }

    async fn read_answer<T: Answered>(&self, response: Response, generation: u64) -> Try<T> {
        let status = response.status().as_u16();
        let retry_after = retry_after_in(response.headers());
        match status {
            300..=399 => return Try::Refused(GraphError::Redirected),
            401 => return Try::TokenRejected(generation),
            429 => return Try::Throttled(retry_after),
            408 | 500 | 502..=599 => {
                return Try::Failed {
                    last: format!("HTTP {status}"),
                    fault: Fault::ServerError,
                    retry_after,
                };
            }
            _ => {}
        }
        let body = match read_bounded(response, self.tuning.max_body_bytes).await {
            Ok(body) => body,
            Err(BodyError::TooLarge) => return Try::Refused(GraphError::TooLarge),
            Err(BodyError::Broken(error)) => return broken(&error),
        };
        count(&self.counters.received_bytes, body.len() as u64);
        if (200..300).contains(&status) {
            return match parse(&body) {
                Some(value) => Try::Done(value),
                None => Try::Failed {
                    last: UNREADABLE.to_owned(),
                    fault: Fault::UnreadableAnswer,
                    retry_after: None,
                },
            };
        }
        let refusal: Value = parse(&body).unwrap_or(Value::Null);
        Try::Refused(GraphError::from_refusal(status, &refusal))
    }
}
