//! Probes: is the process alive, can it serve?

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::AppState,
    database::{SchemaStanding, schema_standing},
    durable::durable,
    error::ApiError,
    openapi::{Operation, Routes, Tag},
};

/// The routes of the probes.
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/health/live",
            live,
            Operation::new(Tag::Server, "getLiveness", "Does the process answer?")
                .public()
                .answers::<Health>(200, "It does."),
        )
        .get(
            "/health/ready",
            ready,
            Operation::new(Tag::Server, "getReadiness", "Can the server serve?")
                .says(
                    "Asks the database too, and whether its schema is one that this version can work with. A load balancer sends \
                     requests only to servers that can.",
                )
                .public()
                .answers::<Health>(200, "It can.")
                .refuses(503, "The database is away, or its schema is too old or too new."),
        )
}

/// The state of the server.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `live` or `ready`.
    status: &'static str,
    /// The server's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
}

/// The process answers.
async fn live() -> Json<Health> {
    Json(Health {
        status: "live",
        version: None,
    })
}

/// The database answers too, and is one that this version can work with.
async fn ready(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    let standing = durable(async move { Ok(schema_standing(&state.pool).await?) }).await?;
    if matches!(standing, SchemaStanding::TooOld | SchemaStanding::TooNew) {
        tracing::warn!(
            ?standing,
            "the schema is none that this version can work with"
        );
        return Err(ApiError::Busy);
    }
    Ok(Json(Health {
        status: "ready",
        version: Some(env!("CARGO_PKG_VERSION")),
    }))
}
