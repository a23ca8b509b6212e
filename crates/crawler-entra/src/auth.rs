//! Access tokens by client credentials: fetched once, shared, renewed before they expire or when Graph rejects them.
//!
//! Errors carry the class of a failure and Entra's numeric error code, never the answer's text: a sign-in endpoint may
//! echo what it was sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use ingest_client::retry::{full_jitter, parse_retry_after};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::{GraphConfig, Tuning};

/// A sign-in that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("the sign-in was refused (HTTP {status}{}){}", code_suffix(*.code), explanation(*.code))]
    Refused { status: u16, code: Option<u64> },
    #[error(
        "the sign-in endpoint could not be reached: {0}; check the network, the proxy and Graph.LoginBaseUrl"
    )]
    Unreachable(&'static str),
    #[error("the sign-in endpoint's answer is not usable")]
    Unusable,
}

fn code_suffix(code: Option<u64>) -> String {
    code.map(|code| format!(", AADSTS{code}"))
        .unwrap_or_default()
}

/// What the codes that people meet most often mean.
fn explanation(code: Option<u64>) -> &'static str {
    match code {
        Some(7_000_215) => {
            ": the client secret is wrong; check Graph.ClientSecret (or CADASTRE_GRAPH_CLIENT_SECRET): it must be the secret's value, not its id"
        }
        Some(7_000_222) => {
            ": the client secret has expired; add a new one to the app registration and configure it as Graph.ClientSecret (or CADASTRE_GRAPH_CLIENT_SECRET)"
        }
        Some(700_016) => {
            ": the application is not known in this tenant; check Graph.ClientId and Graph.TenantId, and that an administrator consented to it"
        }
        Some(90_002 | 900_023) => {
            ": the tenant is not known; check Graph.TenantId, and that Graph.LoginBaseUrl is this cloud's"
        }
        Some(500_011) => {
            ": Microsoft Graph is not known under this address in this cloud; check Graph.BaseUrl"
        }
        Some(53_003) => {
            ": a Conditional Access policy blocks the application; exclude it or allow this machine's address"
        }
        _ => "",
    }
}

/// A token in use.
pub(crate) struct Token {
    /// The header that carries it, marked as sensitive.
    pub bearer: HeaderValue,
    /// Counts up with every renewal.
    pub generation: u64,
    renew_at: Instant,
    roles: Option<Vec<String>>,
}

/// Where tokens come from. Only one request for a token is ever under way.
pub(crate) struct TokenSource {
    http: reqwest::Client,
    url: Url,
    client_id: String,
    client_secret: SecretString,
    scope: String,
    tuning: Tuning,
    current: Mutex<Option<Arc<Token>>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    /// A number, or a text in the answers of some issuers.
    expires_in: Value,
}

impl TokenSource {
    pub fn new(http: reqwest::Client, config: &GraphConfig, tuning: Tuning) -> Self {
        let mut url = config.login_base_url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{path}/{}/oauth2/v2.0/token", config.tenant_id));
        Self {
            http,
            url,
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            scope: format!(
                "{}/.default",
                config.base_url.as_str().trim_end_matches('/')
            ),
            tuning,
            current: Mutex::new(None),
        }
    }

