//! Delta tokens: where the next reading of a source's endpoint begins.
//!
//! A token comes with the commit of the load that it stands behind, in its transaction: it is never newer than what the
//! register holds. Tokens belong to a system and may open its source's data, so none is ever logged.

mod docs;
mod routes;
mod store;

use std::collections::HashSet;

use contract::{MAX_COMMIT_TOKENS, MAX_TOKEN_BYTES, NewDeltaToken, TokenText};

pub use routes::routes;
pub use store::save;

use crate::error::ApiError;

const MAX_ENDPOINT_BYTES: usize = 100;
const MAX_HASH_BYTES: usize = 200;

/// Refuses tokens that a commit cannot bring.
pub fn check(tokens: &[NewDeltaToken]) -> Result<(), ApiError> {
    if tokens.len() > MAX_COMMIT_TOKENS {
        return Err(ApiError::bad_field(
            "deltaTokens",
            format!("a commit brings at most {MAX_COMMIT_TOKENS} tokens"),
        ));
    }
    let mut endpoints = HashSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let place = format!("deltaTokens/{index}/");
        check_endpoint(&place, &token.endpoint)?;
        check_token(&place, &token.config_hash, &token.token)?;
        if !endpoints.insert(token.endpoint.as_str()) {
            return Err(ApiError::bad_field(
                &format!("{place}endpoint"),
                "the endpoint is there twice",
            ));
        }
    }
    Ok(())
}

fn check_endpoint(place: &str, endpoint: &str) -> Result<(), ApiError> {
    let is_good = endpoint.len() <= MAX_ENDPOINT_BYTES
        && endpoint.starts_with(|first: char| first.is_ascii_alphabetic())
        && endpoint
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte));
    if is_good {
        return Ok(());
    }
    Err(ApiError::bad_field(
        &format!("{place}endpoint"),
        "an endpoint is a letter, then up to 99 letters, digits and . _ / -",
    ))
}

fn check_token(place: &str, config_hash: &str, token: &TokenText) -> Result<(), ApiError> {
    let is_text = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && !text.contains(char::is_control)
    };
    if !is_text(config_hash, MAX_HASH_BYTES) {
        return Err(ApiError::bad_field(
            &format!("{place}configHash"),
            "the text must have 1 to 200 bytes, none of them a control character",
        ));
    }
    if !is_text(&token.0, MAX_TOKEN_BYTES) {
        return Err(ApiError::bad_field(
            &format!("{place}token"),
            "a token must have 1 to 16,384 bytes, none of them a control character",
        ));
    }
    Ok(())
}
