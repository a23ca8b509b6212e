//! Calls to the provider, and to nobody else.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde::de::DeserializeOwned;
use url::{Origin, Url};

use super::settings::is_safe;

/// Longest answer of a provider.
const MAX_BYTES: usize = 1024 * 1024;
/// Longest wait for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call came to nothing. Says nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// An address outside the provider's origins.
    #[error("{0} is not among the origins of the provider")]
    Elsewhere(String),
    /// The call failed.
    #[error("{0} cannot be reached: {1}")]
    Transport(String, reqwest::Error),
    /// Too long an answer.
    #[error("the answer of {0} is too long")]
    TooLong(String),
    /// An answer that is no success.
    #[error("{0} answered {1}{2}")]
    Status(String, StatusCode, String),
    /// An answer that cannot be read.
    #[error("the answer of {0} cannot be read: {1}")]
    Form(String, serde_json::Error),
}

/// A client that reaches some origins only and follows no redirect.
#[derive(Debug)]
pub struct Outbound {
    http: Client,
    origins: Vec<Origin>,
}

impl Outbound {
    /// One for these origins.
    pub fn to(origins: Vec<Origin>) -> Result<Self, reqwest::Error> {
        // Whoever came first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { http, origins })
    }

    /// Refuses an address outside the origins.
    pub fn allow<'a>(&self, url: &'a Url) -> Result<&'a Url, CallError> {
        let is_plain = url.username().is_empty() && url.password().is_none();
        if is_safe(url) && is_plain && self.origins.contains(&url.origin()) {
            Ok(url)
        } else {
            Err(CallError::Elsewhere(host_of(url)))
        }
    }

    /// Reads a JSON document.
    pub async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, CallError> {
        let request = self.http.get(self.allow(url)?.clone());
        read(url, request).await
    }

    /// Sends a form, with a name and a password where there are any.
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<T, CallError> {
        let mut request = self.http.post(self.allow(url)?.clone()).form(form);
        if let Some((name, password)) = basic {
            request = request.basic_auth(name, Some(password));
        }
        read(url, request).await
    }
}

fn host_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

async fn read<T: DeserializeOwned>(url: &Url, request: RequestBuilder) -> Result<T, CallError> {
    let failed = |error: reqwest::Error| CallError::Transport(host_of(url), error.without_url());
    let mut response = request
        .header("accept", "application/json")
        .send()
        .await
        .map_err(failed)?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > MAX_BYTES {
            return Err(CallError::TooLong(host_of(url)));
        }
        body.extend_from_slice(&piece);
    }
    if response.status() != StatusCode::OK {
        let why = error_code(&body).map_or_else(String::new, |code| format!(": {code}"));
        return Err(CallError::Status(host_of(url), response.status(), why));
    }
    serde_json::from_slice(&body).map_err(|error| CallError::Form(host_of(url), error))
}

/// The `error` of an OAuth answer: a word of the provider's, never its free text.
fn error_code(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    let is_word = (1..=60).contains(&refusal.error.len())
        && refusal
            .error
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word.then_some(refusal.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_provider_is_called_and_never_in_the_clear() {
        let issuer: Url = "https://login.example.org/tenant".parse().expect("a URL");
        let outbound = Outbound::to(vec![issuer.origin()]).expect("a client");
        let is_allowed = |text: &str| outbound.allow(&text.parse().expect("a URL")).is_ok();
        assert!(is_allowed("https://login.example.org/keys"));
        for elsewhere in [
            "http://login.example.org/keys",
            "https://login.example.org:8443/keys",
            "https://login.example.org.evil.test/keys",
            "https://user@login.example.org/keys",
            "https://169.254.169.254/",
            "http://127.0.0.1/keys",
            "file:///etc/passwd",
        ] {
            assert!(!is_allowed(elsewhere), "{elsewhere}");
        }
    }
}
