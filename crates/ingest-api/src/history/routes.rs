//! The past over HTTP.

use axum::{Json, extract::State};
use contract::{Permission, SystemId};

use super::{
    docs,
    moment::Moment,
    question::{Parameters, filters},
    tables, two_moments,
    two_moments::DifferencePage,
    versions,
    versions::VersionPage,
};
use crate::{
    app::AppState,
    auth::Caller,
    entity::{Column, EntitySpec},
    error::ApiError,
    openapi::Routes,
    params::InQuery,
    system,
};

/// The parameters as they come; which ones there are depends on the entity.
type Pairs = InQuery<Vec<(String, String)>>;

/// Two routes per entity that has a past.
pub fn routes() -> Routes {
    tables::all().fold(Routes::new(), |routes, spec| {
        let path = format!("/api/history/{}", spec.entity);
        routes
            .get(
                &path,
                move |State(state): State<AppState>, caller: Caller, query: Pairs| {
                    row_versions(spec, state, caller, query)
                },
                docs::versions(spec),
            )
            .get(
                &format!("{path}/diff"),
                move |State(state): State<AppState>, caller: Caller, query: Pairs| {
                    differences(spec, state, caller, query)
                },
                docs::differences(spec),
            )
    })
}

/// The caller's question: may it be asked, and about which system?
async fn admit(
    state: &AppState,
    caller: &Caller,
    query: Pairs,
) -> Result<(Parameters, SystemId), ApiError> {
    caller.require(Permission::Read)?;
    let mut parameters = Parameters::new(query.read()?)?;
    let system_id = parameters.system_id()?;
    if system::is_visible(&state.pool, caller, system_id).await? {
        return Ok((parameters, system_id));
    }
    Err(ApiError::NotFound(format!(
        "there is no system {system_id}"
    )))
}

async fn row_versions(
    spec: &'static EntitySpec,
    state: AppState,
    caller: Caller,
    query: Pairs,
) -> Result<Json<VersionPage>, ApiError> {
    let (mut parameters, system_id) = admit(&state, &caller, query).await?;
    let key = parameters.columns(spec.key.iter())?;
    let ways_in: Vec<_> = tables::ways_in(spec).collect();
    let is_found = |way: &&Column| key.iter().any(|(column, _)| column.sql == way.sql);
    if let [first, ..] = ways_in.as_slice()
        && !ways_in.iter().any(is_found)
    {
        let names: Vec<&str> = ways_in.iter().map(|column| column.wire).collect();
        return Err(ApiError::bad_field(
            first.wire,
            format!("whose history? {} is needed", names.join(" or ")),
        ));
    }
    let question = versions::Question {
        spec,
        system_id,
        key,
        after: parameters.after()?,
        limit: parameters.limit()?,
    };
    parameters.finish()?;
    Ok(Json(
        versions::page(&state.pool, caller.workspace_id, &question).await?,
    ))
}

async fn differences(
    spec: &'static EntitySpec,
    state: AppState,
    caller: Caller,
    query: Pairs,
) -> Result<Json<DifferencePage>, ApiError> {
    let (mut parameters, system_id) = admit(&state, &caller, query).await?;
    let from = parameters
        .take("from")
        .ok_or_else(|| ApiError::bad_field("from", "the earlier moment is needed"))?;
    let from = Moment::of_query(&state.pool, "from", &from).await?;
    let to = match parameters.take("to") {
        Some(to) => Moment::of_query(&state.pool, "to", &to).await?,
        None => Moment::now(&state.pool, "to").await?,
    };
    if to.at() < from.at() {
        return Err(ApiError::bad_field(
            "to",
            "the later moment is before the earlier one",
        ));
    }
    let question = two_moments::Question {
        spec,
        system_id,
        from,
        to,
        only: parameters.columns(filters(spec))?,
        after: parameters.after()?,
        limit: parameters.limit()?,
    };
    parameters.finish()?;
    Ok(Json(
        two_moments::page(&state.pool, caller.workspace_id, &question).await?,
    ))
}
