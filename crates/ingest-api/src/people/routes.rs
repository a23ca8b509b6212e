//! Signing in and out over HTTP, and the routes of everything about people.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use contract::SignedInBy;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::time::Instant;

use super::{
    Site, account, bootstrap_routes,
    cookie::Cookie,
    docs, mapping_routes, me, page,
    provider::{Answered, Ask, ProviderError},
    random::Token,
    role, session,
    sign_in::{self, Held},
};
use crate::{
    app::AppState,
    audit,
    auth::{Caller, Origin, person_named},
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::InQuery,
};

const CALLBACK: &str = "/auth/callback";

/// The routes about people.
pub fn routes() -> Routes {
    Routes::new()
        .get("/auth/sign-in", begin, docs::sign_in())
        .get(CALLBACK, callback, docs::callback())
        .post("/auth/sign-out", sign_out, docs::sign_out())
        .merge(bootstrap_routes::routes())
        .merge(me::routes())
        .merge(mapping_routes::routes())
}

/// Where to go afterwards.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInQuery {
    /// A path of this server; `/` when absent.
    #[schemars(length(max = 2048))]
    return_to: Option<String>,
}

/// Where people reach this server, or that nobody can sign in.
pub fn site_of(state: &AppState) -> Result<Site, ApiError> {
    state.people.site().ok_or_else(|| {
        ApiError::NotFound("nobody signs in here: the server has no public address".into())
    })
}

/// Answers with a redirection and cookies.
pub fn see_other(location: &str, cookies: Vec<HeaderValue>) -> Result<Response, ApiError> {
    let location = HeaderValue::try_from(location).map_err(ApiError::internal)?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn begin(
    State(state): State<AppState>,
    query: InQuery<SignInQuery>,
) -> Result<Response, ApiError> {
    let return_to = query.read()?.return_to.unwrap_or_else(|| "/".into());
    if !sign_in::is_local_path(&return_to) {
        return Err(ApiError::bad_field(
            "returnTo",
            "must be a path of this server",
        ));
    }
    let site = site_of(&state)?;
    durable(async move {
        let provider = match state.people.provider() {
            Ok(Some((provider, _))) => provider,
            Ok(None) => {
                return Err(ApiError::NotFound(
                    "nobody signs in here: no provider is set up".into(),
                ));
            }
            Err(error) => return Ok(away(&error)),
        };
        let begun = sign_in::begin(&state.pool, &return_to)
            .await?
            .ok_or(ApiError::Busy)?;
        let ask = Ask {
            redirect_uri: &format!("{}{CALLBACK}", site.origin),
            state: begun.state.text(),
            nonce: begun.nonce.text(),
            challenge: &begun.challenge(),
        };
        match provider.sign_in_at(&ask).await {
            Ok(url) => {
                let cookie =
                    Cookie::SignIn.set(&begun.browser, Some(sign_in::PATIENCE), site.is_secure);
                see_other(url.as_str(), vec![cookie])
            }
            Err(error) => Ok(away(&error)),
        }
    })
    .await
}

fn away(error: &ProviderError) -> Response {
    tracing::warn!(%error, "nobody can sign in at the moment");
    page::unavailable()
}

/// What the provider sends back with the person; what else it sends says nothing to us.
#[derive(Deserialize, JsonSchema)]
pub struct CallbackQuery {
    /// What is exchanged for a token.
    code: Option<String>,
    /// What the sign-in began with.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// The issuer (RFC 9207).
    iss: Option<String>,
}

/// A person who came back.
struct Returned {
    site: Site,
    origin: Origin,
    browser: Option<Token>,
    /// The session that the browser had before.
    before: Option<Token>,
    query: Option<CallbackQuery>,
}

async fn callback(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    query: InQuery<CallbackQuery>,
) -> Result<Response, ApiError> {
    let site = site_of(&state)?;
    let returned = Returned {
        browser: Cookie::SignIn.shown(&headers, site.is_secure),
        before: Cookie::Session.shown(&headers, site.is_secure),
        query: query.read().ok(),
        site,
        origin,
    };
    let now = Instant::now();
    let gatekeeper = state.gatekeeper.clone();
    let wait = returned
        .origin
        .address
        .and_then(|address| gatekeeper.is_shut(address, None, now));
    if let Some(seconds) = wait {
        return Ok(page::too_many(seconds));
    }
    durable(async move {
        match finish(&state, &returned).await {
            Ok(response) => Ok(response),
            Err(Refusal::Ours(error)) => Err(error),
            Err(Refusal::Theirs(reason)) => {
                if let Some(address) = returned.origin.address {
                    let _ = gatekeeper.refused(address, now);
                }
                refuse(&state, &returned, &reason).await
            }
        }
    })
    .await
}

/// Why somebody is not signed in.
enum Refusal {
    /// The sign-in is no good.
    Theirs(String),
    /// We could not tell.
    Ours(ApiError),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Ours(error.into())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Ours(error)
    }
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Self::Theirs(error.to_string())
    }
}

