//! How much there is.

use std::time::Duration;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{docs, readable, whole_workspace};
use crate::{app::AppState, auth::Caller, error::ApiError, openapi::Routes, params::InQuery};

/// The route.
pub fn routes() -> Routes {
    Routes::new().get("/api/totals", totals, docs::totals())
}

/// How sure the numbers are to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TotalsQuery {
    /// Half a second's worth of counting when absent, small tables first.
    count: Option<Effort>,
}

/// How much is counted.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TotalsEffort")]
pub enum Effort {
    /// Nothing: all numbers come from PostgreSQL's statistics.
    Estimated,
    /// Everything that can be counted within fifteen seconds.
    Exact,
}

impl Effort {
    const fn patience(wished: Option<Self>) -> Duration {
        match wished {
            Some(Self::Estimated) => Duration::ZERO,
            None => Duration::from_millis(500),
            Some(Self::Exact) => Duration::from_secs(15),
        }
    }
}

async fn totals(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<TotalsQuery>,
) -> Result<Json<views::Totals>, ApiError> {
    readable(&caller)?;
    whole_workspace(&caller)?;
    let patience = Effort::patience(query.read()?.count);
    let totals = views::totals(&state.pool, caller.workspace_id, patience).await?;
    Ok(Json(totals))
}
