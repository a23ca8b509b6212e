//! The configuration file, as older crawlers have it, and our superset of it.

use std::{io::ErrorKind, path::Path};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use crate::identity::{IdentityFilter, IdentityKey};

use super::{ConfigError, CrawlConfig, GraphConfig, RegisterConfig, Selection, Tuning};

/// The file: JSON with `Graph.{TenantId, ClientId, ClientSecret}`. A key that is not named here is an error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct ConfigFile {
    /// The tenant and how to sign in.
    pub graph: GraphSection,
    /// The register.
    pub api: ApiSection,
    /// What to read.
    pub sync: SyncSection,
    /// Further user properties.
    pub custom_user_attributes: Vec<String>,
    /// Further group properties.
    pub custom_group_attributes: Vec<String>,
    /// Which users become identities.
    pub identity_filter: Option<IdentityFilter>,
    /// What makes accounts one person: `account` or `employeeId`.
    pub identity_key: Option<IdentityKey>,
}

/// `Graph` in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct GraphSection {
    /// The tenant's id or a domain name of it.
    pub tenant_id: Option<String>,
    /// The application (client) id.
    pub client_id: Option<String>,
    /// The application's secret.
    #[serde(deserialize_with = "secret")]
    pub client_secret: Option<SecretString>,
    /// Where Graph is.
    pub base_url: Option<Url>,
    /// Where tokens are issued.
    pub login_base_url: Option<Url>,
    /// Allow `http://` to other machines.
    pub allow_insecure_http: bool,
}

/// `Api` in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct ApiSection {
    /// The ingest API's address.
    pub base_url: Option<Url>,
    /// The API key.
    #[serde(deserialize_with = "secret")]
    pub key: Option<SecretString>,
}

/// `Sync` in the file; what is absent keeps its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct SyncSection {
    /// Users and guests.
    pub principals: Option<bool>,
    /// Service principals, managed identities, agents.
    pub service_principals: Option<bool>,
    /// Groups and directory roles.
    pub resources: Option<bool>,
    /// Members, owners, role assignments.
    pub assignments: Option<bool>,
    /// Entitlement management, access reviews.
    pub governance: Option<bool>,
    /// Departments, administrative units.
    pub contexts: Option<bool>,
    /// PIM eligibility.
    pub pim: Option<bool>,
    /// When users last signed in.
    pub sign_ins: Option<bool>,
    /// Refresh the views at the end.
    pub refresh_views: Option<bool>,
}

/// What flags and environment say; it wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The ingest API's address.
    pub api_base_url: Option<Url>,
    /// The API key.
    pub api_key: Option<SecretString>,
    /// The application's secret.
    pub client_secret: Option<SecretString>,
    /// Where Graph is.
    pub graph_base_url: Option<Url>,
    /// Where tokens are issued.
    pub login_base_url: Option<Url>,
    /// What to read.
    pub sync: SyncSection,
    /// Further user properties, instead of the file's.
    pub custom_user_attributes: Option<Vec<String>>,
    /// Further group properties, instead of the file's.
    pub custom_group_attributes: Option<Vec<String>>,
    /// Which users become identities, instead of the file's filter.
    pub identity_filter: Option<IdentityFilter>,
    /// What makes accounts one person, instead of the file's.
    pub identity_key: Option<IdentityKey>,
    /// Read and map, send nothing.
    pub dry_run: bool,
    /// Abort sessions that stand in the way.
    pub take_over: bool,
}

/// A secret of the wrong type must not be repeated in the error, as the derived code would.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text.into())),
        _ => Err(D::Error::custom("a secret must be a text in quotes")),
    }
}

impl ConfigFile {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| ConfigError::Malformed(error.to_string()))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.display().to_string(),
            reason: match error.kind() {
                ErrorKind::NotFound => "there is no such file".to_owned(),
                kind => kind.to_string(),
            },
        })?;
        Self::parse(&text).map_err(|error| match error {
            ConfigError::Malformed(reason) => {
                ConfigError::Malformed(format!("{}: {reason}", path.display()))
            }
            other => other,
        })
    }

    /// The configuration with the overrides applied, checked.
    pub fn resolve(self, over: Overrides) -> Result<CrawlConfig, ConfigError> {
        let mut missing = Vec::new();
        let mut need = |value: Option<String>, name: &str| {
            value.unwrap_or_else(|| {
                missing.push(format!("{name} is missing"));
                String::new()
            })
        };
        let tenant_id = need(self.graph.tenant_id, "Graph.TenantId");
        let client_id = need(self.graph.client_id, "Graph.ClientId");
        let client_secret = over.client_secret.or(self.graph.client_secret);
        if client_secret.is_none() {
            missing.push(
                "the client secret is missing (Graph.ClientSecret or CADASTRE_GRAPH_CLIENT_SECRET)"
                    .to_owned(),
            );
        }
        let api_base_url = over.api_base_url.or(self.api.base_url);
        let api_key = over.api_key.or(self.api.key);
        if !over.dry_run && api_base_url.is_none() {
            missing.push("the register's address is missing (--api-base-url)".to_owned());
        }
        if !over.dry_run && api_key.is_none() {
            missing.push("the API key is missing (--api-key or CADASTRE_API_KEY)".to_owned());
        }
        let (Some(client_secret), true) = (client_secret, missing.is_empty()) else {
            return Err(ConfigError::Invalid(missing));
        };

        let mut graph = GraphConfig::new(tenant_id, client_id, client_secret);
        if let Some(address) = over.graph_base_url.or(self.graph.base_url) {
            graph.base_url = address;
        }
        if let Some(address) = over.login_base_url.or(self.graph.login_base_url) {
            graph.login_base_url = address;
        }
        graph.allow_insecure_http = self.graph.allow_insecure_http;
        let refresh_views = over.sync.refresh_views.or(self.sync.refresh_views);
        let config = CrawlConfig {
            graph,
            register: api_base_url
                .zip(api_key)
                .map(|(base_url, api_key)| RegisterConfig { base_url, api_key }),
            selection: over.sync.over(self.sync).selection(),
            custom_user_attributes: over
                .custom_user_attributes
                .unwrap_or(self.custom_user_attributes),
            custom_group_attributes: over
                .custom_group_attributes
                .unwrap_or(self.custom_group_attributes),
            identity_filter: over.identity_filter.or(self.identity_filter),
            identity_key: over.identity_key.or(self.identity_key).unwrap_or_default(),
            refresh_views: refresh_views.unwrap_or(true),
            dry_run: over.dry_run,
            take_over: over.take_over,
            run_id: None,
            tuning: Tuning::default(),
        };
        config.validate()?;
        Ok(config)
    }
}

