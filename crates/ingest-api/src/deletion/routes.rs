//! Held removals over HTTP: see them, approve or reject them.

use axum::{Json, extract::State};
use contract::{
    ChangeSet, ChangeSetPage, ChangeSetState, Decision, Entity, HeldRowPage, Permission, SystemId,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{docs, held, list, list::not_found, rows};
use crate::{
    app::AppState,
    audit,
    auth::Caller,
    body::SmallBody,
    durable::{durable, retrying},
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery, page_size},
    session::gate,
};

/// The routes about held removals.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/ingest/held", find, docs::find())
        .get("/api/ingest/held/{id}", show, docs::show())
        .get("/api/ingest/held/{id}/rows", show_rows, docs::show_rows())
        .post("/api/ingest/held/{id}/approve", approve, docs::approve())
        .post("/api/ingest/held/{id}/reject", reject, docs::reject())
}

fn may_look(caller: &Caller) -> Result<(), ApiError> {
    caller.require_one_of(&[Permission::Admin, Permission::Read])
}

/// Which change sets.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindQuery {
    /// Only those that stand so.
    state: Option<ChangeSetState>,
    /// Only those of this system.
    system_id: Option<SystemId>,
    /// Only those about rows of this entity.
    entity: Option<Entity>,
    /// `next` of the page before.
    after: Option<Uuid>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn find(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<FindQuery>,
) -> Result<Json<ChangeSetPage>, ApiError> {
    may_look(&caller)?;
    let query = query.read()?;
    let wanted = list::Wanted {
        state: query.state,
        system_id: query.system_id,
        entity: query.entity,
        after: query.after,
        limit: page_size(query.limit),
    };
    Ok(Json(list::page(&state.pool, &caller, &wanted).await?))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<Uuid>,
) -> Result<Json<ChangeSet>, ApiError> {
    may_look(&caller)?;
    let mut change_set = list::one(&state.pool, &caller, id).await?;
    if change_set.state == ChangeSetState::Held {
        change_set.would_delete_now = Some(rows::count_now(&state.pool, &change_set).await?);
    }
    Ok(Json(change_set))
}

/// Which rows of a change set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    /// `next` of the page before.
    after: Option<i64>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn show_rows(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<Uuid>,
    query: InQuery<RowsQuery>,
) -> Result<Json<HeldRowPage>, ApiError> {
    may_look(&caller)?;
    let query = query.read()?;
    let change_set = list::one(&state.pool, &caller, id).await?;
    if let Some(purged_at) = change_set.rows_purged_at {
        // An empty list would say that there was nothing.
        return Err(ApiError::NotFound(format!(
            "the list of the change set's rows was dropped by retention at {purged_at}; the rows that it removed are in the history"
        )));
    }
    let limit = page_size(query.limit);
    let after = query.after.unwrap_or(0);
    Ok(Json(
        rows::page(&state.pool, &change_set, after, limit).await?,
    ))
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
    if wanted == ChangeSetState::Rejected && decision.would_delete.is_some() {
        return Err(ApiError::bad_field(
            "wouldDelete",
            "a rejection removes nothing, so it expects no number",
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

fn require_waiting(change_set: &ChangeSet) -> Result<(), ApiError> {
    let what = match change_set.state {
        ChangeSetState::Held => return Ok(()),
        ChangeSetState::Approved => "was approved before",
        ChangeSetState::Rejected => "was rejected before",
        ChangeSetState::Expired => {
            "is void: a newer full load of the scope was committed, and its own findings hold"
        }
    };
    Err(ApiError::Conflict {
        detail: format!("the change set {what}"),
        sync_id: None,
    })
}

async fn decide_once(
    state: &AppState,
    caller: &Caller,
    id: Uuid,
    decision: &Decision,
    wanted: ChangeSetState,
) -> Result<ChangeSet, ApiError> {
    let known = list::one(&state.pool, caller, id).await?;
    let mut transaction = state.pool.begin().await?;
    if wanted == ChangeSetState::Approved {
        // Whoever is meeting rows of the set at this moment takes them out of it first.
        gate::close_to_remove(&mut transaction, known.system_id, known.entity).await?;
    }
    let change_set = held::lock(&mut transaction, caller.workspace_id, id)
        .await?
        .ok_or_else(not_found)?;
    if !caller.may_touch(change_set.system_id) {
        return Err(not_found());
    }
    require_waiting(&change_set)?;
    let removed = match wanted {
        ChangeSetState::Approved => held::apply(&mut transaction, &change_set).await?,
        _ => 0,
    };
    if let Some(expected) = decision.would_delete
        && removed != expected
    {
        // Leaving here takes the removals back.
        return Err(ApiError::Conflict {
            detail: format!(
                "{removed} rows would be removed now, not {expected}; look at the change set again"
            ),
            sync_id: None,
        });
    }
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
    state.metrics.removed(known.entity, removed);
    Ok(decided)
}
