//! Probes: is the process alive, can it serve?

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::{app::AppState, error::ApiError};

/// The process answers.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// The database answers too.
pub async fn ready(State(state): State<AppState>) -> Result<(StatusCode, Json<Value>), ApiError> {
    sqlx::query("select 1").execute(&state.pool).await?;
    Ok((
        StatusCode::OK,
        Json(json!({"status": "ready", "version": env!("CARGO_PKG_VERSION")})),
    ))
}
