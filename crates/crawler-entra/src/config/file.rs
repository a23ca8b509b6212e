//! The configuration file, as older crawlers have it, and our superset of it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;
use uuid::Uuid;

use crate::{
    delta::{FULL_READ_EVERY, Mode, UNTOLD_READ_EVERY},
    identity::{IdentityFilter, IdentityKey},
};

use super::{
    Cloud, ConfigError, CrawlConfig, GraphConfig, Network, NetworkSection, REQUEST_WINDOW_DAYS,
    RegisterConfig, Selection, SignInMethod, SignInSection, Tuning, signing_in::Variable,
};

/// The file: JSON with `Graph.{TenantId, ClientId, ClientSecret}`. A key that is not named here is an error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct ConfigFile {
    /// The tenant and how to sign in.
    pub graph: GraphSection,
    /// The register.
    pub api: ApiSection,
    /// The way out.
    pub network: NetworkSection,
    /// What to read.
    pub sync: SyncSection,
    /// Everything, or what changed: `full`, `delta` or `auto`.
    pub mode: Option<Mode>,
    /// How often everything is read in any case, such as `7d`.
    #[serde(deserialize_with = "span")]
    pub full_read_every: Option<Duration>,
    /// How often that is read which Graph does not tell the changes of, such as `20h`.
    #[serde(deserialize_with = "span")]
    pub untold_read_every: Option<Duration>,
    /// Further user properties.
    pub custom_user_attributes: Vec<String>,
    /// Further group properties.
    pub custom_group_attributes: Vec<String>,
    /// Days back to which requests for access packages are read.
    pub request_window_days: Option<u32>,
    /// Which users become identities.
    pub identity_filter: Option<IdentityFilter>,
    /// What makes accounts one person: `account` or `employeeId`.
    pub identity_key: Option<IdentityKey>,
    /// Read members, owners and the like by sweeps.
    pub sweeps: Option<bool>,
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
    /// The other ways of signing in.
    pub sign_in: SignInSection,
    /// The cloud: presets for the addresses below.
    pub cloud: Option<Cloud>,
    /// Where Graph is.
    pub base_url: Option<Url>,
    /// Where tokens are issued.
    pub login_base_url: Option<Url>,
    /// What tokens are asked for, where that is not the address of Graph.
    pub resource: Option<Url>,
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
    /// Groups, directory roles, applications with their roles and registrations.
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
    /// The way of signing in.
    pub sign_in_method: Option<SignInMethod>,
    /// The cloud.
    pub cloud: Option<Cloud>,
    /// The proxy's address, or `none`.
    pub proxy: Option<SecretString>,
    /// A PEM file of further trusted roots.
    pub ca_file: Option<PathBuf>,
    /// Where Graph is.
    pub graph_base_url: Option<Url>,
    /// Where tokens are issued.
    pub login_base_url: Option<Url>,
    /// What to read.
    pub sync: SyncSection,
    /// Everything, or what changed, instead of the file's.
    pub mode: Option<Mode>,
    /// How often everything is read in any case, instead of the file's.
    pub full_read_every: Option<Duration>,
    /// How often that is read which Graph does not tell the changes of, instead of the file's.
    pub untold_read_every: Option<Duration>,
    /// How many days back requests are asked for, instead of the file's.
    pub request_window_days: Option<u32>,
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
    /// Read members, owners and the like by sweeps, instead of what the file says.
    pub sweeps: Option<bool>,
    /// The run to begin or to go on with.
    pub run_id: Option<Uuid>,
}

/// A secret of the wrong type must not be repeated in the error, as the derived code would.
pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text.into())),
        _ => Err(D::Error::custom("a secret must be a text in quotes")),
    }
}

/// A time span: a number and `m`, `h` or `d`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is no time span; write a number and m, h or d, such as 7d");
    let unit = text.chars().last().ok_or_else(fault)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(fault()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| fault())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_span(&text).map_err(D::Error::custom))
        .transpose()
}

