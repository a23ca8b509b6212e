//! The settings of a crawler: what its configuration file holds, in camelCase and without secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::CrawlMode;

/// An address, such as `https://graph.microsoft.com`.
pub type ApiAddress = String;

/// Is it what stands for absence?
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a crawler of Microsoft Entra ID reads and how. What is absent has its default.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CrawlerSettings {
    /// The tenant and how to sign in.
    #[serde(skip_serializing_if = "is_default")]
    pub graph: GraphSettings,
    /// The way out.
    #[serde(skip_serializing_if = "is_default")]
    pub network: NetworkSettings,
    /// What to read.
    #[serde(skip_serializing_if = "is_default")]
    pub sync: SyncSettings,
    /// How a job that does not say it reads; `auto` unless it is said.
    pub mode: Option<CrawlMode>,
    /// How often everything is read in any case, such as `7d`.
    #[schemars(regex(pattern = r"^[0-9]{1,10}[mhd]$"))]
    pub full_read_every: Option<String>,
    /// How often that is read which Graph does not tell the changes of, such as `20h`.
    #[schemars(regex(pattern = r"^[0-9]{1,10}[mhd]$"))]
    pub untold_read_every: Option<String>,
    /// Further user properties.
    #[schemars(
        length(max = 200),
        inner(regex(pattern = r"^[A-Za-z][A-Za-z0-9_.]{0,127}$"))
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_user_attributes: Vec<String>,
    /// Further group properties.
    #[schemars(
        length(max = 200),
        inner(regex(pattern = r"^[A-Za-z][A-Za-z0-9_.]{0,127}$"))
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_group_attributes: Vec<String>,
    /// Days back to which requests for access packages are read.
    #[schemars(range(max = 36_500))]
    pub request_window_days: Option<u32>,
    /// Read members, owners and what else hangs on objects by sweeps of their lists, where that can be all.
    pub sweeps: Option<bool>,
    /// Which users become identities: conditions and groups of them (docs/crawling.md).
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub identity_filter: Option<Value>,
    /// What makes accounts one person.
    pub identity_key: Option<IdentityKeySetting>,
}

/// The tenant and how to sign in.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GraphSettings {
    /// The tenant's id or a domain name of it.
    #[schemars(regex(pattern = r"^[A-Za-z0-9.-]{1,253}$"))]
    pub tenant_id: Option<String>,
    /// The application (client) id.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub client_id: Option<String>,
    /// How to sign in.
    #[serde(skip_serializing_if = "is_default")]
    pub sign_in: SignInSettings,
    /// The cloud: presets for the addresses below.
    pub cloud: Option<EntraCloud>,
    /// Where Graph is.
    #[schemars(length(max = 2_000))]
    pub base_url: Option<ApiAddress>,
    /// Where tokens are issued.
    #[schemars(length(max = 2_000))]
    pub login_base_url: Option<ApiAddress>,
    /// What tokens are asked for, where that is not the address of Graph.
    #[schemars(length(max = 2_000))]
    pub resource: Option<ApiAddress>,
    /// Allow addresses of other machines without TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_insecure_http: bool,
}

/// How to sign in. Files are on the worker's machine.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SignInSettings {
    /// The method; where it is not said, what is set says it.
    pub method: Option<EntraSignIn>,
    /// The certificate with its private key: PEM, or PFX (PKCS#12).
    #[schemars(length(min = 1, max = 4_096))]
    pub certificate_file: Option<String>,
    /// The private key, when it is in a PEM file of its own.
    #[schemars(length(min = 1, max = 4_096))]
    pub certificate_key_file: Option<String>,
    /// A file with a federated assertion.
    #[schemars(length(min = 1, max = 4_096))]
    pub federated_token_file: Option<String>,
    /// The audience that GitHub's assertion is made for.
    #[schemars(length(min = 1, max = 2_000))]
    pub federated_audience: Option<String>,
    /// A user-assigned managed identity, by client id.
    #[schemars(length(min = 1, max = 200))]
    pub managed_identity_client_id: Option<String>,
    /// A user-assigned managed identity, by object id.
    #[schemars(length(min = 1, max = 200))]
    pub managed_identity_object_id: Option<String>,
    /// A user-assigned managed identity, by Azure resource id.
    #[schemars(length(min = 1, max = 2_000))]
    pub managed_identity_resource_id: Option<String>,
    /// The instance metadata service, when it is not where Azure has it.
    #[schemars(length(max = 2_000))]
    pub imds_base_url: Option<ApiAddress>,
}

/// The way out. The proxy is a secret field: its address may hold a password.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkSettings {
    /// A PEM file of further trusted roots, on the worker's machine.
    #[schemars(length(min = 1, max = 4_096))]
    pub ca_file: Option<String>,
}

/// What to read; what is absent keeps its default.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SyncSettings {
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

/// A cloud whose addresses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntraCloud {
    /// The public cloud, US Government GCC included.
    Global,
    /// US Government L4 (GCC High).
    Usgov,
    /// US Government L5 (DoD).
    UsgovDod,
    /// China, operated by 21Vianet.
    China,
    /// France, operated by Bleu.
    Bleu,
    /// Germany, operated by Delos.
    Delos,
    /// The government of Singapore.
    Govsg,
}

/// A way of signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntraSignIn {
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

/// What makes accounts one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum IdentityKeySetting {
    /// Every account is a person of its own.
    Account,
    /// Accounts with the same `employeeId` are one person.
    EmployeeId,
}
