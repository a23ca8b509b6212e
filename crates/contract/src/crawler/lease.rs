//! A crawler as the worker gets it, with the lease of a job and in no other way.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::{CrawlerKind, CrawlerSettings, SecretField, SecretText};
use crate::SystemId;

/// A crawler with its secrets.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeasedCrawler {
    /// The crawler.
    pub crawler_id: Uuid,
    /// What it reads.
    pub kind: CrawlerKind,
    /// Its name.
    pub name: String,
    /// The system that it fills, where it is known.
    pub system_id: Option<SystemId>,
    /// The version of the settings.
    pub version: i32,
    /// What it reads and how.
    pub settings: CrawlerSettings,
    /// Its secrets.
    #[schemars(schema_with = "super::secret::by_field::<LeasedSecret>")]
    pub secrets: BTreeMap<SecretField, LeasedSecret>,
}

/// A secret, or where it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LeasedSecret {
    /// The secret itself.
    Value(SecretText),
    /// Where the worker finds it: `file:/path` or `env:NAME`.
    Reference(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_brings_its_secrets_over_the_wire_and_shows_them_nowhere() {
        let leased = LeasedCrawler {
            crawler_id: Uuid::nil(),
            kind: CrawlerKind::Entra,
            name: "Contoso".into(),
            system_id: None,
            version: 1,
            settings: CrawlerSettings::default(),
            secrets: BTreeMap::from([
                (
                    SecretField::ClientSecret,
                    LeasedSecret::Value("CANARY".to_owned().into()),
                ),
                (
                    SecretField::Proxy,
                    LeasedSecret::Reference("env:PROXY".into()),
                ),
            ]),
        };
        assert!(!format!("{leased:?} {leased:#?}").contains("CANARY"));
        let wire = serde_json::to_value(&leased).expect("writes");
        assert_eq!(wire["secrets"]["clientSecret"]["value"], "CANARY");
        let read: LeasedCrawler = serde_json::from_value(wire).expect("reads");
        assert!(matches!(
            &read.secrets[&SecretField::ClientSecret],
            LeasedSecret::Value(text) if text.expose() == "CANARY"
        ));
    }
}
