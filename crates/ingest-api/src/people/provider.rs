//! The OpenID Connect provider: what it says of itself, and a code for a person.
//!
//! Nothing is asked before somebody signs in, so that the server starts without the provider. What the provider says of
//! itself and its keys are kept for an hour; a key that is not among them makes them be read again, twice a minute at most.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{
    id_token::{Claims, Expected, IdTokenError, known_algorithm},
    outbound::{CallError, Outbound},
    settings::ProviderSettings,
};

/// How long what the provider says of itself is kept.
const KEPT: Duration = Duration::from_secs(3_600);
/// How often keys are read again at most.
const AGAIN: Duration = Duration::from_secs(30);
/// Longest code or token that is looked at.
const MAX_TOKEN: usize = 64 * 1024;

/// Why nobody could sign in by the provider.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The client could not be made.
    #[error("no client for the provider: {0}")]
    Client(#[from] reqwest::Error),
    /// What the provider says of itself is of no use.
    #[error("the provider's description: {0}")]
    Discovery(String),
    /// Its token is not believed.
    #[error("the ID token: {0}")]
    Token(#[from] IdTokenError),
}

/// What we need of a discovery document.
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known of the provider.
struct Known {
    discovery: Arc<Discovery>,
    keys: Arc<CoreJsonWebKeySet>,
    discovered_at: Instant,
    keys_read_at: Instant,
}

/// What goes with a person to the provider.
pub struct Ask<'a> {
    /// Where the person comes back to.
    pub redirect_uri: &'a str,
    /// What comes back with the person.
    pub state: &'a str,
    /// What comes back in the token.
    pub nonce: &'a str,
    /// SHA-256 of the verifier, in base64url.
    pub challenge: &'a str,
}

/// What is answered with.
pub struct Answered<'a> {
    /// Where the person came back to.
    pub redirect_uri: &'a str,
    /// The code.
    pub code: &'a str,
    /// What only we know.
    pub pkce_verifier: &'a str,
    /// What the token must hold.
    pub nonce: &'a str,
    /// `iss` beside the code (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// The provider.
pub struct Provider {
    settings: Arc<ProviderSettings>,
    outbound: Outbound,
    known: Mutex<Option<Known>>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: SecretString,
}

impl Provider {
    /// One that has not been asked yet.
    pub fn new(settings: Arc<ProviderSettings>) -> Result<Self, ProviderError> {
        Ok(Self {
            outbound: Outbound::to(settings.origins.clone())?,
            known: Mutex::default(),
            settings,
        })
    }