impl SyncSection {
    fn over(self, below: Self) -> Self {
        Self {
            principals: self.principals.or(below.principals),
            service_principals: self.service_principals.or(below.service_principals),
            resources: self.resources.or(below.resources),
            assignments: self.assignments.or(below.assignments),
            governance: self.governance.or(below.governance),
            contexts: self.contexts.or(below.contexts),
            pim: self.pim.or(below.pim),
            sign_ins: self.sign_ins.or(below.sign_ins),
            refresh_views: self.refresh_views.or(below.refresh_views),
        }
    }

    fn selection(self) -> Selection {
        let default = Selection::default();
        Selection {
            principals: self.principals.unwrap_or(default.principals),
            service_principals: self
                .service_principals
                .unwrap_or(default.service_principals),
            resources: self.resources.unwrap_or(default.resources),
            assignments: self.assignments.unwrap_or(default.assignments),
            governance: self.governance.unwrap_or(default.governance),
            contexts: self.contexts.unwrap_or(default.contexts),
            pim: self.pim.unwrap_or(default.pim),
            sign_ins: self.sign_ins.unwrap_or(default.sign_ins),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const OLD_FORM: &str = r#"{"Graph": {"TenantId": "contoso.example",
        "ClientId": "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142", "ClientSecret": "from file"}}"#;

    fn register() -> Overrides {
        Overrides {
            api_base_url: Some("https://cadastre.example/api".parse().expect("url")),
            api_key: Some("fgc_CANARY".to_owned().into()),
            ..Overrides::default()
        }
    }

    #[test]
    fn the_file_of_older_crawlers_is_enough() {
        let config = ConfigFile::parse(OLD_FORM)
            .and_then(|file| file.resolve(register()))
            .expect("usable");
        assert_eq!(config.graph.tenant_id, "contoso.example");
        assert_eq!(config.graph.client_secret.expose_secret(), "from file");
        assert_eq!(config.selection, Selection::default());
        assert_eq!(
            config.graph.base_url.host_str(),
            Some("graph.microsoft.com")
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_key() {
        for (text, key) in [
            (r#"{"Graph": {"TenantID": "x"}}"#, "TenantID"),
            (r#"{"Sql": {}}"#, "Sql"),
            (r#"{"Sync": {"Pims": true}}"#, "Pims"),
        ] {
            let error = ConfigFile::parse(text).expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_repeated() {
        for text in [
            r#"{"Graph": {"ClientSecret": 4711471147}}"#,
            r#"{"Graph": {"ClientSecret": ["4711471147"]}}"#,
        ] {
            let error = ConfigFile::parse(text).expect_err("refused").to_string();
            assert!(!error.contains("4711471147"), "{error}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = ConfigFile::parse(
            r#"{"Graph": {"TenantId": "t", "ClientId": "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142",
                "ClientSecret": "a", "BaseUrl": "https://file.example"},
                "Sync": {"Pim": true, "Principals": false}, "CustomUserAttributes": ["a"]}"#,
        )
        .expect("usable");
        let config = file
            .resolve(Overrides {
                graph_base_url: Some("https://flag.example".parse().expect("url")),
                client_secret: Some("b".to_owned().into()),
                custom_user_attributes: Some(vec!["c".into()]),
                sync: SyncSection {
                    pim: Some(false),
                    ..SyncSection::default()
                },
                ..register()
            })
            .expect("usable");
        assert_eq!(config.graph.base_url.host_str(), Some("flag.example"));
        assert_eq!(config.graph.client_secret.expose_secret(), "b");
        assert_eq!(config.custom_user_attributes, ["c"]);
        assert!(!config.selection.pim);
        assert!(!config.selection.principals);
    }

    #[test]
    fn what_is_missing_is_named_at_once() {
        let error = ConfigFile::default()
            .resolve(Overrides::default())
            .expect_err("refused")
            .to_string();
        for named in [
            "TenantId",
            "ClientId",
            "client secret",
            "--api-base-url",
            "--api-key",
        ] {
            assert!(error.contains(named), "{named} in {error}");
        }
    }
}
