//! The link for the first admin over HTTP.

use axum::{Extension, extract::State, http::HeaderMap, response::Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    bootstrap,
    cookie::Cookie,
    docs, page,
    random::Token,
    require_own_page,
    routes::{see_other, site_of},
};
use crate::{
    app::AppState,
    audit,
    auth::{Origin, person_named},
    body::SmallBody,
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::InQuery,
};

/// The routes of the link.
pub fn routes() -> Routes {
    const PATH: &str = "/auth/bootstrap";
    Routes::new()
        .get(PATH, show, docs::show_bootstrap())
        .post(PATH, claim, docs::claim_bootstrap())
}

/// What the link holds, and the form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What was printed.
    token: String,
}

/// Looking uses nothing up: mail scanners and previews open links, too.
async fn show(State(state): State<AppState>, query: InQuery<Link>) -> Result<Response, ApiError> {
    let link = query.read()?;
    site_of(&state)?;
    let Some(token) = Token::read(&link.token) else {
        return Ok(page::gone());
    };
    Ok(if bootstrap::is_open(&state.pool, &token).await? {
        page::bootstrap(&token)
    } else {
        page::gone()
    })
}

async fn claim(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: SmallBody,
) -> Result<Response, ApiError> {
    let site = site_of(&state)?;
    require_own_page(&headers, &site)?;
    let link: Link = body.form()?;
    let Some(token) = Token::read(&link.token) else {
        return Ok(page::gone());
    };
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let claimed = bootstrap::claim(&mut transaction, state.people.settings(), &token).await?;
        let Some((account, session)) = claimed else {
            return Ok(page::gone());
        };
        let entry = audit::Entry {
            workspace_id: account.workspace_id,
            actor: &person_named(account.account_id, &account.display_name),
            action: "person.bootstrap",
            target: &account.account_id.to_string(),
            detail: json!({"role": "admin"}),
        };
        audit::record_from(&mut transaction, entry, &origin).await?;
        transaction.commit().await?;
        see_other(
            "/",
            vec![Cookie::Session.set(&session, None, site.is_secure)],
        )
    })
    .await
}
