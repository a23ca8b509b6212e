//! What to read, from where, and where to put it: one typed value, whoever filled it in.

mod cloud;
mod credential;
mod file;
mod leased;
mod network;
mod signing_in;

use std::{io::ErrorKind, path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};
use uuid::Uuid;

use crate::{
    delta::{FULL_READ_EVERY, Mode, UNTOLD_READ_EVERY},
    identity::{IdentityFilter, IdentityKey},
};
pub use cloud::{Cloud, GLOBAL_GRAPH, GLOBAL_LOGIN};
pub use credential::{
    AssertionSource, CertificateError, ClientCertificate, Credential, EXCHANGE_AUDIENCE, IMDS,
    ManagedIdentity, ManagedIdentityEndpoint, ManagedIdentityId, SignInMethod,
};

pub(crate) use file::parse_span;
pub use file::{ApiSection, ConfigFile, GraphSection, Overrides, SyncSection};
pub use leased::LeasePolicy;
pub use network::{Network, NetworkSection};
pub use signing_in::SignInSection;

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The class of the failure.
        reason: String,
    },
    /// The text is no configuration. Holds a key's name, never a value.
    #[error("the configuration is not usable: {0}")]
    Malformed(String),
    /// Values are missing or impossible; all of them at once.
    #[error("the configuration is not usable: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl ConfigError {
    fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable {
            path: path.display().to_string(),
            reason: match error.kind() {
                ErrorKind::NotFound => "there is no such file".to_owned(),
                kind => kind.to_string(),
            },
        }
    }
}

/// Everything that a crawl needs to know.
#[derive(Debug, Clone)]
pub struct CrawlConfig {
    /// The tenant and how to sign in.
    pub graph: GraphConfig,
    /// The register; may be absent in a dry run only.
    pub register: Option<RegisterConfig>,
    /// The way out: proxy and trusted roots.
    pub network: Network,
    /// What to read.
    pub selection: Selection,
    /// Everything, or what changed.
    pub mode: Mode,
    /// With [`Mode::Auto`]: everything is read when the last full reading is older.
    pub full_read_every: Duration,
    /// Unless everything is read: what Graph does not tell the changes of is read when the last full reading is older.
    pub untold_read_every: Duration,
    /// Further user properties to read into the extended attributes.
    pub custom_user_attributes: Vec<String>,
    /// Further group properties to read into the extended attributes.
    pub custom_group_attributes: Vec<String>,
    /// Requests for access packages are read when they are not older than this many days.
    pub request_window_days: u32,
    /// Which users become identities; without it none do.
    pub identity_filter: Option<IdentityFilter>,
    /// What makes accounts one person.
    pub identity_key: IdentityKey,
    /// Ask for a refresh of the register's views at the end.
    pub refresh_views: bool,
    /// Read and map everything, send nothing.
    pub dry_run: bool,
    /// Abort sessions of the same scope that another crawl left open.
    pub take_over: bool,
    /// Read what hangs on groups and applications by sweeps: their list with the relation expanded, and one list each only
    /// where that cannot be all. Saves most requests of a crawl; not proved on a real tenant yet.
    pub sweeps: bool,
    /// The run's id, where somebody else (a job) already gave it one.
    pub run_id: Option<Uuid>,
    /// The epoch of the lease under which this process has the job of the run.
    pub lease_epoch: Option<i32>,
    /// Speed and patience.
    pub tuning: Tuning,
}

/// The tenant and how to sign in.
#[derive(Debug, Clone)]
pub struct GraphConfig {
    /// The tenant's id, or one of its domain names.
    pub tenant_id: String,
    /// The application (client) id. A managed identity does without: its tokens say who it is.
    pub client_id: String,
    /// How the application proves who it is.
    pub credential: Credential,
    /// The cloud that the tenant lives in.
    pub cloud: Cloud,
    /// Where Graph is, without a version.
    pub base_url: Url,
    /// Where tokens are issued.
    pub login_base_url: Url,
    /// What tokens are asked for, where that is not the address of Graph: Graph behind a gateway.
    pub resource: Option<Url>,
    /// Allow `http://` to hosts other than this machine. For simulators in a closed network only.
    pub allow_insecure_http: bool,
}

/// The register and the key for it.
#[derive(Debug, Clone)]
pub struct RegisterConfig {
    /// The ingest API's address, with or without `/api`.
    pub base_url: Url,
    /// The key.
    pub api_key: SecretString,
}

