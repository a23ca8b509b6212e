//! Every request has a span with its id, a line in the log at its end, and its place among the metrics.
//!
//! Of its address, the log has the template of the route only. Never the query: what comes back from a sign-in, and links
//! for the first admin, have secrets in it.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use hyper::body::{Body as _, Frame, SizeHint};
use tracing::{Instrument as _, Span};

use crate::{
    app::REQUEST_ID,
    metrics::{Metrics, UNMATCHED, method_label},
};

/// Where the extractor of the caller notes which key it was.
#[derive(Debug, Clone, Default)]
pub struct CalledBy(Arc<OnceLock<String>>);

impl CalledBy {
    /// It was this key.
    pub fn note(&self, key_id: &str) {
        // The same key again, where a handler asks twice.
        let _ = self.0.set(key_id.to_owned());
    }
}

/// Watches a request from its header to the last byte of its answer.
pub async fn watch(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let called_by = CalledBy::default();
    let route = request.extensions().get::<MatchedPath>();
    let mut line = Line {
        metrics,
        began: Instant::now(),
        method: method_label(request.method()),
        route: route.map_or(UNMATCHED, MatchedPath::as_str).to_owned(),
        called_by: called_by.clone(),
        status: None,
        bytes: 0,
        is_whole: false,
        span: tracing::info_span!("request", request_id = id_of(&request)),
    };
    line.metrics.request_began();
    request.extensions_mut().insert(called_by);
    let span = line.span.clone();
    let response = next.run(request).instrument(span).await;
    line.status = Some(response.status().as_u16());
    let (parts, body) = response.into_parts();
    line.is_whole = body.is_end_stream();
    Response::from_parts(parts, Body::new(Counted { body, line }))
}

/// The request's id, ours or the caller's.
fn id_of(request: &Request) -> &str {
    let id = request.headers().get(REQUEST_ID);
    id.and_then(|id| id.to_str().ok()).unwrap_or("-")
}

/// What is known about a request; told when it ends, however it does.
struct Line {
    metrics: Metrics,
    began: Instant,
    method: &'static str,
    /// The template: what stands in its place may be anybody's id.
    route: String,
    called_by: CalledBy,
    /// `None` while there is no answer.
    status: Option<u16>,
    bytes: u64,
    is_whole: bool,
    span: Span,
}

impl Drop for Line {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.metrics
            .request_ended(self.method, &self.route, self.status, took.as_secs_f64());
        let (method, route, bytes, is_whole) =
            (self.method, &self.route, self.bytes, self.is_whole);
        let duration_ms = took.as_millis() as u64;
        let key_id = self.called_by.0.get();
        let _in_span = self.span.enter();
        // Probes come every few seconds; only their failures are news.
        if route.starts_with("/health/") && self.status == Some(200) {
            tracing::debug!(method, route, status = 200, duration_ms, bytes, "request");
        } else {
            let status = self.status.unwrap_or(0);
            tracing::info!(
                method,
                route,
                status,
                duration_ms,
                bytes,
                is_whole,
                key_id,
                "request"
            );
        }
    }
}

/// The body of an answer, counted.
struct Counted {
    body: Body,
    line: Line,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.line.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                self.line.is_whole = self.body.is_end_stream();
            }
            Poll::Ready(None) => self.line.is_whole = true,
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
