//! Crawlers: what is configured on the server and run by a worker.
//!
//! Settings are the crawler's configuration file in camelCase, without the register, which the worker knows, and without
//! secrets, which go their own way: written here, never shown again, and handed out with a lease only.

mod lease;
mod secret;
mod settings;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;
use uuid::Uuid;

pub use lease::{LeasedCrawler, LeasedSecret};
pub use secret::{NewSecrets, SecretField, SecretState, SecretText};
pub use settings::{
    ApiAddress, CrawlerSettings, EntraCloud, EntraSignIn, GraphSettings, IdentityKeySetting,
    NetworkSettings, SignInSettings, SyncSettings,
};

use crate::SystemId;

/// What a crawler reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CrawlerKind {
    /// Microsoft Entra ID.
    #[default]
    Entra,
}

impl CrawlerKind {
    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Entra => "entra",
        }
    }
}

/// Body of `POST /api/crawlers`.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateCrawler {
    /// What it reads.
    #[serde(default)]
    pub kind: CrawlerKind,
    /// Its name, for people.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The system that it fills, where it is known already.
    pub system_id: Option<SystemId>,
    /// May it run? One that may must have everything that its way of signing in needs.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What it reads and how.
    #[serde(default)]
    pub settings: CrawlerSettings,
    /// Its secrets.
    #[serde(default)]
    #[schemars(schema_with = "secret::by_field::<Option<SecretText>>")]
    pub secrets: NewSecrets,
}

/// Body of `PUT /api/crawlers/{id}`: all of it anew, but for the secrets that are not named.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplaceCrawler {
    /// The version that is replaced; may be sent as `If-Match` instead.
    #[schemars(range(min = 1))]
    pub version: Option<i32>,
    /// Its name, for people.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The system that it fills.
    pub system_id: Option<SystemId>,
    /// May it run?
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What it reads and how.
    #[serde(default)]
    pub settings: CrawlerSettings,
    /// Secrets: absent stays, null is cleared, text is set.
    #[serde(default)]
    #[schemars(schema_with = "secret::by_field::<Option<SecretText>>")]
    pub secrets: NewSecrets,
}

/// Body of `PATCH /api/crawlers/{id}`: what is absent stays.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PatchCrawler {
    /// The version that is changed; may be sent as `If-Match` instead.
    #[schemars(range(min = 1))]
    pub version: Option<i32>,
    /// Its name, for people.
    #[schemars(length(min = 1, max = 200))]
    pub name: Option<String>,
    /// The system that it fills; null takes it back.
    #[serde(
        deserialize_with = "even_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub system_id: Option<Option<SystemId>>,
    /// May it run?
    pub enabled: Option<bool>,
    /// Changes of the settings, as a merge patch (RFC 7396): null takes a setting back to its default.
    pub settings: Option<Map<String, Value>>,
    /// Secrets: absent stays, null is cleared, text is set.
    #[schemars(schema_with = "secret::by_field::<Option<SecretText>>")]
    pub secrets: NewSecrets,
}

/// A crawler, without its secrets.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Crawler {
    /// Its id.
    pub crawler_id: Uuid,
    /// What it reads.
    pub kind: CrawlerKind,
    /// Its name.
    pub name: String,
    /// The system that it fills.
    pub system_id: Option<SystemId>,
    /// May it run?
    pub enabled: bool,
    /// Can it run?
    pub state: CrawlerState,
    /// Why not, where it cannot.
    pub state_reason: Option<String>,
    /// Grows with every change.
    pub version: i32,
    /// What it reads and how.
    pub settings: CrawlerSettings,
    /// What is known of its secrets. One that was never set is not named.
    #[schemars(schema_with = "secret::by_field::<SecretState>")]
    pub secrets: BTreeMap<SecretField, SecretState>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Who changed it.
    pub updated_by: String,
}

/// Can a crawler run?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CrawlerState {
    /// Yes.
    Ready,
    /// Something that it needs is not set yet.
    Incomplete,
    /// A secret does not open: set it again.
    SecretError,
}

/// Answer of `GET /api/crawlers`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrawlerPage {
    /// The crawlers, in the order of their ids.
    pub items: Vec<Crawler>,
    /// Where the next page begins; absent on the last one.
    pub next: Option<Uuid>,
}

/// What a crawler was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrawlerVersion {
    /// The version.
    pub version: i32,
    /// Its name then.
    pub name: String,
    /// Was it allowed to run?
    pub enabled: bool,
    /// Its settings then.
    pub settings: CrawlerSettings,
    /// The secrets that this version set or cleared.
    pub secrets_changed: Vec<SecretField>,
    /// When that was.
    pub changed_at: DateTime<Utc>,
    /// Who did it.
    pub changed_by: String,
}

/// Answer of `GET /api/crawlers/{id}/versions`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrawlerVersionPage {
    /// The versions, newest first.
    pub items: Vec<CrawlerVersion>,
    /// Where the next page begins; absent on the last one.
    pub next: Option<i32>,
}

/// The form of what is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExportForm {
    /// The first and only one.
    #[serde(rename = "cadastre-crawler-1")]
    One,
}

/// A crawler to take elsewhere: without secrets, with their references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportedCrawler {
    /// The form of this text.
    pub form: ExportForm,
    /// What it reads.
    pub kind: CrawlerKind,
    /// Its name.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// What it reads and how.
    pub settings: CrawlerSettings,
    /// Where a worker finds secrets that are not stored: `file:/path` or `env:NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "secret::by_field::<String>")]
    pub references: BTreeMap<SecretField, String>,
    /// Stored secrets, which have to be given at the import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored_secrets: Vec<SecretField>,
}

/// Body of `POST /api/crawlers/import`.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportCrawler {
    /// What was exported.
    pub crawler: ExportedCrawler,
    /// Another name for it.
    #[schemars(length(min = 1, max = 200))]
    pub name: Option<String>,
    /// The system that it fills here.
    pub system_id: Option<SystemId>,
    /// Its secrets. Without those that it needs it is made, but not enabled.
    #[serde(default)]
    #[schemars(schema_with = "secret::by_field::<Option<SecretText>>")]
    pub secrets: NewSecrets,
}

const fn yes() -> bool {
    true
}

/// `Some(None)` for a null: absent is something else.
#[expect(
    clippy::option_option,
    reason = "a patch has three cases: absent, null, a value"
)]
fn even_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}