/// How far back requests for access packages are read unless it is said.
pub const REQUEST_WINDOW_DAYS: u32 = 90;
/// Requests are at most this old: entitlement management is younger.
const LONGEST_REQUEST_WINDOW_DAYS: u32 = 36_500;

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// Users and guests.
    pub principals: bool,
    /// Service principals, managed identities and agents.
    pub service_principals: bool,
    /// Groups, directory roles, applications with their roles and registrations.
    pub resources: bool,
    /// Group members and owners, role assignments, holders of app roles, owners of applications, delegated grants.
    pub assignments: bool,
    /// Entitlement management and access reviews.
    pub governance: bool,
    /// Departments and administrative units.
    pub contexts: bool,
    /// PIM eligibility for directory roles and groups.
    pub pim: bool,
    /// When users last signed in; read only together with the users.
    pub sign_ins: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            principals: true,
            service_principals: false,
            resources: true,
            assignments: true,
            governance: true,
            contexts: true,
            pim: false,
            sign_ins: true,
        }
    }
}

/// Speed and patience; the defaults suit a large tenant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Requests or batches to Graph under way at once; halves when Graph throttles and recovers slowly.
    pub in_flight: usize,
    /// Resource units spent per ten seconds: 60 % of what Graph gives an application in a large tenant.
    pub resource_units_per_10_s: f64,
    /// Requests for sign-in activity per ten seconds, of which Graph takes five.
    pub report_requests_per_10_s: f64,
    /// Requests for conditional access per ten seconds, of which Graph takes one a second from all applications together.
    pub policy_requests_per_10_s: f64,
    /// Tries per request before a 5xx, a broken connection or an unreadable answer counts as permanent.
    pub max_tries: u32,
    /// Times that a request may be throttled before its collection gives up.
    pub max_throttled: u32,
    /// The first wait after a failure, random up to this; doubles with each further one.
    pub first_backoff: Duration,
    /// No backoff is longer.
    pub max_backoff: Duration,
    /// A longer `Retry-After` is not waited for: the collection ends as throttled.
    pub max_retry_after: Duration,
    /// How long one answer may take as a whole.
    pub request_timeout: Duration,
    /// How long an answer may stand still.
    pub read_timeout: Duration,
    /// The largest answer that is read.
    pub max_body_bytes: usize,
    /// Objects asked for per page.
    pub page_size: u32,
    /// Records per batch to the register.
    pub batch_records: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            in_flight: 8,
            resource_units_per_10_s: 4_800.0,
            report_requests_per_10_s: 4.5,
            policy_requests_per_10_s: 8.0,
            max_tries: 6,
            max_throttled: 60,
            first_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(900),
            request_timeout: Duration::from_secs(300),
            read_timeout: Duration::from_secs(60),
            max_body_bytes: 64 * 1024 * 1024,
            page_size: 999,
            batch_records: 5_000,
        }
    }
}

impl GraphConfig {
    /// A tenant in the public cloud and an application with a secret.
    pub fn new(
        tenant_id: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: SecretString,
    ) -> Self {
        let secret = Credential::Secret(client_secret);
        Self::in_cloud(Cloud::Global, tenant_id, client_id, secret)
    }

    /// A tenant in any cloud and an application that signs in as it likes.
    pub fn in_cloud(
        cloud: Cloud,
        tenant_id: impl Into<String>,
        client_id: impl Into<String>,
        credential: Credential,
    ) -> Self {
        Self {
            tenant_id: tenant_id.into(),
            client_id: client_id.into(),
            credential,
            cloud,
            base_url: cloud.graph(),
            login_base_url: cloud.login(),
            resource: None,
            allow_insecure_http: false,
        }
    }

    /// What tokens are asked for, without a slash at the end.
    pub(crate) fn audience(&self) -> &str {
        let resource = self.resource.as_ref().unwrap_or(&self.base_url);
        resource.as_str().trim_end_matches('/')
    }

    fn faults(&self, wrong: &mut Vec<String>) {
        if self.tenant_id.is_empty() || !self.tenant_id.chars().all(is_tenant_character) {
            wrong.push("Graph.TenantId must be the tenant's id or a domain name of it".to_owned());
        }
        let names_itself = matches!(self.credential, Credential::ManagedIdentity(_));
        if !(names_itself && self.client_id.is_empty()) && Uuid::parse_str(&self.client_id).is_err()
        {
            wrong.push("Graph.ClientId must be a GUID (the application id)".to_owned());
        }
        if let Credential::Secret(secret) = &self.credential
            && secret.expose_secret().is_empty()
        {
            wrong.push("Graph.ClientSecret must not be empty".to_owned());
        }
        for (name, address) in [
            ("Graph.BaseUrl", &self.base_url),
            ("Graph.LoginBaseUrl", &self.login_base_url),
        ] {
            if let Some(reason) = address_fault(address, self.allow_insecure_http) {
                wrong.push(format!("{name} {reason}"));
            }
        }
    }
}

