//! The token endpoint and the tokens it gave out.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::GraphError;
use super::assertion;
use crate::options::SimOptions;
use crate::permissions::Grants;

struct Issued {
    grants: Arc<Grants>,
    expires: Instant,
}

/// Tokens that were given out, and what new ones contain.
pub(crate) struct Tokens {
    tenant_id: Uuid,
    options: SimOptions,
    state: Mutex<State>,
}

struct State {
    roles: Vec<String>,
    /// What the application was granted by now, where that is not what tokens contain.
    assigned: Option<Vec<String>>,
    client_secret: SecretString,
    /// Ids of the assertions that were used.
    assertions: HashSet<String>,
    lifetime: Duration,
    issued: HashMap<String, Issued>,
    serial: u64,
}

impl Tokens {
    pub(crate) fn new(tenant_id: Uuid, options: &SimOptions) -> Self {
        let state = State {
            roles: options.roles.clone(),
            assigned: None,
            client_secret: options.client_secret.clone(),
            assertions: HashSet::new(),
            lifetime: options.token_lifetime.div_f64(options.time_scale),
            issued: HashMap::new(),
            serial: 0,
        };
        Self {
            tenant_id,
            options: options.clone(),
            state: Mutex::new(state),
        }
    }

    /// Permissions of the tokens given out from now on.
    pub(crate) fn set_roles(&self, roles: Vec<String>) {
        self.lock().roles = roles;
    }

    /// Permissions that are assigned while tokens still carry others: `None` is what tokens carry.
    pub(crate) fn set_assigned(&self, assigned: Option<Vec<String>>) {
        self.lock().assigned = assigned;
    }

    /// Permissions that are assigned now.
    pub(crate) fn assigned(&self) -> Vec<String> {
        let state = self.lock();
        let assigned = state.assigned.as_ref();
        assigned.unwrap_or(&state.roles).clone()
    }

    /// Another secret takes the place of the one so far.
    pub(crate) fn set_client_secret(&self, secret: SecretString) {
        self.lock().client_secret = secret;
    }

    /// Does this id name the managed identity? None names the system-assigned one.
    pub(crate) fn is_managed_identity(&self, id: Option<&str>) -> bool {
        let known = &self.options.managed_identity;
        match (id, known) {
            (None, None) => true,
            (Some(id), Some(known)) => id == known,
            _ => false,
        }
    }

    pub(crate) fn identity_header(&self) -> &str {
        &self.options.identity_header
    }

    pub(crate) fn lifetime_s(&self) -> i64 {
        self.lock().lifetime.as_secs() as i64
    }

