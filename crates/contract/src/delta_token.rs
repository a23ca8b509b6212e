//! Delta tokens: where the next reading of a source's endpoint begins.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

/// Most tokens that a commit brings.
pub const MAX_COMMIT_TOKENS: usize = 50;

/// Most bytes of a token.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token as the source gave it. It may open the source's data to whoever holds it, so it shows in no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TokenText(pub String);

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// A token that a commit brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDeltaToken {
    /// What was read, such as `groups/delta`.
    #[schemars(regex(pattern = r"^[A-Za-z][A-Za-z0-9._/-]{0,99}$"))]
    pub endpoint: String,
    /// A fingerprint of how it was read: with another one the token is of no use.
    #[schemars(length(min = 1, max = 200))]
    pub config_hash: String,
    /// The token, at most 16 KiB.
    #[schemars(length(min = 1, max = 16_384))]
    pub token: TokenText,
    /// Was everything read, and not only what changed?
    #[serde(default)]
    pub is_full_read: bool,
}

/// Body of `PUT /api/crawlers/delta-tokens/{endpoint}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaveDeltaToken {
    /// A fingerprint of how it was read: with another one the token is of no use.
    #[schemars(length(min = 1, max = 200))]
    pub config_hash: String,
    /// The token, at most 16 KiB.
    #[schemars(length(min = 1, max = 16_384))]
    pub token: TokenText,
    /// Was everything read, and not only what changed?
    #[serde(default)]
    pub is_full_read: bool,
}

/// A token that is kept.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeltaToken {
    /// What it was read from.
    pub endpoint: String,
    /// A fingerprint of how it was read.
    pub config_hash: String,
    /// The token.
    pub token: TokenText,
    /// When it was saved.
    pub saved_at: DateTime<Utc>,
    /// How long ago that was, by the server's clock.
    pub age_seconds: u64,
    /// The session whose commit brought it, where one did.
    pub sync_id: Option<Uuid>,
    /// When everything was last read, if it ever was.
    pub full_read_at: Option<DateTime<Utc>>,
    /// How long ago that was, by the server's clock.
    pub full_read_age_seconds: Option<u64>,
}

/// Answer of `GET /api/crawlers/delta-tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeltaTokens {
    /// The tokens of a system, by endpoint.
    pub items: Vec<DeltaToken>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_shows_in_no_debug_text() {
        let token = NewDeltaToken {
            endpoint: "users/delta".into(),
            config_hash: "h".into(),
            token: TokenText("CANARY".into()),
            is_full_read: true,
        };
        assert!(!format!("{token:?} {token:#?}").contains("CANARY"));
        let wire = serde_json::to_value(&token).expect("serialises");
        assert_eq!(wire["token"], "CANARY");
    }
}