fn theirs(reason: &str) -> Refusal {
    Refusal::Theirs(reason.to_owned())
}

async fn finish(state: &AppState, returned: &Returned) -> Result<Response, Refusal> {
    let query = returned
        .query
        .as_ref()
        .ok_or_else(|| theirs("the query cannot be read"))?;
    let (provider, settings) = state
        .people
        .provider()?
        .ok_or_else(|| theirs("no provider is set up"))?;
    let held = held(state, returned, query).await?;
    if let Some(error) = &query.error {
        return Err(Refusal::Theirs(format!("the provider says: {error:.100}")));
    }
    let code = query
        .code
        .as_deref()
        .filter(|code| (1..=4096).contains(&code.len()))
        .ok_or_else(|| theirs("there is no code"))?;
    let claims = provider
        .who(&Answered {
            redirect_uri: &format!("{}{CALLBACK}", returned.site.origin),
            code,
            pkce_verifier: &held.pkce_verifier,
            nonce: &held.nonce,
            issuer: query.iss.as_deref(),
        })
        .await?;
    let subject = claims
        .text("sub")
        .filter(|subject| subject.len() <= 255)
        .ok_or_else(|| theirs("the token names nobody"))?;
    let mut transaction = state.pool.begin().await?;
    let account = account::signed_in(&mut transaction, settings, subject, &claims).await?;
    // The browser's session of before ends: nothing that was known of it is good for the new one.
    if let Some(before) = &returned.before {
        session::end(&mut transaction, &before.hash()).await?;
    }
    let session = session::begin(
        &mut transaction,
        state.people.settings(),
        account.account_id,
        SignedInBy::Provider,
    )
    .await?;
    let role = role::of(&mut *transaction, account.account_id).await?;
    let entry = audit::Entry {
        workspace_id: account.workspace_id,
        actor: &person_named(account.account_id, &account.display_name),
        action: "person.sign-in",
        target: &account.account_id.to_string(),
        detail: json!({"issuer": settings.issuer, "subject": subject, "role": role}),
    };
    audit::record_from(&mut transaction, entry, &returned.origin).await?;
    transaction.commit().await?;
    let is_secure = returned.site.is_secure;
    let cookies = vec![
        Cookie::Session.set(&session, None, is_secure),
        Cookie::SignIn.clear(is_secure),
    ];
    Ok(see_other(&held.return_to, cookies)?)
}

/// What this browser's sign-in began with.
async fn held(
    state: &AppState,
    returned: &Returned,
    query: &CallbackQuery,
) -> Result<Held, Refusal> {
    let browser = returned
        .browser
        .as_ref()
        .ok_or_else(|| theirs("the browser did not begin a sign-in"))?;
    let named = query
        .state
        .as_deref()
        .and_then(Token::read)
        .ok_or_else(|| theirs("there is no state"))?;
    sign_in::take(&state.pool, &named, browser)
        .await?
        .ok_or_else(|| {
            theirs("no such sign-in is under way in this browser: it took too long, was used, or is another's")
        })
}

/// One entry, and a page that says nothing of the reason.
async fn refuse(state: &AppState, returned: &Returned, reason: &str) -> Result<Response, ApiError> {
    let mut connection = state.pool.acquire().await?;
    let workspace_id = sqlx::query_scalar("select min(workspace_id) from workspaces")
        .fetch_one(&mut *connection)
        .await?;
    let reason: String = reason.replace('\0', " ").chars().take(500).collect();
    let entry = audit::Entry {
        workspace_id,
        actor: "nobody",
        action: "person.sign-in-refused",
        target: "sign-in",
        detail: json!({"reason": reason}),
    };
    audit::record_from(&mut connection, entry, &returned.origin).await?;
    let mut response = page::refused();
    response.headers_mut().append(
        header::SET_COOKIE,
        Cookie::SignIn.clear(returned.site.is_secure),
    );
    Ok(response)
}

async fn sign_out(State(state): State<AppState>, caller: Caller) -> Result<Response, ApiError> {
    let id_hash = caller
        .person()
        .and_then(|person| person.session)
        .ok_or_else(|| ApiError::Forbidden("only who has a session signs out".into()))?;
    let site = site_of(&state)?;
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        if session::end(&mut transaction, &id_hash).await? {
            let target = caller
                .person()
                .map_or_else(String::new, |person| person.account_id.to_string());
            audit::record(
                &mut transaction,
                &caller,
                "person.sign-out",
                &target,
                json!({}),
            )
            .await?;
        }
        transaction.commit().await?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        response
            .headers_mut()
            .append(header::SET_COOKIE, Cookie::Session.clear(site.is_secure));
        Ok(response)
    })
    .await
}
