//! Tokens over HTTP, one by one. With a load they come at its commit.

use axum::{Json, extract::State, http::StatusCode};
use contract::{DeltaToken, DeltaTokens, NewDeltaToken, Permission, SaveDeltaToken, SystemId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{check_endpoint, check_token, docs, store};
use crate::{
    app::AppState,
    auth::Caller,
    body::SmallBody,
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery},
    system,
};

/// The routes about delta tokens.
pub fn routes() -> Routes {
    let one = "/api/crawlers/delta-tokens/{endpoint}";
    Routes::new()
        .get("/api/crawlers/delta-tokens", list, docs::list())
        .get(one, get, docs::get())
        .put(one, put, docs::put())
        .delete(one, delete, docs::delete())
}

/// Whose tokens.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenQuery {
    /// The system that is read.
    system_id: SystemId,
}

/// The system of the question, if the caller may crawl it.
async fn system_of(
    state: &AppState,
    caller: &Caller,
    query: InQuery<TokenQuery>,
) -> Result<SystemId, ApiError> {
    caller.require(Permission::Ingest)?;
    let system_id = query.read()?.system_id;
    system::require(&state.pool, caller, system_id).await?;
    Ok(system_id)
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<TokenQuery>,
) -> Result<Json<DeltaTokens>, ApiError> {
    let system_id = system_of(&state, &caller, query).await?;
    let items = store::list(&state.pool, system_id).await?;
    Ok(Json(DeltaTokens { items }))
}

async fn get(
    State(state): State<AppState>,
    caller: Caller,
    InPath(endpoint): InPath<String>,
    query: InQuery<TokenQuery>,
) -> Result<Json<DeltaToken>, ApiError> {
    let system_id = system_of(&state, &caller, query).await?;
    check_endpoint("", &endpoint)?;
    let mut connection = state.pool.acquire().await?;
    let found = store::get(&mut connection, system_id, &endpoint).await?;
    found
        .map(Json)
        .ok_or_else(|| ApiError::NotFound("there is no token of this endpoint".into()))
}

async fn put(
    State(state): State<AppState>,
    caller: Caller,
    InPath(endpoint): InPath<String>,
    query: InQuery<TokenQuery>,
    body: SmallBody,
) -> Result<Json<DeltaToken>, ApiError> {
    let system_id = system_of(&state, &caller, query).await?;
    let wanted: SaveDeltaToken = body.json()?;
    check_endpoint("", &endpoint)?;
    check_token("", &wanted.config_hash, &wanted.token)?;
    let saved = durable(async move {
        let new = NewDeltaToken {
            endpoint,
            config_hash: wanted.config_hash,
            token: wanted.token,
            is_full_read: wanted.is_full_read,
        };
        let mut transaction = state.pool.begin().await?;
        store::save(
            &mut transaction,
            system_id,
            None,
            std::slice::from_ref(&new),
        )
        .await?;
        let saved = store::get(&mut transaction, system_id, &new.endpoint)
            .await?
            .ok_or_else(|| ApiError::internal("a token that was just saved is not there"))?;
        transaction.commit().await?;
        Ok(saved)
    })
    .await?;
    Ok(Json(saved))
}

async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    InPath(endpoint): InPath<String>,
    query: InQuery<TokenQuery>,
) -> Result<StatusCode, ApiError> {
    let system_id = system_of(&state, &caller, query).await?;
    check_endpoint("", &endpoint)?;
    durable(async move {
        store::delete(&state.pool, system_id, &endpoint).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
