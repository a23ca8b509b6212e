//! Held removals over HTTP: see them, approve or reject them.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use contract::{ChangeSet, ChangeSetState, Decision, Permission};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::held;
use crate::{
    app::AppState,
    audit,
    auth::Caller,
    body::SmallBody,
    durable::{durable, retrying},
    error::ApiError,
    params::InPath,
};

/// The routes about held removals.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/ingest/held", get(list))
        .route("/api/ingest/held/{id}/approve", post(approve))
        .route("/api/ingest/held/{id}/reject", post(reject))
}

#[derive(Serialize)]
struct ChangeSets {
    items: Vec<ChangeSet>,
}

async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<ChangeSets>, ApiError> {
    if caller.require(Permission::Admin).is_err() {
        caller.require(Permission::Read)?;
    }
    let mut items = held::list(&state.pool, caller.workspace_id).await?;
    items.retain(|change_set| caller.may_touch(change_set.system_id));
    Ok(Json(ChangeSets { items }))
}

async fn approve(
    state: State<AppState>,
    caller: Caller,
    id: InPath<Uuid>,
    body: SmallBody,
) -> Result<Json<ChangeSet>, ApiError> {
    decide(state.0, caller, id.0, &body, ChangeSetState::Approved).await
}

async fn reject(
    state: State<AppState>,
    caller: Caller,
    id: InPath<Uuid>,
    body: SmallBody,
) -> Result<Json<ChangeSet>, ApiError> {
    decide(state.0, caller, id.0, &body, ChangeSetState::Rejected).await
}

async fn decide(
    state: AppState,
    caller: Caller,
    id: Uuid,
    body: &SmallBody,
    wanted: ChangeSetState,
) -> Result<Json<ChangeSet>, ApiError> {
    caller.require(Permission::Admin)?;
    let decision: Decision = body.json()?;
    let length = decision.reason.trim().chars().count();
    if !(3..=1000).contains(&length) {
        return Err(ApiError::bad_field(
            "reason",
            "a decision needs a reason of 3 to 1,000 characters",
        ));
    }
    durable(async move {
        let decided = retrying(|| decide_once(&state, &caller, id, &decision, wanted)).await?;
        if wanted == ChangeSetState::Approved {
            state.refresher.request();
        }
        Ok(Json(decided))
    })
    .await
}

async fn decide_once(
    state: &AppState,
    caller: &Caller,
    id: Uuid,
    decision: &Decision,
    wanted: ChangeSetState,
) -> Result<ChangeSet, ApiError> {
    let not_found = || ApiError::NotFound("there is no such change set".into());
    let mut transaction = state.pool.begin().await?;
    let change_set = held::lock(&mut transaction, caller.workspace_id, id)
        .await?
        .ok_or_else(not_found)?;
    if !caller.may_touch(change_set.system_id) {
        return Err(not_found());
    }
    if change_set.state != ChangeSetState::Held {
        return Err(ApiError::Conflict {
            detail: "the change set was decided before, or a newer load made it void".into(),
            sync_id: None,
        });
    }
    let removed = match wanted {
        ChangeSetState::Approved => held::apply(&mut transaction, &change_set).await?,
        _ => 0,
    };
    held::decide(
        &mut transaction,
        id,
        wanted,
        &caller.actor(),
        decision.reason.trim(),
    )
    .await?;
    let detail = json!({"reason": decision.reason.trim(), "wouldDelete": change_set.would_delete, "removed": removed});
    let action = if wanted == ChangeSetState::Approved {
        "held.approve"
    } else {
        "held.reject"
    };
    audit::record(&mut transaction, caller, action, &id.to_string(), detail).await?;
    let decided = held::lock(&mut transaction, caller.workspace_id, id)
        .await?
        .ok_or_else(not_found)?;
    transaction.commit().await?;
    Ok(decided)
}
