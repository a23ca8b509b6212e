//! The ways of signing in, as typed values: what each needs, and nothing that it does not.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;
use url::Url;

pub use crate::auth::{CertificateError, ClientCertificate};

/// Where a virtual machine asks for tokens; only reachable from within Azure.
pub const IMDS: &str = "http://169.254.169.254";
/// The audience that a federated credential expects unless it was set up otherwise.
pub const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// How the application proves who it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret.
    Secret(SecretString),
    /// A certificate whose private key signs an assertion.
    Certificate(ClientCertificate),
    /// An assertion of another identity provider (workload identity federation).
    Federated(AssertionSource),
    /// The platform hands out tokens by itself.
    ManagedIdentity(ManagedIdentity),
}

impl Credential {
    /// The name of the method in configuration files, flags and reports.
    pub fn method(&self) -> SignInMethod {
        match self {
            Self::Secret(_) => SignInMethod::Secret,
            Self::Certificate(_) => SignInMethod::Certificate,
            Self::Federated(AssertionSource::File(_)) => SignInMethod::Federated,
            Self::Federated(AssertionSource::GitHub { .. }) => SignInMethod::Github,
            Self::ManagedIdentity(_) => SignInMethod::ManagedIdentity,
        }
    }
}

/// A way of signing in, by name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum SignInMethod {
    /// A client secret.
    Secret,
    /// A certificate.
    Certificate,
    /// A token file of another identity provider, such as Kubernetes'.
    Federated,
    /// GitHub's OIDC inside a workflow.
    Github,
    /// A managed identity.
    ManagedIdentity,
}

impl SignInMethod {
    /// The name in configuration files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Federated => "federated",
            Self::Github => "github",
            Self::ManagedIdentity => "managed-identity",
        }
    }
}

/// Where a federated assertion comes from. It is fetched anew for every token.
#[derive(Clone)]
pub enum AssertionSource {
    /// A file that somebody else keeps fresh.
    File(PathBuf),
    /// GitHub's token service, known to a workflow with `id-token: write`.
    GitHub {
        /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
        request_url: Url,
        /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
        request_token: SecretString,
        /// For whom the assertion is.
        audience: String,
    },
}

impl fmt::Debug for AssertionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            // The address names the run; the host says enough.
            Self::GitHub { request_url, .. } => f
                .debug_tuple("GitHub")
                .field(&request_url.host_str())
                .finish(),
        }
    }
}

/// A managed identity and who hands out its tokens.
#[derive(Debug, Clone)]
pub struct ManagedIdentity {
    /// Which one, when it is user-assigned; `None` is the system-assigned one.
    pub id: Option<ManagedIdentityId>,
    /// Who hands out tokens here.
    pub endpoint: ManagedIdentityEndpoint,
}

/// A user-assigned managed identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagedIdentityId {
    /// By its client id.
    Client(String),
    /// By its object (principal) id.
    Object(String),
    /// By its Azure resource id.
    Resource(String),
}

/// Who hands out a managed identity's tokens.
#[derive(Debug, Clone)]
pub enum ManagedIdentityEndpoint {
    /// The instance metadata service of virtual machines, scale sets and AKS nodes.
    Imds(Url),
    /// App Service, Functions, Container Apps.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        url: Url,
        /// `IDENTITY_HEADER`.
        header: SecretString,
    },
}
