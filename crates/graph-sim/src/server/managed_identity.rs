//! Tokens from the platform: the metadata service of virtual machines, and App Service's endpoint.

use std::collections::HashMap;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::token::Tokens;

/// Where virtual machines ask.
pub(crate) const IMDS_PATH: &str = "/metadata/identity/oauth2/token";
/// Where App Service's environment points.
pub(crate) const APP_SERVICE_PATH: &str = "/msi/token";

/// Answers a request for a managed identity's token; `None` when the path is neither of the two.
pub(crate) fn answer(
    tokens: &Tokens,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Option<(u16, Value)> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(query.unwrap_or("").as_bytes())
            .into_owned()
            .collect();
    let field = |name: &str| query.get(name).map(String::as_str);
    let id = match path {
        IMDS_PATH => {
            // What came through a proxy could have been asked by anybody.
            if header("metadata") != Some("true") || headers.contains_key("x-forwarded-for") {
                return Some(refused("Required metadata header not specified"));
            }
            if field("api-version") != Some("2018-02-01") {
                return Some(refused("api-version is missing or not supported"));
            }
            ["client_id", "object_id", "msi_res_id"]
                .into_iter()
                .find_map(field)
        }
        APP_SERVICE_PATH => {
            if header("x-identity-header") != Some(tokens.identity_header())
                || field("api-version") != Some("2019-08-01")
            {
                return Some(refused("The identity header or the api-version is wrong"));
            }
            ["client_id", "principal_id", "mi_res_id"]
                .into_iter()
                .find_map(field)
        }
        _ => return None,
    };
    if field("resource").is_none_or(str::is_empty) {
        return Some(refused("resource is missing"));
    }
    if !tokens.is_managed_identity(id) {
        return Some(refused("Identity not found"));
    }
    let granted = tokens.grant();
    // Everything is text here, and App Service leaves the lifetime to be reckoned.
    let lifetime_s = tokens.lifetime_s();
    let expires_on = chrono::Utc::now().timestamp() + lifetime_s;
    let mut answer = json!({
        "access_token": granted["access_token"],
        "expires_on": expires_on.to_string(),
        "resource": field("resource"),
        "token_type": "Bearer",
    });
    if path == IMDS_PATH {
        answer["expires_in"] = json!(lifetime_s.to_string());
        answer["refresh_token"] = json!("");
        answer["not_before"] = json!((expires_on - lifetime_s).to_string());
    }
    Some((200, answer))
}

fn refused(description: &str) -> (u16, Value) {
    let body = json!({"error": "invalid_request", "error_description": description});
    (400, body)
}
