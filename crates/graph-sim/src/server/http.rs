//! Between HTTP and the simulator's own requests and answers.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Body, GraphError, Outcome, Pace, Trace};
use super::batch;
use super::connection::{Cutter, SimListener};
use super::faults::{Asked, FaultAction, Kind};
use super::managed_identity::{self, APP_SERVICE_PATH, IMDS_PATH};
use super::query::Query;
use super::state::{Caller, Shared, SingleRequest};
use super::stats::ReceivedRequest;
use crate::routes::Version;

/// The largest body a request may have; a full lookup needs 40 kB.
const LARGEST_BODY: usize = 4 << 20;

/// Serves until told to stop.
pub(crate) async fn serve(listener: SimListener, shared: Arc<Shared>, stopping: CancellationToken) {
    let router = Router::new().fallback(handle).with_state(shared);
    let service = router.into_make_service_with_connect_info::<Cutter>();
    // Serving never fails by itself: accept errors are retried inside.
    let _ = axum::serve(listener, service)
        .with_graceful_shutdown(stopping.cancelled_owned())
        .await;
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
) -> Response {
    if !shared.options.latency.is_zero() {
        tokio::time::sleep(shared.options.latency).await;
    }
    let (head, body) = request.into_parts();
    shared.recorder.received(ReceivedRequest::of(&head));
    let trace = shared.trace(header(&head.headers, "client-request-id"));
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        let error = GraphError::new(413, "RequestEntityTooLarge", "The request is too large.");
        return to_http(Outcome::Reply(error.into_answer(&trace)), &cutter, &trace);
    };
    let outcome = answer(
        &shared,
        head.method.as_str(),
        &head.uri,
        &head.headers,
        &body,
        &trace,
    );
    to_http(outcome, &cutter, &trace)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn answer(
    shared: &Shared,
    method: &str,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    body: &Bytes,
    trace: &Trace,
) -> Outcome {
    let path = decode(uri.path());
    if let Some(tenant) = path.strip_suffix("/oauth2/v2.0/token") {
        return token(
            shared,
            method,
            tenant.trim_start_matches('/'),
            &path,
            body,
            trace,
        );
    }
    if let Some(outcome) = managed_identity(shared, &path, uri.query(), headers, trace) {
        return outcome;
    }
    shared.recorder.http_call();
    if let Some(verdict) = shared.over_request_cap() {
        return Outcome::Reply(shared.rejection(&verdict, trace));
    }
    let mut segments = path.splitn(3, '/').skip(1);
    let version = segments.next().unwrap_or("");
    let Some(version) = Version::parse(version) else {
        let error = GraphError::new(
            404,
            "UnknownVersion",
            format!("Invalid version: {version}."),
        );
        return Outcome::Reply(error.into_answer(trace));
    };
    let path = format!("/{}", segments.next().unwrap_or(""));
    let grants = match shared.tokens.authenticate(header(headers, "authorization")) {
        Ok(grants) => grants,
        Err(error) => {
            shared.faults.count_as("refused token".to_owned());
            return Outcome::Reply(error.into_answer(trace));
        }
    };
    let caller = Caller { grants };
    let json = match parse_body(body) {
        Ok(json) => json,
        Err(error) => return Outcome::Reply(error.into_answer(trace)),
    };
    if method == "POST" && path.eq_ignore_ascii_case("/$batch") {
        return whole_batch(shared, &caller, version, json.as_ref(), trace);
    }
    let request = SingleRequest {
        method,
        version,
        path: &path,
        query: uri.query().unwrap_or(""),
        body: json.as_ref(),
        is_eventual: header(headers, "consistencylevel")
            .is_some_and(|level| level.eq_ignore_ascii_case("eventual")),
        prefers_minimal: header(headers, "prefer").is_some_and(is_minimal),
        batch: None,
    };
    shared.answer(&caller, &request, trace)
}

/// Whether a `Prefer` header asks for changed properties only.
pub(crate) fn is_minimal(preference: &str) -> bool {
    preference
        .split(',')
        .any(|part| part.trim().eq_ignore_ascii_case("return=minimal"))
}

/// A batch as a whole can be struck, too.
fn whole_batch(
    shared: &Shared,
    caller: &Caller,
    version: Version,
    body: Option<&Value>,
    trace: &Trace,
) -> Outcome {
    let run = || batch::answer(shared, caller, version, body, trace);
    match struck(shared, "/$batch", Kind::Batch) {
        Some(FaultAction::Answer {
            status,
            body,
            retry_after,
        }) => {
            if status == 429 {
                shared.recorder.refused_call();
            }
            Outcome::Reply(shared.fault_answer(status, body, retry_after, trace))
        }
        Some(FaultAction::ResetConnection | FaultAction::OmitFromBatch) => Outcome::Reset,
        Some(FaultAction::TruncateBody) => match run() {
            Outcome::Reply(answer) => Outcome::Truncate(answer),
            other => other,
        },
        Some(FaultAction::SlowBody { parts, pause }) => match run() {
            Outcome::Reply(answer) => {
                let pause = shared.scaled(pause);
                Outcome::Slow(answer, Pace { parts, pause })
            }
            other => other,
        },
        Some(FaultAction::ExpireTokens) => {
            shared.tokens.expire_all();
            Outcome::Reply(GraphError::expired_token().into_answer(trace))
        }
        // The others are about lists and parts, and do not hit a batch.
        _ => run(),
    }
}

