//! API keys, as the API shows them. The key itself is shown once, on creation.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::SystemId;

/// What a key may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Post records, sessions, run reports.
    Ingest,
    /// Claim and report jobs.
    Jobs,
    /// Read the register.
    Read,
    /// Manage keys, decide held removals.
    Admin,
    /// Provision by SCIM.
    Scim,
    /// Give attributes columns and take them back.
    Schema,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] = [
        Self::Ingest,
        Self::Jobs,
        Self::Read,
        Self::Admin,
        Self::Scim,
        Self::Schema,
    ];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Jobs => "jobs",
            Self::Read => "read",
            Self::Admin => "admin",
            Self::Scim => "scim",
            Self::Schema => "schema",
        }
    }
}

/// Body of `POST /api/admin/keys`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateKey {
    /// What the key is for, in people's words.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// What it may do.
    #[schemars(length(min = 1))]
    pub permissions: Vec<Permission>,
    /// The systems it may touch; all of the workspace when absent.
    #[schemars(length(min = 1))]
    pub system_ids: Option<Vec<SystemId>>,
    /// When it stops working; 90 days from now when absent.
    pub expires_at: Option<DateTime<Utc>>,
    /// The addresses and networks (`10.1.0.0/16`, `2001:db8::/32`) that it works from; everywhere when absent.
    #[schemars(length(min = 1, max = 100))]
    pub allowed_addresses: Option<Vec<String>>,
    /// Most requests a minute, for each server; no limit when absent.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<u32>,
}

/// Body of `PATCH /api/admin/keys/{keyId}`: what is to be otherwise. What a key may do is never widened: make another one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateKey {
    /// What the key is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name: Option<String>,
    /// When it stops working; not later than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The addresses and networks that it works from; `null` for everywhere.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "::serde_with::rust::double_option"
    )]
    #[schemars(with = "Option<Vec<String>>", length(min = 1, max = 100))]
    pub allowed_addresses: Option<Option<Vec<String>>>,
    /// Most requests a minute, for each server; `null` for no limit.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "::serde_with::rust::double_option"
    )]
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<Option<u32>>,
}

/// Answer to creating or rotating a key: the only time that the key is shown.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// The whole key, `fgc_…`.
    pub key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub info: KeyInfo,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("key", &"[REDACTED]")
            .field("info", &self.info)
            .finish()
    }
}

/// A key without its secret.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyInfo {
    /// The unsecret part of the key.
    pub key_id: String,
    /// What the key is for.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// The systems it may touch; absent for all of the workspace.
    pub system_ids: Option<Vec<SystemId>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The addresses and networks that it works from; absent for everywhere.
    pub allowed_addresses: Option<Vec<String>>,
    /// Most requests a minute, for each server; absent for no limit.
    pub requests_per_minute: Option<u32>,
    /// The key that it replaced.
    pub rotated_from: Option<String>,
}

/// Answer of `GET /api/crawlers/whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// The key in use.
    #[serde(flatten)]
    pub key: KeyInfo,
    /// The server's version.
    pub server_version: String,
}
