//! How people sign in: flags and environment, checked at start, all faults at once.

use std::{path::PathBuf, sync::Arc, time::Duration};

use contract::SystemId;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// The client secret itself; from the environment only, for flags are seen by everybody.
const CLIENT_SECRET: &str = "CADASTRE_SIGN_IN_CLIENT_SECRET";
/// Longest lifetime of a session, in minutes: a week.
const MAX_MINUTES: i64 = 7 * 24 * 60;

/// Flags about the sign-in of people. Without an issuer nobody signs in.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SignInArgs {
    /// Where people reach this server, such as https://cadastre.example.org; needed unless it listens on this machine only.
    #[arg(long, env = "CADASTRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<Url>,
    /// The OpenID Connect provider: the issuer, as its discovery document names it.
    #[arg(long, env = "CADASTRE_SIGN_IN_ISSUER", value_name = "URL")]
    pub sign_in_issuer: Option<String>,
    /// The same for Microsoft Entra ID: the id of the tenant.
    #[arg(
        long,
        env = "CADASTRE_SIGN_IN_MICROSOFT_TENANT",
        value_name = "TENANT",
        conflicts_with = "sign_in_issuer"
    )]
    pub sign_in_microsoft_tenant: Option<uuid::Uuid>,
    /// The id under which the provider knows this server.
    #[arg(long, env = "CADASTRE_SIGN_IN_CLIENT_ID", value_name = "ID")]
    pub sign_in_client_id: Option<String>,
    /// A file with the client secret (or CADASTRE_SIGN_IN_CLIENT_SECRET); without one, the client is a public one.
    #[arg(long, env = "CADASTRE_SIGN_IN_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub sign_in_client_secret_file: Option<PathBuf>,
    /// What is asked of the provider, beside `openid`; several, separated by commas [default: profile,email].
    #[arg(
        long,
        env = "CADASTRE_SIGN_IN_SCOPES",
        value_name = "SCOPES",
        value_delimiter = ','
    )]
    pub sign_in_scopes: Vec<String>,
    /// Origins that the provider uses beside the issuer's own, for its keys and tokens; several, separated by commas.
    #[arg(
        long,
        env = "CADASTRE_SIGN_IN_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub sign_in_origins: Vec<Url>,
    /// Seconds by which the provider's clock may differ from ours [default: 60].
    #[arg(long, env = "CADASTRE_SIGN_IN_CLOCK_SKEW", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=300))]
    pub sign_in_clock_skew: Option<u32>,
    /// For providers that are no crawled Entra tenant: the claim that names the person's principal.
    #[arg(long, env = "CADASTRE_SIGN_IN_CLAIM", value_name = "CLAIM")]
    pub sign_in_claim: Option<String>,
    /// The column of principals that holds what the claim says.
    #[arg(long, env = "CADASTRE_SIGN_IN_COLUMN", value_name = "COLUMN")]
    pub sign_in_column: Option<LinkColumn>,
    /// The system of those principals.
    #[arg(long, env = "CADASTRE_SIGN_IN_SYSTEM", value_name = "ID")]
    pub sign_in_system: Option<SystemId>,
    /// Minutes without a call after which a session ends [default: 60].
    #[arg(long, env = "CADASTRE_SESSION_IDLE_MINUTES", value_name = "MINUTES", value_parser = clap::value_parser!(i64).range(1..=MAX_MINUTES))]
    pub session_idle_minutes: Option<i64>,
    /// Minutes after which a session ends whatever happens [default: 720].
    #[arg(long, env = "CADASTRE_SESSION_MINUTES", value_name = "MINUTES", value_parser = clap::value_parser!(i64).range(1..=MAX_MINUTES))]
    pub session_minutes: Option<i64>,
}

/// A column by which principals are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LinkColumn {
    /// The id.
    Id,
    /// The source's own id.
    ExternalId,
    /// The user principal name.
    UserPrincipalName,
    /// The mail address; counts only when the provider says that it is verified.
    Email,
    /// The number in the organisation.
    EmployeeId,
}

impl LinkColumn {
    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::ExternalId => "external_id",
            Self::UserPrincipalName => "user_principal_name",
            Self::Email => "email",
            Self::EmployeeId => "employee_id",
        }
    }
}