impl ConfigFile {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| ConfigError::Malformed(error.to_string()))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::parse(&text).map_err(|error| match error {
            ConfigError::Malformed(reason) => {
                ConfigError::Malformed(format!("{}: {reason}", path.display()))
            }
            other => other,
        })
    }

    /// The configuration with the overrides applied, checked. Files that it names are read now; the platform's variables
    /// (`AZURE_FEDERATED_TOKEN_FILE`, `IDENTITY_ENDPOINT` and the like) are this process'.
    pub fn resolve(self, over: Overrides) -> Result<CrawlConfig, ConfigError> {
        let config = self.merge(over, &variable)?;
        config.validate()?;
        Ok(config)
    }

    /// As [`Self::resolve`], for those who only read: they need no register.
    pub fn resolve_reading(self, over: Overrides) -> Result<CrawlConfig, ConfigError> {
        let reading = Overrides {
            dry_run: true,
            ..over
        };
        self.resolve(reading)
    }

    pub(super) fn merge(
        mut self,
        over: Overrides,
        variable: Variable<'_>,
    ) -> Result<CrawlConfig, ConfigError> {
        let mut wrong = Vec::new();
        self.graph.sign_in.method = over.sign_in_method.or(self.graph.sign_in.method);
        let api_base_url = over.api_base_url.or(self.api.base_url);
        let api_key = over.api_key.or(self.api.key);
        if !over.dry_run && api_base_url.is_none() {
            wrong.push("the register's address is missing (--api-base-url)".to_owned());
        }
        if !over.dry_run && api_key.is_none() {
            wrong.push("the API key is missing (--api-key or CADASTRE_API_KEY)".to_owned());
        }
        let network = self
            .network
            .resolve(over.proxy, over.ca_file)
            .unwrap_or_else(|error| {
                wrong.push(reason(error));
                Network::default()
            });
        self.graph.client_secret = over.client_secret.or(self.graph.client_secret);
        self.graph.cloud = over.cloud.or(self.graph.cloud);
        self.graph.base_url = over.graph_base_url.or(self.graph.base_url);
        self.graph.login_base_url = over.login_base_url.or(self.graph.login_base_url);
        let graph = match self.graph.resolve(variable) {
            Ok(graph) if wrong.is_empty() => graph,
            Ok(_) => return Err(ConfigError::Invalid(wrong)),
            Err(graph_faults) => {
                wrong.splice(0..0, graph_faults);
                return Err(ConfigError::Invalid(wrong));
            }
        };
        let refresh_views = over.sync.refresh_views.or(self.sync.refresh_views);
        Ok(CrawlConfig {
            graph,
            network,
            register: api_base_url
                .zip(api_key)
                .map(|(base_url, api_key)| RegisterConfig { base_url, api_key }),
            selection: over.sync.over(self.sync).selection(),
            mode: over.mode.or(self.mode).unwrap_or_default(),
            full_read_every: (over.full_read_every.or(self.full_read_every))
                .unwrap_or(FULL_READ_EVERY),
            untold_read_every: (over.untold_read_every.or(self.untold_read_every))
                .unwrap_or(UNTOLD_READ_EVERY),
            custom_user_attributes: over
                .custom_user_attributes
                .unwrap_or(self.custom_user_attributes),
            custom_group_attributes: over
                .custom_group_attributes
                .unwrap_or(self.custom_group_attributes),
            request_window_days: (over.request_window_days.or(self.request_window_days))
                .unwrap_or(REQUEST_WINDOW_DAYS),
            identity_filter: over.identity_filter.or(self.identity_filter),
            identity_key: over.identity_key.or(self.identity_key).unwrap_or_default(),
            refresh_views: refresh_views.unwrap_or(true),
            dry_run: over.dry_run,
            take_over: over.take_over,
            sweeps: over.sweeps.or(self.sweeps).unwrap_or(false),
            run_id: over.run_id,
            lease_epoch: None,
            tuning: Tuning::default(),
        })
    }
}

/// A variable of this process' environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What is wrong, without the frame around it: it becomes one of several.
fn reason(error: ConfigError) -> String {
    match error {
        ConfigError::Invalid(wrong) => wrong.join("; "),
        other => other.to_string(),
    }
}

