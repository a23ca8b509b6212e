//! The audit log over HTTP.

use axum::{Json, extract::State, response::Response};
use contract::{AuditPage, Permission};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    docs,
    export::{self, AuditForm},
    find::{self, Filter, Wanted},
};
use crate::{
    app::AppState,
    auth::Caller,
    error::ApiError,
    openapi::Routes,
    params::{InQuery, page_size},
    pieces::TellsTheEnd,
};

/// The routes about the audit log.
pub fn routes() -> Routes {
    Routes::new().get("/api/audit", list, docs::list()).get(
        "/api/audit/export",
        export,
        docs::export(),
    )
}

/// The log tells of every system: it is for admins of the whole workspace.
fn may_look(caller: &Caller) -> Result<(), ApiError> {
    caller.require(Permission::Admin)?;
    if caller.system_ids.is_none() {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "the audit log spans systems; the key is limited to some".into(),
    ))
}

/// Which entries, and which page of them.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListQuery {
    /// Only those of actors whose name begins so, such as `key:ab12CD34ef56`.
    #[schemars(length(min = 1, max = 300))]
    actor: Option<String>,
    /// Only these actions: one (`key.create`), or all of a kind (`key`).
    #[schemars(length(min = 1, max = 100))]
    action: Option<String>,
    /// Only those done to this.
    #[schemars(length(min = 1, max = 300))]
    target: Option<String>,
    /// Only those from this instant on.
    #[schemars(extend("format" = "date-time"))]
    from: Option<String>,
    /// Only those before this instant.
    #[schemars(extend("format" = "date-time"))]
    to: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<ListQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    may_look(&caller)?;
    let query = query.read()?;
    let filter = Filter::of(Wanted {
        actor: query.actor,
        action: query.action,
        target: query.target,
        from: query.from,
        to: query.to,
    })?;
    let after = query.after.as_deref().map(str::parse).transpose()?;
    let limit = page_size(query.limit);
    let page = find::page(&state.pool, caller.workspace_id, &filter, after, limit).await?;
    Ok(Json(find::answer(page)))
}

/// Which entries, and in which form.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportQuery {
    /// The form; `ndjson` when absent.
    format: Option<AuditForm>,
    /// Only those of actors whose name begins so, such as `key:ab12CD34ef56`.
    #[schemars(length(min = 1, max = 300))]
    actor: Option<String>,
    /// Only these actions: one (`key.create`), or all of a kind (`key`).
    #[schemars(length(min = 1, max = 100))]
    action: Option<String>,
    /// Only those done to this.
    #[schemars(length(min = 1, max = 300))]
    target: Option<String>,
    /// Only those from this instant on.
    #[schemars(extend("format" = "date-time"))]
    from: Option<String>,
    /// Only those before this instant.
    #[schemars(extend("format" = "date-time"))]
    to: Option<String>,
}

async fn export(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<ExportQuery>,
    _: TellsTheEnd,
) -> Result<Response, ApiError> {
    may_look(&caller)?;
    let query = query.read()?;
    let filter = Filter::of(Wanted {
        actor: query.actor,
        action: query.action,
        target: query.target,
        from: query.from,
        to: query.to,
    })?;
    export::answer(&state, caller, filter, query.format.unwrap_or_default()).await
}