/// How accounts are led to principals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// `tid` and `oid` of Entra: the tenant of a system, and the id of the principal.
    Directory,
    /// A claim that equals a column.
    Claim {
        /// The claim.
        claim: String,
        /// The column.
        column: LinkColumn,
        /// The system.
        system_id: SystemId,
    },
    /// Nothing: nobody has a role.
    None,
}

/// The provider, and what we are to it.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// The issuer, letter for letter.
    pub issuer: String,
    /// Origins that are called: the issuer's and those that were added.
    pub origins: Vec<url::Origin>,
    /// Our id.
    pub client_id: String,
    /// Our secret.
    pub client_secret: Option<SecretString>,
    /// What is asked for, `openid` included.
    pub scopes: String,
    /// By how much its clock may differ.
    pub clock_skew: Duration,
    /// How accounts are led to principals.
    pub link: Link,
}

/// How people sign in, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where people reach this server.
    pub public_url: Option<Url>,
    /// The provider; without one nobody signs in by it.
    pub provider: Option<Arc<ProviderSettings>>,
    /// Minutes without a call after which a session ends.
    pub idle_minutes: i64,
    /// Minutes after which it ends whatever happens.
    pub lifetime_minutes: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            provider: None,
            idle_minutes: 60,
            lifetime_minutes: 720,
        }
    }
}

/// What is wrong with the settings, all of it.
#[derive(Debug, thiserror::Error)]
#[error("the settings of the sign-in are wrong: {}", .0.join("; "))]
pub struct SignInError(pub Vec<String>);

/// Is the address one of this machine's own?
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// May this be called: https, or http on this machine?
pub fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

impl SignInArgs {
    /// The settings, when nothing is wrong with them.
    pub fn checked(self) -> Result<Settings, SignInError> {
        let secret = std::env::var(CLIENT_SECRET).ok().map(SecretString::from);
        self.checked_with(secret)
    }

    /// The settings with a client secret, when nothing is wrong with them.
    pub fn checked_with(self, secret: Option<SecretString>) -> Result<Settings, SignInError> {
        let mut faults = Vec::new();
        let usual = Settings::default();
        if let Some(url) = &self.public_url {
            let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            if url.scheme() != "https" || !is_bare || !url.username().is_empty() {
                faults.push("--public-url must be https://host, without a path".into());
            }
        }
        let settings = Settings {
            public_url: self.public_url.clone(),
            idle_minutes: self.session_idle_minutes.unwrap_or(usual.idle_minutes),
            lifetime_minutes: self.session_minutes.unwrap_or(usual.lifetime_minutes),
            provider: self.provider(secret, &mut faults).map(Arc::new),
        };
        if faults.is_empty() {
            Ok(settings)
        } else {
            Err(SignInError(faults))
        }
    }

    fn provider(
        self,
        secret: Option<SecretString>,
        faults: &mut Vec<String>,
    ) -> Option<ProviderSettings> {
        let is_microsoft = self.sign_in_microsoft_tenant.is_some();
        // Flags are told apart by themselves; a file and a variable may each say one of them.
        if is_microsoft && self.sign_in_issuer.is_some() {
            faults
                .push("--sign-in-issuer and --sign-in-microsoft-tenant exclude each other".into());
        }
        let issuer = self.sign_in_issuer.clone().or_else(|| {
            let tenant = self.sign_in_microsoft_tenant?;
            Some(format!("https://login.microsoftonline.com/{tenant}/v2.0"))
        });
        let Some(issuer) = issuer else {
            if self.sign_in_client_id.is_some() {
                faults.push(
                    "--sign-in-client-id says nothing without --sign-in-issuer or --sign-in-microsoft-tenant".into(),
                );
            }
            return None;
        };
        let mut origins = Vec::new();
        match Url::parse(&issuer) {
            Ok(url) if is_safe(&url) => origins.push(url.origin()),
            _ => faults.push("--sign-in-issuer must be an https address".into()),
        }
        for url in &self.sign_in_origins {
            if is_safe(url) {
                origins.push(url.origin());
            } else {
                faults.push(format!("--sign-in-origins: {url} is no https address"));
            }
        }
        let client_id = self.sign_in_client_id.clone().filter(|id| !id.is_empty());
        if client_id.is_none() {
            faults.push("--sign-in-client-id is missing".into());
        }
        let client_secret = self.client_secret(secret, faults);
        let link = self.link(is_microsoft, faults);
        let wished = if self.sign_in_scopes.is_empty() {
            vec!["profile".to_owned(), "email".to_owned()]
        } else {
            self.sign_in_scopes
        };
        let mut scopes = vec!["openid".to_owned()];
        scopes.extend(wished.into_iter().filter(|scope| scope != "openid"));
        Some(ProviderSettings {
            issuer,
            origins,
            client_id: client_id?,
            client_secret,
            scopes: scopes.join(" "),
            clock_skew: Duration::from_secs(self.sign_in_clock_skew.unwrap_or(60).into()),
            link,
        })
    }