/// The fault that hits a batch as a whole or the token endpoint.
fn struck(shared: &Shared, path: &str, kind: Kind) -> Option<FaultAction> {
    let query = Query::default();
    let query = &query;
    let strike = shared.strike(Asked { path, query, kind })?;
    let action = strike.action.clone();
    shared.faults.count(strike);
    Some(action)
}

fn token(
    shared: &Shared,
    method: &str,
    tenant: &str,
    path: &str,
    body: &Bytes,
    trace: &Trace,
) -> Outcome {
    if let Some(struck) = struck_token(shared, path, trace) {
        return struck;
    }
    if method != "POST" {
        return Outcome::Reply(Answer {
            status: 405,
            ..Answer::ok(Body::Empty)
        });
    }
    let form = String::from_utf8_lossy(body);
    let url = format!("{}{path}", shared.base_url);
    let (status, body) = shared.tokens.issue(tenant, &form, &url);
    Outcome::Reply(Answer {
        status,
        ..Answer::ok(Body::Json(body))
    })
}

/// A token from the platform, if that is what the path asks for.
fn managed_identity(
    shared: &Shared,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    trace: &Trace,
) -> Option<Outcome> {
    if ![IMDS_PATH, APP_SERVICE_PATH].contains(&path) {
        return None;
    }
    if let Some(struck) = struck_token(shared, path, trace) {
        return Some(struck);
    }
    let (status, body) = managed_identity::answer(&shared.tokens, path, query, headers)?;
    Some(Outcome::Reply(Answer {
        status,
        ..Answer::ok(Body::Json(body))
    }))
}

/// Counts a request for a token and strikes it with the next fault, if there is one.
fn struck_token(shared: &Shared, path: &str, trace: &Trace) -> Option<Outcome> {
    shared.recorder.token_request();
    match struck(shared, path, Kind::Token)? {
        FaultAction::Answer {
            status,
            body,
            retry_after,
        } => Some(Outcome::Reply(shared.fault_answer(
            status,
            body,
            retry_after,
            trace,
        ))),
        FaultAction::ResetConnection | FaultAction::OmitFromBatch | FaultAction::TruncateBody => {
            Some(Outcome::Reset)
        }
        _ => None,
    }
}

fn parse_body(body: &Bytes) -> Result<Option<Value>, GraphError> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|_| GraphError::new(400, "BadRequest", "Unable to read JSON request payload."))
}

/// Percent-decoding of a path.
fn decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn to_http(outcome: Outcome, cutter: &Cutter, trace: &Trace) -> Response {
    match outcome {
        Outcome::Reply(answer) | Outcome::Twice(answer) => {
            let ((status, headers), body) = render(answer, trace);
            (status, headers, HttpBody::from(body)).into_response()
        }
        Outcome::Slow(answer, pace) => {
            let ((status, headers), body) = render(answer, trace);
            (status, headers, HttpBody::from_stream(slowly(&body, pace))).into_response()
        }
        Outcome::Truncate(answer) => {
            let ((status, headers), body) = render(answer, trace);
            let half = body.slice(..body.len() / 2);
            let rest = stream::once(async {
                // Gives the first half time to leave.
                tokio::task::yield_now().await;
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            });
            let parts = stream::iter([Ok(half)]).chain(rest);
            (status, headers, HttpBody::from_stream(parts)).into_response()
        }
        Outcome::Reset | Outcome::Omit => {
            cutter.cut();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The body in parts, with a pause before each but the first.
fn slowly(
    body: &Bytes,
    pace: Pace,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let size = body.len().div_ceil(pace.parts.max(1)).max(1);
    let parts: Vec<Bytes> = (0..body.len())
        .step_by(size)
        .map(|start| body.slice(start..body.len().min(start + size)))
        .collect();
    stream::iter(parts.into_iter().enumerate()).then(move |(place, part)| async move {
        if place > 0 {
            tokio::time::sleep(pace.pause).await;
        }
        Ok(part)
    })
}

type Head = (StatusCode, HeaderMap);

/// A text that Rust cannot hold is written in the model as the replacement
/// character, and on the wire as half a pair.
fn with_lone_surrogates(json: String) -> String {
    if json.contains('\u{fffd}') {
        json.replace('\u{fffd}', "\\ud83d")
    } else {
        json
    }
}

fn render(answer: Answer, trace: &Trace) -> (Head, Bytes) {
    let (content_type, body) = match answer.body {
        Body::Json(value) => (
            Some(
                "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
            ),
            Bytes::from(with_lone_surrogates(value.to_string())),
        ),
        Body::Html(text) => (Some("text/html"), Bytes::from(text)),
        Body::Text(text) => (Some("text/plain"), Bytes::from(text)),
        Body::Empty => (None, Bytes::new()),
    };
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).expect("our header names are valid"),
                value,
            );
        }
    };
    if let Some(content_type) = content_type {
        add("content-type", content_type);
    }
    add("request-id", &trace.request_id);
    add("client-request-id", &trace.client_request_id);
    add("odata-version", "4.0");
    for (name, value) in &answer.headers {
        add(name, value);
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ((status, headers), body)
}
