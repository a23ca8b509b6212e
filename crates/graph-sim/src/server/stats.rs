//! Counters and the request log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::http::request::Parts;
use serde::Serialize;

/// Counters of one route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RouteStats {
    /// Requests, parts of batches included.
    pub requests: u64,
    /// Resource units charged.
    pub resource_units: u64,
    /// Answers with status 429.
    pub throttled: u64,
    /// Answers with any other status from 400 on.
    pub errors: u64,
}

/// Counters since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// HTTP calls to Graph; a batch is one call.
    pub http_calls: u64,
    /// Requests to Graph; each part of a batch is one.
    pub requests: u64,
    /// Calls to `$batch`.
    pub batches: u64,
    /// Calls to the token endpoint.
    pub token_requests: u64,
    /// Resource units charged, rejected requests included.
    pub resource_units: u64,
    /// Requests answered with 429.
    pub throttled: u64,
    /// How often each fault has struck, by name; refusals for want of a token, a
    /// permission, a licence or a valid deltaLink, too.
    pub faults: BTreeMap<String, u64>,
    /// By route, such as `/groups/{id}/members`.
    pub routes: BTreeMap<String, RouteStats>,
}

/// One request as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// HTTP method.
    pub method: String,
    /// `v1.0` or `beta`.
    pub version: String,
    /// Path after the version, without the query.
    pub path: String,
    /// Query as sent, decoded.
    pub query: String,
    /// Status of the answer; 0 when the connection was cut.
    pub status: u16,
    /// Resource units charged.
    pub resource_units: u32,
    /// Number of the batch it came in, if it did.
    pub batch: Option<u64>,
}

/// One request as it came in over HTTP, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceivedRequest {
    /// HTTP method.
    pub method: String,
    /// `Host` it was sent to.
    pub host: String,
    /// Path and query as sent.
    pub target: String,
    /// It carried an `Authorization` header.
    pub has_token: bool,
}

impl ReceivedRequest {
    pub(crate) fn of(head: &Parts) -> Self {
        let host = head.headers.get("host");
        Self {
            method: head.method.to_string(),
            host: host
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            target: head
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str())
                .to_owned(),
            has_token: head.headers.contains_key("authorization"),
        }
    }
}

#[derive(Debug, Default)]
struct Book {
    stats: Stats,
    log: VecDeque<LoggedRequest>,
    received: VecDeque<ReceivedRequest>,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    book: Mutex<Book>,
    capacity: usize,
}

impl Recorder {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            book: Mutex::default(),
            capacity,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub(crate) fn log(&self) -> Vec<LoggedRequest> {
        self.lock().log.iter().cloned().collect()
    }

    pub(crate) fn received_log(&self) -> Vec<ReceivedRequest> {
        self.lock().received.iter().cloned().collect()
    }

    pub(crate) fn received(&self, request: ReceivedRequest) {
        if self.capacity > 0 {
            let mut book = self.lock();
            if book.received.len() == self.capacity {
                book.received.pop_front();
            }
            book.received.push_back(request);
        }
    }

    pub(crate) fn reset(&self) {
        *self.lock() = Book::default();
    }

    pub(crate) fn token_request(&self) {
        self.lock().stats.token_requests += 1;
    }

    pub(crate) fn http_call(&self) {
        self.lock().stats.http_calls += 1;
    }

    /// Counts a call that was refused before it was looked at.
    pub(crate) fn refused_call(&self) {
        self.lock().stats.throttled += 1;
    }

    /// Counts a batch and gives it a number.
    pub(crate) fn batch(&self) -> u64 {
        let mut book = self.lock();
        book.stats.batches += 1;
        book.stats.batches
    }

    pub(crate) fn request(&self, route: &str, entry: LoggedRequest) {
        let mut book = self.lock();
        let units = u64::from(entry.resource_units);
        let is_throttled = entry.status == 429;
        book.stats.requests += 1;
        book.stats.resource_units += units;
        book.stats.throttled += u64::from(is_throttled);
        let counters = book.stats.routes.entry(route.to_owned()).or_default();
        counters.requests += 1;
        counters.resource_units += units;
        counters.throttled += u64::from(is_throttled);
        counters.errors += u64::from(!is_throttled && (entry.status >= 400 || entry.status == 0));
        if self.capacity > 0 {
            if book.log.len() == self.capacity {
                book.log.pop_front();
            }
            book.log.push_back(entry);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        // Counters are never half written.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