    fn client_secret(
        &self,
        secret: Option<SecretString>,
        faults: &mut Vec<String>,
    ) -> Option<SecretString> {
        let secret = match (&self.sign_in_client_secret_file, secret) {
            (Some(_), Some(_)) => {
                faults.push(format!(
                    "both --sign-in-client-secret-file and {CLIENT_SECRET} are set: keep one of them"
                ));
                return None;
            }
            (Some(path), None) => match std::fs::read_to_string(path) {
                Ok(text) => Some(SecretString::from(text.trim_end_matches(['\r', '\n']))),
                Err(error) => {
                    faults.push(format!("{}: {error}", path.display()));
                    return None;
                }
            },
            (None, secret) => secret,
        };
        // An empty secret is a mistake, not a public client.
        if secret
            .as_ref()
            .is_some_and(|secret| secret.expose_secret().trim().is_empty())
        {
            faults.push("the client secret is empty".into());
            return None;
        }
        secret
    }

    fn link(&self, is_microsoft: bool, faults: &mut Vec<String>) -> Link {
        match (
            &self.sign_in_claim,
            self.sign_in_column,
            self.sign_in_system,
        ) {
            (None, None, None) if is_microsoft => Link::Directory,
            (None, None, None) => Link::None,
            (Some(claim), Some(column), Some(system_id)) => Link::Claim {
                claim: claim.clone(),
                column,
                system_id,
            },
            _ => {
                faults.push(
                    "--sign-in-claim, --sign-in-column and --sign-in-system go together".into(),
                );
                Link::None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> SignInArgs {
        SignInArgs {
            sign_in_issuer: Some("https://login.example.org".into()),
            sign_in_client_id: Some("cadastre".into()),
            ..SignInArgs::default()
        }
    }

    #[test]
    fn every_fault_of_the_settings_is_told_at_once() {
        let wrong = SignInArgs {
            public_url: Some("http://cadastre.example.org".parse().expect("a URL")),
            sign_in_issuer: Some("http://login.example.org".into()),
            sign_in_claim: Some("email".into()),
            sign_in_client_id: None,
            ..args()
        };
        let error = wrong
            .checked_with(Some(" ".to_owned().into()))
            .expect_err("refused")
            .to_string();
        for part in [
            "--public-url",
            "--sign-in-issuer",
            "--sign-in-client-id",
            "--sign-in-claim",
            "secret is empty",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_tenant_of_microsoft_is_an_issuer_whose_people_are_its_directory() {
        let settings = SignInArgs {
            sign_in_issuer: None,
            sign_in_microsoft_tenant: Some(uuid::Uuid::from_u128(7)),
            ..args()
        }
        .checked_with(Some("s3cret".to_owned().into()))
        .expect("right");
        let provider = settings.provider.expect("a provider");
        assert_eq!(
            provider.issuer,
            "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000007/v2.0"
        );
        assert_eq!(provider.link, Link::Directory);
        assert_eq!(provider.scopes, "openid profile email");
        assert!(!format!("{provider:?}").contains("s3cret"));
    }

    #[test]
    fn nobody_signs_in_without_an_issuer() {
        let settings = SignInArgs::default().checked_with(None).expect("right");
        assert!(settings.provider.is_none());
    }
}