impl CrawlConfig {
    /// The defaults for a tenant and a register.
    pub fn new(graph: GraphConfig, register: RegisterConfig) -> Self {
        Self {
            graph,
            register: Some(register),
            network: Network::default(),
            selection: Selection::default(),
            mode: Mode::default(),
            full_read_every: FULL_READ_EVERY,
            untold_read_every: UNTOLD_READ_EVERY,
            custom_user_attributes: Vec::new(),
            custom_group_attributes: Vec::new(),
            request_window_days: REQUEST_WINDOW_DAYS,
            identity_filter: None,
            identity_key: IdentityKey::default(),
            refresh_views: true,
            dry_run: false,
            take_over: false,
            sweeps: false,
            run_id: None,
            lease_epoch: None,
            tuning: Tuning::default(),
        }
    }

    /// Finds everything that is wrong with the configuration, without sending anything.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut wrong = self.reading_faults();
        if self.register.is_none() && !self.dry_run {
            wrong.push(
                "the register's address and API key are needed unless this is a dry run".to_owned(),
            );
        }
        none_or(wrong)
    }

    /// As [`Self::validate`], for those who only read: they need no register.
    pub(crate) fn validate_reading(&self) -> Result<(), ConfigError> {
        none_or(self.reading_faults())
    }

    fn reading_faults(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        self.graph.faults(&mut wrong);
        for (name, attributes) in [
            ("CustomUserAttributes", &self.custom_user_attributes),
            ("CustomGroupAttributes", &self.custom_group_attributes),
        ] {
            for attribute in attributes.iter().filter(|name| !is_property_name(name)) {
                wrong.push(format!(
                    "{name}: {:?} is no property name",
                    attribute.chars().take(60).collect::<String>()
                ));
            }
        }
        if self.request_window_days > LONGEST_REQUEST_WINDOW_DAYS {
            wrong.push(format!(
                "RequestWindowDays (--request-window-days) must be at most {LONGEST_REQUEST_WINDOW_DAYS}"
            ));
        }
        wrong
    }
}

fn none_or(wrong: Vec<String>) -> Result<(), ConfigError> {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Invalid(wrong))
    }
}

fn is_tenant_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.')
}

/// A property of Graph, such as `employeeHireDate` or `extension_2d7e_badgeNumber`.
fn is_property_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

/// Does what is sent there go over `https://`, or stay on this machine?
fn is_private(address: &Url) -> bool {
    let stays_here = match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return false,
    };
    address.scheme() == "https" || (address.scheme() == "http" && stays_here)
}

/// Secrets go over `https://`, or stay on this machine.
fn address_fault(address: &Url, allow_insecure_http: bool) -> Option<&'static str> {
    if !address.username().is_empty() || address.password().is_some() {
        return Some("must not hold a user name or password");
    }
    if address.query().is_some() || address.fragment().is_some() {
        return Some("must not hold a query");
    }
    if address.host().is_none() {
        return Some("must name a host");
    }
    match address.scheme() {
        "https" => None,
        "http" if is_private(address) || allow_insecure_http => None,
        "http" => Some("must start with https:// (or set Graph.AllowInsecureHttp)"),
        _ => Some("must start with https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CrawlConfig {
        let graph = GraphConfig::new(
            "contoso.example",
            "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142",
            "CANARY".to_owned().into(),
        );
        let register = RegisterConfig {
            base_url: "https://cadastre.example".parse().expect("url"),
            api_key: "fgc_CANARY".to_owned().into(),
        };
        CrawlConfig::new(graph, register)
    }

    #[test]
    fn a_good_configuration_is_accepted() {
        assert_eq!(config().validate(), Ok(()));
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let mut bad = config();
        bad.graph.tenant_id = "a/b".into();
        bad.graph.client_id = "me".into();
        bad.graph.base_url = "http://graph.example".parse().expect("url");
        bad.custom_user_attributes = vec!["a,b".into()];
        bad.request_window_days = u32::MAX;
        bad.register = None;
        let Err(ConfigError::Invalid(wrong)) = bad.validate() else {
            panic!("must be refused");
        };
        let all = wrong.join("\n");
        for named in [
            "Graph.TenantId",
            "Graph.ClientId",
            "Graph.BaseUrl",
            "CustomUserAttributes",
            "RequestWindowDays",
            "register",
        ] {
            assert!(all.contains(named), "{named} in {all}");
        }
        assert_eq!(wrong.len(), 6);
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_it_is_asked_for() {
        let fault = |text: &str, allow| address_fault(&text.parse().expect("url"), allow);
        assert_eq!(fault("http://127.0.0.1:8080", false), None);
        assert_eq!(fault("http://localhost:8080", false), None);
        assert!(fault("http://127.0.0.1.evil.example", false).is_some());
        assert!(fault("http://graph-sim:8080", false).is_some());
        assert_eq!(fault("http://graph-sim:8080", true), None);
        assert!(fault("https://u:p@graph.example", false).is_some());
    }

    #[test]
    fn debug_output_of_a_configuration_holds_no_secret() {
        assert!(!format!("{:?}", config()).contains("CANARY"));
    }
}
