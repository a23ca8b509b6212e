//! Reading the register: find, who has access, why, who is privileged, how much there is.
//!
//! Every answer is limited to the caller's workspace and to the systems that its key may touch.

mod as_of;
mod called;
mod called_docs;
mod docs;
mod export;
mod matrix;
mod matrix_docs;
mod register;
mod register_docs;
mod totals;

use axum::{Json, extract::State};
use contract::{Permission, SystemId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use views::{Cursor, ViewError};

pub use as_of::AsOf;

use crate::{
    app::AppState,
    auth::Caller,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery, USUAL_PAGE},
    system,
};

/// The routes for reading.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/systems", systems, docs::systems())
        .get("/api/principals", find_principals, docs::find_principals())
        .get("/api/resources", find_resources, docs::find_resources())
        .get(
            "/api/systems/{systemId}/resources/{resourceId}/access",
            resource_holders,
            docs::resource_holders(),
        )
        .get(
            "/api/systems/{systemId}/principals/{principalId}/access",
            principal_holdings,
            docs::principal_holdings(),
        )
        .get("/api/access/explain", explain, docs::explain())
        .get("/api/access/privileged", privileged, docs::privileged())
        .merge(register::routes())
        .merge(called::routes())
        .merge(matrix::routes())
        .merge(totals::routes())
}

fn readable(caller: &Caller) -> Result<(), ApiError> {
    caller.require(Permission::Read)
}

/// A system that the caller may not read is not there for it.
async fn visible(state: &AppState, caller: &Caller, system_id: SystemId) -> Result<(), ApiError> {
    if system::is_visible(&state.pool, caller, system_id).await? {
        Ok(())
    } else {
        Err(ApiError::NotFound(format!(
            "there is no system {system_id}"
        )))
    }
}

/// Answers that span systems are for keys that may read all of them.
fn whole_workspace(caller: &Caller) -> Result<(), ApiError> {
    if caller.system_ids.is_none() {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "this answer spans systems; the key is limited to some".into(),
    ))
}

/// What was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
struct Items<T> {
    /// In order.
    items: Vec<T>,
}

async fn systems(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Items<system::SystemInfo>>, ApiError> {
    readable(&caller)?;
    let mut items = system::list(&state.pool, caller.workspace_id).await?;
    items.retain(|system| caller.may_touch(system.system_id));
    Ok(Json(Items { items }))
}

/// What to look for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Find {
    /// What a person typed: a name, its beginning, a part of it, or an id.
    search: String,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn find_principals(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<Find>,
) -> Result<Json<Items<views::FoundPrincipal>>, ApiError> {
    readable(&caller)?;
    let find = query.read()?;
    let limit = find.limit.unwrap_or(USUAL_PAGE);
    let systems = caller.system_ids.as_deref();
    let items = views::find_principals(
        &state.pool,
        caller.workspace_id,
        &find.search,
        systems,
        limit,
    )
    .await?;
    Ok(Json(Items { items }))
}

async fn find_resources(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<Find>,
) -> Result<Json<Items<views::FoundResource>>, ApiError> {
    readable(&caller)?;
    let find = query.read()?;
    let limit = find.limit.unwrap_or(USUAL_PAGE);
    let systems = caller.system_ids.as_deref();
    let items = views::find_resources(
        &state.pool,
        caller.workspace_id,
        &find.search,
        systems,
        limit,
    )
    .await?;
    Ok(Json(Items { items }))
}

/// Which page.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PageQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
    /// As it was at this instant; now when absent.
    #[schemars(extend("format" = "date-time"))]
    as_of: Option<String>,
}

impl PageQuery {
    fn cursor(&self) -> Result<Option<Cursor>, ApiError> {
        let cursor = self.after.as_deref().map(str::parse).transpose();
        cursor.map_err(|error: ViewError| error.into())
    }
}

async fn resource_holders(
    State(state): State<AppState>,
    caller: Caller,
    InPath((system_id, resource_id)): InPath<(SystemId, Uuid)>,
    query: InQuery<PageQuery>,
) -> Result<Json<views::Page<views::Holder>>, ApiError> {
    readable(&caller)?;
    visible(&state, &caller, system_id).await?;
    let page = query.read()?;
    let (after, limit) = (page.cursor()?, page.limit.unwrap_or(USUAL_PAGE));
    let as_of = AsOf::of_query(&state.pool, page.as_of.as_deref()).await?;
    let holders = views::resource_holders(
        as_of.register(&state.pool),
        caller.workspace_id,
        system_id,
        resource_id,
        after.as_ref(),
        limit,
    )
    .await?;
    as_of.still_known(&state.pool).await?;
    Ok(Json(holders))
}

async fn principal_holdings(
    State(state): State<AppState>,
    caller: Caller,
    InPath((system_id, principal_id)): InPath<(SystemId, Uuid)>,
    query: InQuery<PageQuery>,
) -> Result<Json<views::Page<views::Holding>>, ApiError> {
    readable(&caller)?;
    visible(&state, &caller, system_id).await?;
    let page = query.read()?;
    let (after, limit) = (page.cursor()?, page.limit.unwrap_or(USUAL_PAGE));
    let as_of = AsOf::of_query(&state.pool, page.as_of.as_deref()).await?;
    let holdings = views::principal_holdings(
        as_of.register(&state.pool),
        caller.workspace_id,
        system_id,
        principal_id,
        after.as_ref(),
        limit,
    )
    .await?;
    as_of.still_known(&state.pool).await?;
    Ok(Json(holdings))
}

/// Whose access to what.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExplainQuery {
    /// The system of both.
    system_id: SystemId,
    /// The principal.
    principal_id: Uuid,
    /// The resource.
    resource_id: Uuid,
    /// As it was at this instant; now when absent.
    #[schemars(extend("format" = "date-time"))]
    as_of: Option<String>,
}

async fn explain(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<ExplainQuery>,
) -> Result<Json<views::Explanation>, ApiError> {
    readable(&caller)?;
    let query = query.read()?;
    visible(&state, &caller, query.system_id).await?;
    let as_of = AsOf::of_query(&state.pool, query.as_of.as_deref()).await?;
    let explanation = views::explain(
        as_of.register(&state.pool),
        caller.workspace_id,
        query.system_id,
        query.principal_id,
        query.resource_id,
    )
    .await?;
    as_of.still_known(&state.pool).await?;
    Ok(Json(explanation))
}

/// How many.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limit {
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
    /// As it was at this instant; now when absent.
    #[schemars(extend("format" = "date-time"))]
    as_of: Option<String>,
}

async fn privileged(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<Limit>,
) -> Result<Json<Items<views::PrivilegedPrincipal>>, ApiError> {
    readable(&caller)?;
    whole_workspace(&caller)?;
    let query = query.read()?;
    let limit = query.limit.unwrap_or(USUAL_PAGE).min(views::MAX_PAGE);
    let as_of = AsOf::of_query(&state.pool, query.as_of.as_deref()).await?;
    let register = as_of.register(&state.pool);
    let items = views::privileged_principals(register, caller.workspace_id, limit).await?;
    as_of.still_known(&state.pool).await?;
    Ok(Json(Items { items }))
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Database(error) => error.into(),
            ViewError::InvalidCursor => Self::bad_field("after", error.to_string()),
            other => Self::internal(other),
        }
    }
}
