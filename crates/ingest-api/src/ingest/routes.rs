//! The endpoint of every entity.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::{MethodRouter, post},
};
use contract::{Entity, IngestAnswer, Permission};

use super::{
    arrival::ArrivedAt, call, chunked, envelope::Envelope, idempotency::Idempotency, systems,
};
use crate::{app::AppState, auth::Caller, body::RecordBody, durable::durable, error::ApiError};

/// One route per entity.
pub fn routes() -> Router<AppState> {
    Entity::ALL
        .into_iter()
        .fold(Router::new(), |router, entity| {
            router.route(
                &format!("/api/ingest/{}", entity.wire_name()),
                endpoint(entity),
            )
        })
        // Bodies have limits of their own, before and after decompression.
        .layer(DefaultBodyLimit::disable())
}

fn endpoint(entity: Entity) -> MethodRouter<AppState> {
    post(
        // The arrival first: the others wait for the database and for the body.
        move |arrived: ArrivedAt,
              State(state): State<AppState>,
              caller: Caller,
              headers: HeaderMap,
              body: RecordBody| { handle(entity, arrived, state, caller, headers, body) },
    )
}

async fn handle(
    entity: Entity,
    arrived: ArrivedAt,
    state: AppState,
    caller: Caller,
    headers: HeaderMap,
    body: RecordBody,
) -> Result<(StatusCode, Json<IngestAnswer>), ApiError> {
    caller.require(Permission::Ingest)?;
    durable(async move {
        let _room = state.ingest_room().await?;
        let body_hash = body.hash();
        let (mut envelope, texts) = tokio::task::spawn_blocking(move || body.split::<Envelope>())
            .await
            .map_err(ApiError::internal)??;
        let (status, answer) = match (entity, envelope.sync_session) {
            (Entity::Systems, _) => systems::store(&state, &caller, &envelope, &texts).await?,
            (_, Some(step)) => {
                envelope.read_began_ms_ago = Some(arrived.read_began_ms_ago(&envelope));
                chunked::step(
                    &state,
                    &caller,
                    entity,
                    step,
                    &envelope,
                    body_hash,
                    Arc::new(texts),
                )
                .await?
            }
            (_, None) if envelope.sync_id.is_some() => {
                return Err(ApiError::bad_field(
                    "syncId",
                    "a syncId needs a syncSession of 'continue' or 'end'",
                ));
            }
            (_, None) => {
                let idempotency = Idempotency::of(&headers, entity, body_hash)?;
                call::store(
                    &state,
                    &caller,
                    entity,
                    &envelope,
                    idempotency.as_ref(),
                    arrived,
                    Arc::new(texts),
                )
                .await?
            }
        };
        Ok((status, Json(answer)))
    })
    .await
}
