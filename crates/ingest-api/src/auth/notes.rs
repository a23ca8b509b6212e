//! What is known of a request before its handler runs, and what its answer says of the key's limit.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::{Request, State},
    http::HeaderValue,
    middleware::Next,
    response::Response,
};

use super::{
    address::{Origin, Peer, client_address},
    bucket::Allowance,
};
use crate::app::{AppState, REQUEST_ID};

/// Where the extractor leaves what the answer is to say.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<OnceLock<Allowance>>);

impl Notes {
    /// Notes what is left of the key's limit. A request has one caller, so the first note is the only one.
    pub fn set(&self, allowance: Allowance) {
        let _ = self.0.set(allowance);
    }
}

/// Notes where a request comes from, and tells in its answer what is left of the key's limit.
pub async fn note(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let trusted = &state.settings.doors.trusted_proxies;
    let origin = Origin {
        address: peer.and_then(|peer| client_address(request.headers(), peer, trusted)),
        request_id: request
            .headers()
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned),
    };
    let notes = Notes::default();
    request.extensions_mut().insert(origin);
    request.extensions_mut().insert(notes.clone());
    let mut response = next.run(request).await;
    if let Some(allowance) = notes.0.get() {
        let headers = response.headers_mut();
        headers.insert("ratelimit-limit", HeaderValue::from(allowance.limit));
        headers.insert(
            "ratelimit-remaining",
            HeaderValue::from(allowance.remaining),
        );
        headers.insert("ratelimit-reset", HeaderValue::from(allowance.seconds));
    }
    response
}