    /// Where a person goes to sign in.
    pub async fn sign_in_at(&self, ask: &Ask<'_>) -> Result<Url, ProviderError> {
        let (discovery, _) = self.known().await?;
        let mut url = discovery.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", ask.redirect_uri)
            .append_pair("scope", &self.settings.scopes)
            .append_pair("state", ask.state)
            .append_pair("nonce", ask.nonce)
            .append_pair("code_challenge", ask.challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Who came back.
    pub async fn who(&self, answered: &Answered<'_>) -> Result<Claims, ProviderError> {
        let (discovery, keys) = self.known().await?;
        let is_other = match answered.issuer {
            Some(issuer) => issuer != self.settings.issuer,
            None => discovery.authorization_response_iss_parameter_supported,
        };
        if is_other {
            return Err(ProviderError::Discovery(
                "the answer came from another issuer (iss)".into(),
            ));
        }
        let tokens = self.exchange(&discovery, answered).await?;
        let token = tokens.id_token.expose_secret();
        if token.len() > MAX_TOKEN {
            return Err(IdTokenError::Form("it is too long".into()).into());
        }
        let algorithms: Vec<CoreJwsSigningAlgorithm> = discovery
            .id_token_signing_alg_values_supported
            .iter()
            .filter_map(|name| known_algorithm(name))
            .collect();
        let check = |keys: &CoreJsonWebKeySet| {
            let expected = Expected {
                issuer: &self.settings.issuer,
                client_id: &self.settings.client_id,
                algorithms: &algorithms,
                keys,
                clock_skew: self.settings.clock_skew,
                nonce: answered.nonce,
            };
            expected.check(token, Utc::now())
        };
        match check(&keys) {
            Err(IdTokenError::UnknownKey) => {
                let newer = self.keys_again(&discovery).await?;
                Ok(check(newer.as_ref().unwrap_or(&keys))?)
            }
            checked => Ok(checked?),
        }
    }

    async fn exchange(
        &self,
        discovery: &Discovery,
        answered: &Answered<'_>,
    ) -> Result<Tokens, ProviderError> {
        let client_id = self.settings.client_id.as_str();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", answered.code),
            ("redirect_uri", answered.redirect_uri),
            ("code_verifier", answered.pkce_verifier),
        ];
        // RFC 6749 2.3.1: name and password are encoded as a form before they are put together.
        let encoded: fn(&str) -> String =
            |text| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let methods = discovery.token_endpoint_auth_methods_supported.as_ref();
        let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|one| one == method));
        let tokens = match &self.settings.client_secret {
            Some(secret) if takes("client_secret_post") && !takes("client_secret_basic") => {
                form.push(("client_id", client_id));
                form.push(("client_secret", secret.expose_secret()));
                self.outbound.post(&discovery.token_endpoint, &form, None)
            }
            Some(secret) => {
                let password = SecretString::from(encoded(secret.expose_secret()));
                return Ok(self
                    .outbound
                    .post(
                        &discovery.token_endpoint,
                        &form,
                        Some((&encoded(client_id), password.expose_secret())),
                    )
                    .await?);
            }
            None => {
                form.push(("client_id", client_id));
                self.outbound.post(&discovery.token_endpoint, &form, None)
            }
        };
        Ok(tokens.await?)
    }

    /// What is known, read when it is not or not any more. Who comes meanwhile waits for the same answer.
    async fn known(&self) -> Result<(Arc<Discovery>, Arc<CoreJsonWebKeySet>), ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref()
            && known.discovered_at.elapsed() < KEPT
        {
            return Ok((Arc::clone(&known.discovery), Arc::clone(&known.keys)));
        }
        let discovery = Arc::new(self.discover().await?);
        let keys = Arc::new(self.outbound.get(&discovery.jwks_uri).await?);
        let now = Instant::now();
        *known = Some(Known {
            discovery: Arc::clone(&discovery),
            keys: Arc::clone(&keys),
            discovered_at: now,
            keys_read_at: now,
        });
        Ok((discovery, keys))
    }

    /// The keys, read again; `None` when they were read a moment ago.
    async fn keys_again(
        &self,
        discovery: &Discovery,
    ) -> Result<Option<Arc<CoreJsonWebKeySet>>, ProviderError> {
        let mut known = self.known.lock().await;
        let Some(known) = known.as_mut() else {
            return Ok(None);
        };
        if known.keys_read_at.elapsed() < AGAIN {
            // Perhaps it was another sign-in that has just read them.
            return Ok(Some(Arc::clone(&known.keys)));
        }
        // Before the call: a provider that does not answer is not asked more often.
        known.keys_read_at = Instant::now();
        known.keys = Arc::new(self.outbound.get(&discovery.jwks_uri).await?);
        Ok(Some(Arc::clone(&known.keys)))
    }

    async fn discover(&self) -> Result<Discovery, ProviderError> {
        let wrong = |detail: String| ProviderError::Discovery(detail);
        let address = format!(
            "{}/.well-known/openid-configuration",
            self.settings.issuer.trim_end_matches('/')
        );
        let url: Url = address.parse().map_err(|_| wrong("no address".into()))?;
        let discovery: Discovery = self.outbound.get(&url).await?;
        if discovery.issuer != self.settings.issuer {
            return Err(wrong(format!(
                "it is that of {:.200}, not of {}",
                discovery.issuer, self.settings.issuer
            )));
        }
        for endpoint in [&discovery.token_endpoint, &discovery.jwks_uri] {
            self.outbound.allow(endpoint)?;
        }
        // A browser goes there, not we; still it is no place in the clear.
        if !super::settings::is_safe(&discovery.authorization_endpoint) {
            return Err(wrong(
                "people would be sent to an address in the clear".into(),
            ));
        }
        Ok(discovery)
    }
}
