//! Access tokens: fetched once, shared, renewed before they expire or when Graph rejects them.
//!
//! One module per way of signing in; [`TokenSource`] chooses by the configured credential. Errors carry the class of a
//! failure and Entra's numeric error code, never the answer's text: a sign-in endpoint may echo what it was sent.

mod certificate;
mod error;
mod federated;
mod managed_identity;
mod token;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use ingest_client::retry::{full_jitter, parse_retry_after};
use reqwest::header::RETRY_AFTER;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

pub use certificate::{CertificateError, ClientCertificate};
pub(crate) use error::AuthError;
pub(crate) use token::{Claims, Token};

use crate::{
    GraphConfig, Tuning,
    config::{Credential, ManagedIdentity},
};

/// What an assertion is, to the token endpoint.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where tokens come from. Only one request for a token is ever under way.
pub(crate) struct TokenSource {
    http: reqwest::Client,
    /// For what must not go through a proxy.
    direct: reqwest::Client,
    url: Url,
    client_id: String,
    credential: Credential,
    audience: String,
    tuning: Tuning,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    token: Option<Arc<Token>>,
    /// The refusal of a credential that does not change during a run: asking again would only lock the account out.
    refused: Option<AuthError>,
}

/// How one try ended without a token.
enum Failed {
    ForGood(AuthError),
    ForNow(AuthError, Option<Duration>),
}

impl TokenSource {
    /// `http` goes the configured way; `direct` never through a proxy.
    pub fn new(
        http: reqwest::Client,
        direct: reqwest::Client,
        config: &GraphConfig,
        tuning: Tuning,
    ) -> Self {
        let mut url = config.login_base_url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{path}/{}/oauth2/v2.0/token", config.tenant_id));
        Self {
            http,
            direct,
            url,
            client_id: config.client_id.clone(),
            credential: config.credential.clone(),
            audience: config.audience().to_owned(),
            tuning,
            current: Mutex::default(),
        }
    }

    /// A token that is good for a while.
    pub async fn token(&self) -> Result<Arc<Token>, AuthError> {
        let mut current = self.current.lock().await;
        let now = Instant::now();
        if let Some(token) = current.token.as_ref().filter(|t| now < t.renew_at) {
            return Ok(token.clone());
        }
        if let Some(refused) = &current.refused {
            return Err(refused.clone());
        }
        let generation = current.token.as_ref().map_or(1, |t| t.generation + 1);
        match self.fetch(generation).await {
            Ok(token) => {
                let token = Arc::new(token);
                current.token = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                current.refused = error.is_final().then(|| error.clone());
                Err(error)
            }
        }
    }

    /// Graph rejected the token of this generation: the next caller fetches another. Others who were rejected with the
    /// same token find the new one.
    pub async fn reject(&self, generation: u64) {
        let mut current = self.current.lock().await;
        if let Some(token) = current
            .token
            .as_ref()
            .filter(|t| t.generation == generation)
        {
            current.token = Some(Arc::new(token.rejected()));
        }
    }

    /// What the token in use says; `None` when there is none or it says nothing.
    pub async fn claims(&self) -> Option<Claims> {
        self.current.lock().await.token.as_ref()?.claims.clone()
    }

    /// Was this application permission granted? `None` when the token does not say.
    pub async fn has_role(&self, role: &str) -> Option<bool> {
        let claims = self.claims().await?;
        Some(claims.roles.iter().any(|granted| granted == role))
    }

    async fn fetch(&self, generation: u64) -> Result<Token, AuthError> {
        if let Credential::ManagedIdentity(identity) = &self.credential {
            return self.fetch_managed(identity, generation).await;
        }
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

    async fn fetch_managed(
        &self,
        identity: &ManagedIdentity,
        generation: u64,
    ) -> Result<Token, AuthError> {
        let asked_at = Instant::now();
        let unit = self.tuning.first_backoff;
        let body = managed_identity::fetch(identity, &self.direct, &self.audience, unit).await?;
        Token::parse(&body, generation, asked_at, Utc::now()).ok_or(AuthError::Unusable)
    }

    async fn fetch_once(&self, generation: u64) -> Result<Token, Failed> {
        let (proof_name, proof) = self.proof().await?;
        let scope = format!("{}/.default", self.audience);
        let mut form = vec![
            ("client_id", self.client_id.as_str()),
            ("scope", &scope),
            ("grant_type", "client_credentials"),
            (proof_name, proof.expose_secret()),
        ];
        if proof_name == "client_assertion" {
            form.push(("client_assertion_type", JWT_BEARER));
        }
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
        let refused = |code| AuthError::Refused {
            status,
            code,
            method: self.credential.method(),
            is_renewal: generation > 1,
        };
        match status {
            200 => Token::parse(&body, generation, asked_at, Utc::now())
                .ok_or(Failed::ForGood(AuthError::Unusable)),
            408 | 429 | 500..=599 => Err(Failed::ForNow(refused(None), retry_after)),
            _ => {
                let code = serde_json::from_slice::<Value>(&body)
                    .ok()
                    .and_then(|answer| answer["error_codes"][0].as_u64());
                Err(Failed::ForGood(refused(code)))
            }
        }
    }

    /// The field of the form that proves who we are, and its value.
    async fn proof(&self) -> Result<(&'static str, SecretString), Failed> {
        match &self.credential {
            Credential::Secret(secret) => Ok(("client_secret", secret.clone())),
            Credential::Certificate(certificate) => {
                let audience = self.url.as_str();
                let id = Uuid::new_v4();
                let assertion = certificate.assertion(audience, &self.client_id, Utc::now(), id);
                Ok(("client_assertion", assertion.map_err(Failed::ForGood)?))
            }
            Credential::Federated(source) => {
                Ok(("client_assertion", source.assertion(&self.http).await?))
            }
            Credential::ManagedIdentity(_) => Err(Failed::ForGood(AuthError::Unusable)),
        }
    }
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
