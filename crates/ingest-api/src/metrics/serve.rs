//! The listener of the metrics.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{app::AppState, durable::durable, error::ApiError};

/// Serves `/metrics`, and nothing else, until told to stop. The address is for whoever watches, and for nobody else.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new().route("/metrics", get(show)).with_state(state);
    let serving = axum::serve(listener, router);
    // Who looks is not waited for.
    tokio::select! {
        ended = serving => ended,
        () = stop.cancelled() => Ok(()),
    }
}

async fn show(State(state): State<AppState>) -> Response {
    let looked = durable(async move {
        let metrics = state.metrics.clone();
        metrics.look(&state).await.map_err(ApiError::internal)
    });
    match looked.await {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
