//! The endpoint of every entity.

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
};
use contract::{Entity, IngestAnswer, Permission};

use super::{
    arrival::ArrivedAt,
    call::Call,
    chunked::{self, Chunk, Lost},
    docs,
    envelope::Envelope,
    systems,
};
use crate::{
    app::AppState, auth::Caller, body::RecordBody, durable::durable, error::ApiError,
    openapi::Routes,
};

/// One route per entity.
pub fn routes() -> Routes {
    Entity::ALL
        .into_iter()
        .fold(Routes::new(), with_endpoint)
        // Bodies have limits of their own, before and after decompression.
        .around(|router| router.layer(DefaultBodyLimit::disable()))
}

fn with_endpoint(routes: Routes, entity: Entity) -> Routes {
    routes.post(
        &format!("/api/ingest/{}", entity.wire_name()),
        // The arrival first: the others wait for the database.
        move |arrived: ArrivedAt,
              State(state): State<AppState>,
              caller: Caller,
              headers: HeaderMap,
              body: RecordBody| { handle(entity, arrived, state, caller, headers, body) },
        docs::post(entity),
    )
}

async fn handle(
    entity: Entity,
    arrived: ArrivedAt,
    state: AppState,
    caller: Caller,
    headers: HeaderMap,
    mut body: RecordBody,
) -> Result<(StatusCode, Json<IngestAnswer>), ApiError> {
    caller.require(Permission::Ingest)?;
    durable(async move {
        let first = body.envelope::<Envelope>().await;
        let at_stake = match &first {
            _ if entity == Entity::Systems => Lost::None,
            Ok(first) => Lost::by(first),
            Err(_) => Lost::with(body.seen("syncId")),
        };
        let call = Call {
            state: &state,
            caller: &caller,
            entity,
            headers: &headers,
            arrived,
        };
        let stored = match first {
            Ok(first) => store(&call, &first, &mut body).await,
            Err(error) => Err(error),
        };
        if stored.is_err() {
            chunked::lost(&state, &caller, entity, at_stake).await?;
        }
        let (status, answer) = stored?;
        Ok((status, Json(answer)))
    })
    .await
}

async fn store(
    call: &Call<'_>,
    first: &Envelope,
    body: &mut RecordBody,
) -> Result<(StatusCode, IngestAnswer), ApiError> {
    match (call.entity, first.sync_session) {
        (Entity::Systems, _) => systems::store(call.state, call.caller, body).await,
        (_, Some(step)) => {
            let chunk = Chunk {
                state: call.state,
                caller: call.caller,
                entity: call.entity,
                step,
                arrived: call.arrived,
            };
            chunk.take(first, body).await
        }
        (_, None) if first.sync_id.is_some() => Err(ApiError::bad_field(
            "syncId",
            "a syncId needs a syncSession of 'continue' or 'end'",
        )),
        (_, None) => call.store(first, body).await,
    }
}
