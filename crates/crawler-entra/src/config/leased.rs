//! From a crawler that the server leased to a configuration: the same rules as for a file, and what this machine allows.
//!
//! The settings are written by whoever administers the server. They must not become a way to read this machine's files and
//! variables, or to have secrets and tokens sent to any host: a [`LeasePolicy`] says which of them a crawler may use.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use contract::{
    CrawlMode, LeasedCrawler, LeasedSecret, SecretField,
    crawler::{
        CrawlerSettings, EntraCloud, EntraSignIn, GraphSettings, IdentityKeySetting,
        NetworkSettings, SignInSettings, SyncSettings,
    },
};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use super::{
    ApiSection, Cloud, ConfigError, ConfigFile, CrawlConfig, Credential, GraphSection, IMDS,
    ManagedIdentityEndpoint, NetworkSection, Overrides, RegisterConfig, SignInMethod,
    SignInSection, SyncSection, parse_span,
};
use crate::{
    delta::Mode,
    identity::{IdentityFilter, IdentityKey},
};

/// Largest file with a secret.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What leased crawlers may use of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasePolicy {
    /// Folders whose files may be named: secrets, certificates, tokens, roots.
    pub folders: Vec<PathBuf>,
    /// Variables that begin so may be named.
    pub variable_prefix: String,
    /// Hosts that may be called beside those of the known clouds.
    pub hosts: Vec<String>,
}

impl Default for LeasePolicy {
    fn default() -> Self {
        Self {
            folders: vec![PathBuf::from("/run/secrets")],
            variable_prefix: "CADASTRE_SECRET_".to_owned(),
            hosts: Vec::new(),
        }
    }
}

impl LeasePolicy {
    /// The configuration of a crawl. `mode` and `run_id` are those of the job.
    pub fn config(
        &self,
        crawler: LeasedCrawler,
        register: RegisterConfig,
        mode: Option<Mode>,
        run_id: Option<Uuid>,
    ) -> Result<CrawlConfig, ConfigError> {
        let mut wrong = Vec::new();
        let file = self.file(crawler, &mut wrong);
        if !wrong.is_empty() {
            return Err(ConfigError::Invalid(wrong));
        }
        let over = Overrides {
            api_base_url: Some(register.base_url),
            api_key: Some(register.api_key),
            mode,
            run_id,
            ..Overrides::default()
        };
        let config = file.resolve(over)?;
        self.check_hosts(&config)?;
        Ok(config)
    }

    /// The file that says the same. Every field of both sides is named here, so that none can be forgotten.
    fn file(&self, crawler: LeasedCrawler, wrong: &mut Vec<String>) -> ConfigFile {
        let mut secrets = self.secrets(crawler.secrets, wrong);
        let CrawlerSettings {
            graph,
            network,
            sync,
            mode,
            full_read_every,
            untold_read_every,
            custom_user_attributes,
            custom_group_attributes,
            request_window_days,
            sweeps,
            identity_filter,
            identity_key,
        } = crawler.settings;
        let NetworkSettings { ca_file } = network;
        let mut span = |name: &str, text: Option<String>| {
            let read = text.map(|text| parse_span(&text)).transpose();
            read.unwrap_or_else(|fault| {
                wrong.push(format!("{name}: {fault}"));
                None
            })
        };
        let full_read_every = span("fullReadEvery", full_read_every);
        let untold_read_every = span("untoldReadEvery", untold_read_every);
        let identity_filter = identity_filter.map(|filter| IdentityFilter::parse(&filter));
        let identity_filter = identity_filter.transpose().unwrap_or_else(|fault| {
            wrong.push(fault.to_string());
            None
        });
        ConfigFile {
            graph: self.graph(graph, &mut secrets, wrong),
            // The worker knows the register: it has the job from there.
            api: ApiSection::default(),
            network: NetworkSection {
                proxy: secrets.remove(&SecretField::Proxy),
                ca_file: self.path("network.caFile", ca_file, wrong),
            },
            sync: sync_section(sync),
            mode: mode.map(mode_of),
            full_read_every,
            untold_read_every,
            custom_user_attributes,
            custom_group_attributes,
            request_window_days,
            sweeps,
            identity_filter,
            identity_key: identity_key.map(|key| match key {
                IdentityKeySetting::Account => IdentityKey::Account,
                IdentityKeySetting::EmployeeId => IdentityKey::EmployeeId,
            }),
        }
    }

    fn graph(
        &self,
        graph: GraphSettings,
        secrets: &mut BTreeMap<SecretField, SecretString>,
        wrong: &mut Vec<String>,
    ) -> GraphSection {
        let GraphSettings {
            tenant_id,
            client_id,
            sign_in,
            cloud,
            base_url,
            login_base_url,
            resource,
            allow_insecure_http,
        } = graph;
        let SignInSettings {
            method,
            certificate_file,
            certificate_key_file,
            federated_token_file,
            federated_audience,
            managed_identity_client_id,
            managed_identity_object_id,
            managed_identity_resource_id,
            imds_base_url,
        } = sign_in;
        GraphSection {
            tenant_id,
            client_id,
            client_secret: secrets.remove(&SecretField::ClientSecret),
            sign_in: SignInSection {
                method: method.map(method_of),
                certificate: secrets.remove(&SecretField::Certificate),
                certificate_file: self.path("certificateFile", certificate_file, wrong),
                certificate_key_file: self.path("certificateKeyFile", certificate_key_file, wrong),
                certificate_password: secrets.remove(&SecretField::CertificatePassword),
                federated_token_file: self.path("federatedTokenFile", federated_token_file, wrong),
                federated_audience,
                managed_identity_client_id,
                managed_identity_object_id,
                managed_identity_resource_id,
                imds_base_url: address("imdsBaseUrl", imds_base_url, wrong),
            },
            cloud: cloud.map(cloud_of),
            base_url: address("baseUrl", base_url, wrong),
            login_base_url: address("loginBaseUrl", login_base_url, wrong),
            resource: address("resource", resource, wrong),
            allow_insecure_http,
        }
    }