    /// A token that is good for a while.
    pub async fn token(&self) -> Result<Arc<Token>, AuthError> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|t| Instant::now() < t.renew_at) {
            return Ok(token.clone());
        }
        let generation = current.as_ref().map_or(1, |token| token.generation + 1);
        let token = Arc::new(self.fetch(generation).await?);
        *current = Some(token.clone());
        Ok(token)
    }

    /// Graph rejected the token of this generation: the next caller fetches another. Others who were rejected with the
    /// same token find the new one.
    pub async fn reject(&self, generation: u64) {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|t| t.generation == generation) {
            *current = Some(Arc::new(Token {
                bearer: token.bearer.clone(),
                generation,
                renew_at: Instant::now(),
                roles: token.roles.clone(),
            }));
        }
    }

    /// Was this application permission granted? `None` when the token does not say.
    pub async fn has_role(&self, role: &str) -> Option<bool> {
        let current = self.current.lock().await;
        let roles = current.as_ref()?.roles.as_ref()?;
        Some(roles.iter().any(|granted| granted == role))
    }

    async fn fetch(&self, generation: u64) -> Result<Token, AuthError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (error, retry_after) = match self.fetch_once(generation).await {
                Ok(token) => return Ok(token),
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::ForNow(error, retry_after)) => (error, retry_after),
            };
            if tries >= self.tuning.max_tries {
                return Err(error);
            }
            let backoff = full_jitter(tries, self.tuning.first_backoff, self.tuning.max_backoff);
            let wait = retry_after.unwrap_or(backoff);
            tokio::time::sleep(wait.min(self.tuning.max_retry_after)).await;
        }
    }

    async fn fetch_once(&self, generation: u64) -> Result<Token, Failed> {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose_secret()),
            ("scope", &self.scope),
            ("grant_type", "client_credentials"),
        ];
        let asked_at = Instant::now();
        let sent = self.http.post(self.url.clone()).form(&form).send().await;
        let response = sent.map_err(|error| Failed::ForNow(unreachable_because(&error), None))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| parse_retry_after(text, Utc::now()));
        let body = read_small(response)
            .await
            .map_err(|error| Failed::ForNow(error, None))?;
        match status {
            200 => {
                parse_token(&body, generation, asked_at).ok_or(Failed::ForGood(AuthError::Unusable))
            }
            408 | 429 | 500..=599 => {
                let error = AuthError::Refused { status, code: None };
                Err(Failed::ForNow(error, retry_after))
            }
            _ => {
                let code = serde_json::from_slice::<Value>(&body)
                    .ok()
                    .and_then(|answer| answer["error_codes"][0].as_u64());
                Err(Failed::ForGood(AuthError::Refused { status, code }))
            }
        }
    }
}

enum Failed {
    ForGood(AuthError),
    ForNow(AuthError, Option<Duration>),
}

fn unreachable_because(error: &reqwest::Error) -> AuthError {
    AuthError::Unreachable(crate::graph::failure_class(error))
}

/// No token answer comes near 256 KiB.
async fn read_small(mut response: reqwest::Response) -> Result<Vec<u8>, AuthError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable_because(&error))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > 256 * 1024 {
            return Err(AuthError::Unusable);
        }
    }
    Ok(body)
}

fn parse_token(body: &[u8], generation: u64, asked_at: Instant) -> Option<Token> {
    let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
    let lifetime_s = match &answer.expires_in {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let token = answer.access_token.expose_secret();
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    bearer.set_sensitive(true);
    let good_for = Duration::from_secs(lifetime_s.min(7 * 24 * 3600)).mul_f64(0.8);
    Some(Token {
        bearer,
        generation,
        renew_at: asked_at + good_for,
        roles: roles_in(token),
    })
}

/// The permissions named in the token. Read for advice only, so the signature does not matter.
fn roles_in(token: &str) -> Option<Vec<String>> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    // A token without the claim grants nothing; a token that is no object of claims says nothing.
    let claims = claims.as_object()?;
    claims.get("aud").or_else(|| claims.get("roles"))?;
    let roles = claims.get("roles").and_then(Value::as_array);
    Some(
        roles
            .into_iter()
            .flatten()
            .filter_map(|role| role.as_str().map(str::to_owned))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn permissions_are_read_from_the_token() {
        let token = jwt(r#"{"aud":"x","roles":["User.Read.All","Member.Read.Hidden"]}"#);
        let roles = roles_in(&token).expect("readable");
        assert_eq!(roles, ["User.Read.All", "Member.Read.Hidden"]);
        assert_eq!(roles_in(&jwt(r#"{"aud":"x"}"#)), Some(vec![]));
        assert_eq!(roles_in("opaque"), None);
        assert_eq!(roles_in("a.b.c"), None);
    }

    #[test]
    fn a_lifetime_may_be_a_number_or_a_text() {
        for lifetime in ["3600", "\"3600\""] {
            let body = format!(r#"{{"access_token":"t","expires_in":{lifetime}}}"#);
            let asked_at = Instant::now();
            let token = parse_token(body.as_bytes(), 1, asked_at).expect("usable");
            assert_eq!(token.renew_at - asked_at, Duration::from_secs(2880));
        }
        assert!(parse_token(br#"{"access_token":"t"}"#, 1, Instant::now()).is_none());
    }
}
