//! Attributes over HTTP: what there is, and which of them have columns.

use axum::{Json, extract::State, http::StatusCode};
use contract::{
    AttributeDriftPage, AttributePage, Entity, Permission, Promote, PromoteAll, PromotedAll,
    Promotion, PromotionPage, PromotionRefused, PromotionState, SystemId,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{docs, drift, list, promotion};
use crate::{
    app::AppState,
    audit,
    auth::Caller,
    body::SmallBody,
    durable::{durable, retrying},
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery, page_size},
    system,
};

/// The routes about attributes.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/attributes", find, docs::find())
        .get("/api/attributes/drifts", drifts, docs::drifts())
        .get("/api/attributes/promotions", promotions, docs::promotions())
        .post("/api/attributes/promotions", promote, docs::promote())
        .put(
            "/api/attributes/promotions",
            promote_all,
            docs::promote_all(),
        )
        .get("/api/attributes/promotions/{id}", show, docs::show())
        .post(
            "/api/attributes/promotions/{id}/demote",
            demote,
            docs::demote(),
        )
}

fn may_promote(caller: &Caller) -> Result<(), ApiError> {
    caller.require_one_of(&[Permission::Admin, Permission::Schema])
}

fn may_look(caller: &Caller) -> Result<(), ApiError> {
    caller.require_one_of(&[Permission::Read, Permission::Admin, Permission::Schema])
}

/// A system that the caller may not see is not there for it.
async fn visible(state: &AppState, caller: &Caller, system_id: SystemId) -> Result<(), ApiError> {
    if system::is_visible(&state.pool, caller, system_id).await? {
        return Ok(());
    }
    Err(ApiError::NotFound(format!(
        "there is no system {system_id}"
    )))
}

/// Which attributes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindQuery {
    /// Of this system.
    system_id: SystemId,
    /// Of rows of this entity.
    entity: Entity,
    /// `next` of the page before.
    after: Option<String>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn find(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<FindQuery>,
) -> Result<Json<AttributePage>, ApiError> {
    may_look(&caller)?;
    let query = query.read()?;
    visible(&state, &caller, query.system_id).await?;
    let wanted = list::Wanted {
        system_id: query.system_id,
        entity: query.entity,
        after: query.after.as_deref(),
        limit: page_size(query.limit),
    };
    if wanted.after.is_some_and(|after| after.contains('\0')) {
        return Err(ApiError::bad_field("after", "no name has a NUL character"));
    }
    Ok(Json(list::page(&state.pool, &caller, &wanted).await?))
}

/// Which changes of type.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriftQuery {
    /// Of this system.
    system_id: SystemId,
    /// Only of rows of this entity.
    entity: Option<Entity>,
    /// `next` of the page before.
    after: Option<i64>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn drifts(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<DriftQuery>,
) -> Result<Json<AttributeDriftPage>, ApiError> {
    may_look(&caller)?;
    let query = query.read()?;
    visible(&state, &caller, query.system_id).await?;
    let page = drift::page(
        &state.pool,
        query.system_id,
        query.entity,
        query.after,
        page_size(query.limit),
    )
    .await?;
    Ok(Json(page))
}

/// Which promotions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionQuery {
    /// Only of rows of this entity.
    entity: Option<Entity>,
    /// Only those that stand so.
    state: Option<PromotionState>,
    /// `next` of the page before.
    after: Option<Uuid>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn promotions(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<PromotionQuery>,
) -> Result<Json<PromotionPage>, ApiError> {
    may_look(&caller)?;
    let query = query.read()?;
    let wanted = promotion::Wanted {
        entity: query.entity,
        state: query.state,
        after: query.after,
        limit: page_size(query.limit),
    };
    let mut connection = state.pool.acquire().await?;
    Ok(Json(
        promotion::page(&mut connection, &caller, &wanted).await?,
    ))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<Uuid>,
) -> Result<Json<Promotion>, ApiError> {
    may_look(&caller)?;
    let mut connection = state.pool.acquire().await?;
    Ok(Json(promotion::one(&mut connection, &caller, id).await?))
}

async fn promote(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Json<Promotion>), ApiError> {
    may_promote(&caller)?;
    let wanted: Promote = body.json()?;
    durable(async move {
        let (promotion, is_new) = retrying(|| promote_one(&state, &caller, &wanted)).await?;
        state.attributes.wake();
        let status = if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Ok((status, Json(promotion)))
    })
    .await
}

async fn promote_one(
    state: &AppState,
    caller: &Caller,
    wanted: &Promote,
) -> Result<(Promotion, bool), ApiError> {
    let mut transaction = state.pool.begin().await?;
    let (id, is_new) = promotion::request(&mut transaction, caller, wanted).await?;
    if is_new {
        let detail = subject(
            wanted.entity,
            wanted.attribute.as_deref(),
            wanted.field.as_deref(),
        );
        audit::record(
            &mut transaction,
            caller,
            "attribute.promote",
            &id.to_string(),
            detail,
        )
        .await?;
    }
    let promotion = promotion::one(&mut transaction, caller, id).await?;
    transaction.commit().await?;
    Ok((promotion, is_new))
}

/// What a promotion is about, for the audit log.
fn subject(entity: Entity, attribute: Option<&str>, field: Option<&str>) -> Value {
    match field {
        Some(field) => json!({"entity": entity, "field": field}),
        None => json!({"entity": entity, "attribute": attribute}),
    }
}

/// For crawlers: what is configured has, or gets, a column. One that cannot have one does not stop the others.
async fn promote_all(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<Json<PromotedAll>, ApiError> {
    may_promote(&caller)?;
    let wanted: PromoteAll = body.json()?;
    if wanted.promotions.len() > contract::MAX_PROMOTED {
        return Err(ApiError::bad_field(
            "promotions",
            format!(
                "at most {} attributes and fields at once",
                contract::MAX_PROMOTED
            ),
        ));
    }
    // What names nothing, or two things, is a mistake in the request; what cannot be had is told in the answer.
    if let Some(index) = wanted.promotions.iter().position(|one| !one.is_of_one()) {
        return Err(ApiError::bad_field(
            &format!("promotions/{index}"),
            "name either an attribute, to give it a column, or a core field (without type), to give it an index",
        ));
    }
    durable(async move {
        let mut answer = PromotedAll {
            items: Vec::new(),
            refused: Vec::new(),
        };
        for (index, wanted) in wanted.promotions.iter().enumerate() {
            match retrying(|| promote_one(&state, &caller, wanted)).await {
                Ok((promotion, _)) => answer.items.push(promotion),
                Err(error @ (ApiError::Conflict { .. } | ApiError::BadRequest { .. })) => {
                    answer.refused.push(PromotionRefused {
                        index,
                        detail: error.to_string(),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        state.attributes.wake();
        Ok(Json(answer))
    })
    .await
}

async fn demote(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<Uuid>,
) -> Result<Json<Promotion>, ApiError> {
    may_promote(&caller)?;
    durable(async move {
        let demoted = retrying(|| async {
            let mut transaction = state.pool.begin().await?;
            let before = promotion::one(&mut transaction, &caller, id).await?;
            let after = promotion::demote(&mut transaction, &caller, id).await?;
            if before.state != after.state {
                let detail = subject(
                    after.entity,
                    after.attribute.as_deref(),
                    after.field.as_deref(),
                );
                audit::record(
                    &mut transaction,
                    &caller,
                    "attribute.demote",
                    &id.to_string(),
                    detail,
                )
                .await?;
            }
            transaction.commit().await?;
            Ok(after)
        })
        .await?;
        state.attributes.wake();
        Ok(Json(demoted))
    })
    .await
}