    /// How long the tokens given out from now on are accepted.
    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        self.lock().lifetime = lifetime.div_f64(self.options.time_scale);
    }

    pub(crate) fn roles(&self) -> Vec<String> {
        self.lock().roles.clone()
    }

    /// Makes every token given out so far an expired one.
    pub(crate) fn expire_all(&self) {
        let now = Instant::now();
        for issued in self.lock().issued.values_mut() {
            issued.expires = now;
        }
    }

    /// What the bearer of this `Authorization` header may do.
    pub(crate) fn authenticate(
        &self,
        authorization: Option<&str>,
    ) -> Result<Arc<Grants>, GraphError> {
        let token = authorization
            .and_then(|header| header.strip_prefix("Bearer "))
            .ok_or_else(|| GraphError::unauthenticated("Access token is empty."))?;
        let state = self.lock();
        let issued = state
            .issued
            .get(token)
            .ok_or_else(|| GraphError::unauthenticated("IDX14100: JWT is not well formed."))?;
        if Instant::now() >= issued.expires {
            return Err(GraphError::expired_token());
        }
        Ok(issued.grants.clone())
    }

    /// Answers a request for a token: status and body.
    pub(crate) fn issue(&self, tenant: &str, form: &str, token_url: &str) -> (u16, Value) {
        let fields: HashMap<String, String> = url::form_urlencoded::parse(form.as_bytes())
            .into_owned()
            .collect();
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let known_tenant = Uuid::parse_str(tenant).is_ok_and(|id| id == self.tenant_id);
        if !known_tenant {
            return failure(
                400,
                "invalid_request",
                90002,
                &format!("Tenant '{tenant}' not found."),
            );
        }
        if field("grant_type") != "client_credentials" {
            return failure(
                400,
                "unsupported_grant_type",
                70003,
                "The app requested an unsupported grant type.",
            );
        }
        if !field("scope").ends_with("/.default") {
            return failure(
                400,
                "invalid_scope",
                1_002_012,
                "The provided value for scope is not valid.",
            );
        }
        let client = field("client_id");
        if Uuid::parse_str(client).ok() != Some(self.options.client_id) {
            let message =
                format!("Application with identifier '{client}' was not found in the directory.");
            return failure(401, "unauthorized_client", 700_016, &message);
        }
        if let Err((code, message)) = self.prove(&fields, token_url) {
            return failure(401, "invalid_client", code, message);
        }
        (200, self.grant())
    }

    /// Does the form prove that the application asks?
    fn prove(
        &self,
        fields: &HashMap<String, String>,
        token_url: &str,
    ) -> Result<(), assertion::Refusal> {
        const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let field = |name: &str| fields.get(name).map(String::as_str);
        let mut state = self.lock();
        match (field("client_secret"), field("client_assertion")) {
            (Some(secret), None) if secret == state.client_secret.expose_secret() => Ok(()),
            (Some(_), None) => Err((7_000_215, "Invalid client secret provided.")),
            (None, Some(assertion)) if field("client_assertion_type") == Some(JWT_BEARER) => {
                assertion::verify(assertion, token_url, &self.options, &mut state.assertions)
            }
            _ => Err((
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )),
        }
    }

    /// A new token as the token endpoint answers it.
    pub(crate) fn grant(&self) -> Value {
        let mut state = self.lock();
        state.serial += 1;
        let now = Utc::now();
        let lifetime = state.lifetime;
        let token = self.token(&state, now);
        let issued = Issued {
            grants: Arc::new(Grants::new(state.roles.clone())),
            expires: Instant::now() + lifetime,
        };
        state.issued.insert(token.clone(), issued);
        let seconds = lifetime.as_secs();
        let expires_in = if self.options.expires_in_as_string {
            json!(seconds.to_string())
        } else {
            json!(seconds)
        };
        json!({
            "token_type": "Bearer",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "access_token": token,
        })
    }

    /// Three dotted parts like a real token; nobody checks the last.
    fn token(&self, state: &State, now: DateTime<Utc>) -> String {
        let issued_at = now.timestamp();
        let mut claims = json!({
            "aud": "https://graph.microsoft.com",
            "iss": format!("https://sts.windows.net/{}/", self.tenant_id),
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + state.lifetime.as_secs() as i64,
            "app_displayname": "Cadastre",
            "appid": self.options.client_id,
            "appidacr": "1",
            "idtyp": "app",
            "tid": self.tenant_id,
            "uti": format!("sim-{}", state.serial),
            "ver": "1.0",
        });
        // A token without any permission has no such claim at all.
        if !state.roles.is_empty() {
            claims["roles"] = json!(state.roles);
        }
        let header = json!({"typ": "JWT", "alg": "none"});
        let part = |text: String| base64_url(text.as_bytes());
        format!(
            "{}.{}.{}",
            part(header.to_string()),
            part(claims.to_string()),
            part(format!("simulated-{}", state.serial))
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Tokens are added whole or not at all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(status: u16, error: &str, code: u32, message: &str) -> (u16, Value) {
    let timestamp = Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
    let trace = Uuid::from_u128(u128::from(code));
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {trace} Timestamp: {timestamp}"),
        "error_codes": [code],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": trace,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    (status, body)
}

/// Base64 for URLs, without padding.
pub(crate) fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let sextet = (bits >> (18 - 6 * place)) & 0x3f;
            text.push(char::from(ALPHABET[sextet as usize]));
        }
    }
    text
}

/// The reverse of [`base64_url`]; `None` for anything else.
pub(crate) fn from_base64_url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let mut bits = 0_u32;
    let mut count = 0_u32;
    for letter in text.bytes() {
        let sextet = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(sextet);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_back_as_it_went() {
        for text in ["", "f", "fo", "foo", "foob", "\u{1f680}~~"] {
            let encoded = base64_url(text.as_bytes());
            assert_eq!(from_base64_url(&encoded).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(base64_url(b"foob"), "Zm9vYg");
    }
}
