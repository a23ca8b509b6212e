//! People: how they sign in, what they may do, and what keeps it so.
//!
//! Somebody signs in at an OpenID Connect provider (`provider`, `id_token`, `sign_in`) and gets a session in the database
//! (`session`) under a cookie. What they may do is asked of the register at each call (`role`): which groups with a role
//! mapping (`mapping`) their principal is in. Personal tokens (`me`) are API keys that may what their person may. What
//! enters is a request without a key; what leaves is a [`Caller`], which is all that handlers know of it.
//!
//! - An account is its issuer and its subject; mail addresses and names lead nowhere.
//! - A session that ended stays ended, whoever still holds its cookie.
//! - Nothing of the provider's but who it is decides what somebody may do.

mod account;
mod bootstrap;
mod bootstrap_routes;
mod cookie;
mod docs;
mod id_token;
mod mapping;
mod mapping_routes;
mod me;
mod outbound;
mod page;
mod provider;
mod random;
mod role;
mod routes;
mod session;
mod settings;
mod sign_in;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use contract::{KeyInfo, SignedInBy};
use sqlx::PgPool;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

pub use bootstrap::link as bootstrap_link;
pub use routes::routes;
pub use settings::{Link, LinkColumn, ProviderSettings, Settings, SignInArgs, SignInError};

use crate::{
    app::AppState,
    auth::{Caller, Origin, Person, Who},
    error::ApiError,
};
use cookie::Cookie;
use provider::{Provider, ProviderError};
use random::Token;

/// What calls of a session that change something send.
const CSRF_HEADER: &str = "x-csrf-token";

/// The sign-in of people, for as long as the server runs.
#[derive(Clone)]
pub struct People(Arc<Inner>);

struct Inner {
    settings: Settings,
    provider: OnceLock<Provider>,
    /// Where this server listens, when only this machine reaches it.
    local: OnceLock<String>,
}

/// Where browsers reach this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The origin, such as `https://cadastre.example.org`.
    pub origin: String,
    /// Is it https?
    pub is_secure: bool,
}

impl People {
    /// With settings that were checked.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            settings,
            provider: OnceLock::new(),
            local: OnceLock::new(),
        }))
    }

    /// Tells where the server listens. Without a public address people reach it from this machine only, in the clear.
    pub fn listens_on(&self, address: SocketAddr) {
        if address.ip().is_loopback() {
            let _ = self.0.local.set(format!("http://{address}"));
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where browsers reach this server; `None` where nobody said so, and nobody signs in.
    pub fn site(&self) -> Option<Site> {
        if let Some(url) = &self.0.settings.public_url {
            return Some(Site {
                origin: url.origin().ascii_serialization(),
                is_secure: true,
            });
        }
        self.0.local.get().map(|origin| Site {
            origin: origin.clone(),
            is_secure: false,
        })
    }

    /// The provider and what we are to it, where there is one.
    fn provider(&self) -> Result<Option<(&Provider, &ProviderSettings)>, ProviderError> {
        let Some(settings) = &self.0.settings.provider else {
            return Ok(None);
        };
        if self.0.provider.get().is_none() {
            // Two at once make two; one is kept.
            let _ = self.0.provider.set(Provider::new(Arc::clone(settings))?);
        }
        Ok(self.0.provider.get().map(|made| (made, settings.as_ref())))
    }
}

/// The person behind a request's cookie.
pub async fn caller(state: &AppState, parts: &Parts, origin: &Origin) -> Result<Caller, ApiError> {
    let Some(site) = state.people.site() else {
        return Err(ApiError::Unauthenticated);
    };
    let token = Cookie::Session
        .shown(&parts.headers, site.is_secure)
        .ok_or(ApiError::Unauthenticated)?;
    let id_hash = token.hash();
    let session = session::find(&state.pool, state.people.settings(), &id_hash)
        .await?
        .ok_or(ApiError::Unauthenticated)?;
    if !is_harmless(&parts.method) {
        require_own_page(&parts.headers, &site)?;
        require_csrf_token(&parts.headers, &token)?;
    }
    let role = role::of(&state.pool, session.account_id).await?;
    Ok(Caller {
        workspace_id: session.workspace_id,
        system_ids: None,
        lineage: lineage_of(session.account_id),
        who: Who::Person(Person {
            account_id: session.account_id,
            display_name: session.display_name,
            role,
            signed_in_by: session.signed_in_by,
            session: Some(id_hash),
        }),
        origin: origin.clone(),
    })
}

/// The person behind a personal token, with what they may do now.
pub async fn by_token(
    pool: &PgPool,
    account_id: Uuid,
    mut key: KeyInfo,
) -> Result<Who, sqlx::Error> {
    let role = role::of(pool, account_id).await?;
    let display_name =
        sqlx::query_scalar("select display_name from accounts where account_id = $1")
            .bind(account_id)
            .fetch_one(pool)
            .await?;
    let person = Person {
        account_id,
        display_name,
        role,
        signed_in_by: SignedInBy::Token,
        session: None,
    };
    key.permissions = role.map_or_else(Vec::new, |role| role.permissions().to_vec());
    Ok(Who::Token(key, person))
}

/// Is the person signed in still, with no less of a role?
pub async fn still_may(state: &AppState, person: &Person) -> Result<bool, sqlx::Error> {
    if let Some(id_hash) = &person.session
        && !session::is_good(&state.pool, state.people.settings(), id_hash).await?
    {
        return Ok(false);
    }
    Ok(role::of(&state.pool, person.account_id).await? >= person.role)
}

/// What stands for the lineage of a key where a person calls; no key has such a name.
pub fn lineage_of(account_id: Uuid) -> String {
    format!("account:{account_id}")
}

fn is_harmless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses what a browser says comes from another page than ours.
fn require_own_page(headers: &HeaderMap, site: &Site) -> Result<(), ApiError> {
    let is = |name: &str, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .all(|value| value.as_bytes() == wanted.as_bytes())
    };
    if is(header::ORIGIN.as_str(), &site.origin) && is("sec-fetch-site", "same-origin") {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "the request comes from another site's page".into(),
    ))
}

/// Refuses a call that does not show what only a page of ours can know.
fn require_csrf_token(headers: &HeaderMap, session: &Token) -> Result<(), ApiError> {
    let wanted = session.derived("csrf");
    let shown = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes);
    if shown.is_some_and(|shown| shown.ct_eq(wanted.text().as_bytes()).into()) {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "X-CSRF-Token must be what GET /api/me answers as csrfToken".into(),
    ))
}