impl GraphSection {
    /// The tenant and how to sign in; what the platform of a workload identity says stands in for what the file does not.
    fn resolve(self, variable: Variable<'_>) -> Result<GraphConfig, Vec<String>> {
        let mut wrong = Vec::new();
        let from_platform = |name: &str| {
            variable("AZURE_FEDERATED_TOKEN_FILE")?;
            variable(name)
        };
        let tenant_id = self.tenant_id.or_else(|| from_platform("AZURE_TENANT_ID"));
        let client_id = self.client_id.or_else(|| from_platform("AZURE_CLIENT_ID"));
        let is_managed = self.sign_in.method == Some(SignInMethod::ManagedIdentity);
        if tenant_id.is_none() {
            wrong.push("Graph.TenantId is missing".to_owned());
        }
        let credential = self.sign_in.credential(self.client_secret, variable);
        let names_itself = is_managed
            || credential
                .as_ref()
                .is_ok_and(|credential| credential.method() == SignInMethod::ManagedIdentity);
        if client_id.is_none() && !names_itself {
            wrong.push("Graph.ClientId is missing".to_owned());
        }
        let credential = match credential {
            Ok(credential) if wrong.is_empty() => credential,
            Ok(_) => return Err(wrong),
            Err(faults) => {
                wrong.extend(faults);
                return Err(wrong);
            }
        };
        let mut graph = GraphConfig::in_cloud(
            self.cloud.unwrap_or_default(),
            tenant_id.unwrap_or_default(),
            client_id.unwrap_or_default(),
            credential,
        );
        if let Some(address) = self.base_url {
            graph.base_url = address;
        }
        if let Some(address) = self.login_base_url {
            graph.login_base_url = address;
        }
        graph.resource = self.resource;
        graph.allow_insecure_http = self.allow_insecure_http;
        Ok(graph)
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

    fn secret_of(config: &CrawlConfig) -> &str {
        match &config.graph.credential {
            super::super::Credential::Secret(secret) => secret.expose_secret(),
            other => panic!("{other:?}"),
        }
    }

    fn register() -> Overrides {
        Overrides {
            api_base_url: Some("https://cadastre.example/api".parse().expect("url")),
            api_key: Some("fgc_CANARY".to_owned().into()),
            ..Overrides::default()
        }
    }

    #[test]
    fn a_time_span_is_a_number_and_a_unit() {
        assert_eq!(parse_span("7d"), Ok(FULL_READ_EVERY));
        assert_eq!(parse_span("90m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "d", "7", "7w", "-1d", "1.5h", "7\u{e4}", "99999999999d"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_file_of_older_crawlers_is_enough() {
        let config = ConfigFile::parse(OLD_FORM)
            .and_then(|file| file.resolve(register()))
            .expect("usable");
        assert_eq!(config.graph.tenant_id, "contoso.example");
        assert_eq!(secret_of(&config), "from file");
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
        assert_eq!(secret_of(&config), "b");
        assert_eq!(config.custom_user_attributes, ["c"]);
        assert!(!config.selection.pim);
        assert!(!config.selection.principals);
    }

    #[test]
    fn sweeps_are_off_until_somebody_wants_them_and_a_flag_wins_over_the_file() {
        let sweeps = |wanted: &str, flag: Option<bool>| {
            let text = OLD_FORM.replacen('{', &format!("{{{wanted}"), 1);
            let over = Overrides {
                sweeps: flag,
                ..register()
            };
            let config = ConfigFile::parse(&text).and_then(|file| file.resolve(over));
            config.expect("usable").sweeps
        };
        assert!(!sweeps("", None));
        assert!(sweeps(r#""Sweeps": true, "#, None));
        assert!(!sweeps(r#""Sweeps": true, "#, Some(false)));
        assert!(sweeps("", Some(true)));
    }

    #[test]
    fn requests_are_asked_for_as_far_back_as_the_flag_says_or_else_the_file() {
        let text = r#"{"Graph": {"TenantId": "t", "ClientId": "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142",
            "ClientSecret": "a"}, "RequestWindowDays": 30}"#;
        for (flag, days) in [(None, 30), (Some(7), 7)] {
            let config = ConfigFile::parse(text).expect("usable").resolve(Overrides {
                request_window_days: flag,
                ..register()
            });
            assert_eq!(config.expect("usable").request_window_days, days);
        }
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
