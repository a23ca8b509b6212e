//! Assertions of other identity providers: read or asked for anew for each token.

use std::path::Path;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{AuthError, Failed, read_small};
use crate::config::AssertionSource;

/// No assertion comes near this many bytes.
const LARGEST_ASSERTION: usize = 64 * 1024;

#[derive(Deserialize)]
struct GitHubAnswer {
    value: SecretString,
}

impl AssertionSource {
    /// An assertion that is fresh as far as its issuer keeps it so.
    pub(super) async fn assertion(&self, http: &reqwest::Client) -> Result<SecretString, Failed> {
        match self {
            // Whoever writes the file may be in the middle of it.
            Self::File(path) => read_file(path)
                .await
                .map_err(|error| Failed::ForNow(error, None)),
            Self::GitHub {
                request_url,
                request_token,
                audience,
            } => ask_github(http, request_url.clone(), request_token, audience).await,
        }
    }
}

async fn ask_github(
    http: &reqwest::Client,
    mut url: Url,
    request_token: &SecretString,
    audience: &str,
) -> Result<SecretString, Failed> {
    let fault = |reason: String| AuthError::GitHub(reason);
    url.query_pairs_mut().append_pair("audience", audience);
    let bearer = format!("Bearer {}", request_token.expose_secret());
    let mut bearer = HeaderValue::from_str(&bearer)
        .map_err(|_| Failed::ForGood(fault("the request token is unusable".to_owned())))?;
    bearer.set_sensitive(true);
    let sent = http.get(url).header(AUTHORIZATION, bearer).send().await;
    let response = sent.map_err(|error| {
        let class = crate::graph::failure_class(&error);
        Failed::ForNow(fault(class.to_owned()), None)
    })?;
    let status = response.status().as_u16();
    let error = fault(format!("HTTP {status}"));
    if status >= 500 || matches!(status, 408 | 429) {
        return Err(Failed::ForNow(error, None));
    }
    let body = read_small(response)
        .await
        .map_err(|error| Failed::ForNow(error, None))?;
    match serde_json::from_slice::<GitHubAnswer>(&body) {
        Ok(answer) if status == 200 => Ok(answer.value),
        _ => Err(Failed::ForGood(error)),
    }
}

async fn read_file(path: &Path) -> Result<SecretString, AuthError> {
    let fault = |reason: &str| AuthError::TokenFile {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    };
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| fault(&error.kind().to_string()))?;
    let text = text.trim();
    let is_token = text.split('.').count() == 3
        && text.len() <= LARGEST_ASSERTION
        && text.bytes().all(|b| b.is_ascii_graphic());
    if is_token {
        Ok(text.into())
    } else {
        Err(fault("it holds no token"))
    }
}