    fn secrets(
        &self,
        leased: BTreeMap<SecretField, LeasedSecret>,
        wrong: &mut Vec<String>,
    ) -> BTreeMap<SecretField, SecretString> {
        let mut secrets = BTreeMap::new();
        for (field, secret) in leased {
            let found = match secret {
                LeasedSecret::Value(text) => Ok(text.0),
                LeasedSecret::Reference(reference) => self.resolve(&reference),
            };
            match found {
                Ok(secret) => drop(secrets.insert(field, secret)),
                Err(fault) => wrong.push(format!("{}: {fault}", field.wire_name())),
            }
        }
        secrets
    }

    /// The secret that a reference names.
    fn resolve(&self, reference: &str) -> Result<SecretString, String> {
        if let Some(name) = reference.strip_prefix("env:") {
            if !name.starts_with(&self.variable_prefix) {
                return Err(format!(
                    "this worker lets crawlers use variables {}… only, not {name}",
                    self.variable_prefix
                ));
            }
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            return value
                .map(SecretString::from)
                .ok_or_else(|| format!("the variable {name} is not set on this worker"));
        }
        let path = reference.strip_prefix("file:");
        let path = path.ok_or("a reference must be file:/path or env:NAME")?;
        let path = self.allowed(Path::new(path))?;
        let unreadable = |error: std::io::Error| ConfigError::unreadable(&path, &error).to_string();
        let file = std::fs::File::open(&path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(format!(
                "the file {} is too long for a secret",
                path.display()
            ));
        }
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        if text.is_empty() {
            return Err(format!("the file {} is empty", path.display()));
        }
        Ok(text.into())
    }

    fn path(&self, name: &str, text: Option<String>, wrong: &mut Vec<String>) -> Option<PathBuf> {
        let found = self.allowed(Path::new(&text?));
        found
            .map_err(|fault| wrong.push(format!("{name}: {fault}")))
            .ok()
    }

    /// The file itself, links followed, if it lies in a folder that crawlers may use.
    fn allowed(&self, path: &Path) -> Result<PathBuf, String> {
        let is_in = |path: &Path| {
            self.folders.iter().any(|folder| {
                folder
                    .canonicalize()
                    .is_ok_and(|folder| path.starts_with(folder))
            })
        };
        match path.canonicalize() {
            Ok(real) if is_in(&real) => Ok(real),
            // Whether files elsewhere exist is nobody's business.
            _ => Err(format!(
                "there is no file {} in a folder that this worker lets crawlers use",
                path.display()
            )),
        }
    }

    fn check_hosts(&self, config: &CrawlConfig) -> Result<(), ConfigError> {
        let graph = &config.graph;
        let mut called = vec![&graph.base_url, &graph.login_base_url];
        let usual = Url::parse(IMDS).ok();
        if let Credential::ManagedIdentity(identity) = &graph.credential
            && let ManagedIdentityEndpoint::Imds(url) = &identity.endpoint
            && usual.as_ref() != Some(url)
        {
            called.push(url);
        }
        let is_known = |url: &Url| {
            let host = url.host_str();
            Cloud::ALL
                .into_iter()
                .flat_map(|cloud| [cloud.graph(), cloud.login()])
                .any(|known| known.host_str() == host)
                || self.hosts.iter().any(|known| Some(known.as_str()) == host)
        };
        let wrong: Vec<String> = called
            .into_iter()
            .filter(|url| !is_known(url))
            .map(|url| {
                format!(
                    "this worker does not let crawlers call {}",
                    url.host_str().unwrap_or("an address without a host")
                )
            })
            .collect();
        super::none_or(wrong)
    }
}

fn address(name: &str, text: Option<String>, wrong: &mut Vec<String>) -> Option<Url> {
    let url = Url::parse(&text?);
    url.map_err(|_| wrong.push(format!("{name} is no address")))
        .ok()
}

fn sync_section(sync: SyncSettings) -> SyncSection {
    let SyncSettings {
        principals,
        service_principals,
        resources,
        assignments,
        governance,
        contexts,
        pim,
        sign_ins,
        refresh_views,
    } = sync;
    SyncSection {
        principals,
        service_principals,
        resources,
        assignments,
        governance,
        contexts,
        pim,
        sign_ins,
        refresh_views,
    }
}

const fn mode_of(mode: CrawlMode) -> Mode {
    match mode {
        CrawlMode::Full => Mode::Full,
        CrawlMode::Delta => Mode::Delta,
        CrawlMode::Auto => Mode::Auto,
    }
}

const fn method_of(method: EntraSignIn) -> SignInMethod {
    match method {
        EntraSignIn::Secret => SignInMethod::Secret,
        EntraSignIn::Certificate => SignInMethod::Certificate,
        EntraSignIn::Federated => SignInMethod::Federated,
        EntraSignIn::Github => SignInMethod::Github,
        EntraSignIn::ManagedIdentity => SignInMethod::ManagedIdentity,
    }
}

const fn cloud_of(cloud: EntraCloud) -> Cloud {
    match cloud {
        EntraCloud::Global => Cloud::Global,
        EntraCloud::Usgov => Cloud::Usgov,
        EntraCloud::UsgovDod => Cloud::UsgovDod,
        EntraCloud::China => Cloud::China,
        EntraCloud::Bleu => Cloud::Bleu,
        EntraCloud::Delos => Cloud::Delos,
        EntraCloud::Govsg => Cloud::Govsg,
    }
}

#[cfg(test)]
mod tests;
