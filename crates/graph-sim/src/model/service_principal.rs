//! Service principals and application registrations.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::RequestedAccess;

/// `servicePrincipalType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ServicePrincipalType {
    /// An application's local representation.
    Application,
    /// A managed identity of an Azure resource.
    ManagedIdentity,
    /// From before application registrations.
    Legacy,
    /// An agent identity.
    ServiceIdentity,
}

impl ServicePrincipalType {
    /// The word Graph uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "Application",
            Self::ManagedIdentity => "ManagedIdentity",
            Self::Legacy => "Legacy",
            Self::ServiceIdentity => "ServiceIdentity",
        }
    }
}

/// The subtype of servicePrincipal in Graph's type system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ServicePrincipalClass {
    /// Plain `#microsoft.graph.servicePrincipal`.
    Plain,
    /// `#microsoft.graph.agentIdentity`.
    AgentIdentity,
    /// `#microsoft.graph.agentIdentityBlueprintPrincipal`.
    AgentIdentityBlueprintPrincipal,
}

/// A role an application defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppRole {
    /// Role id, unique within the application.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// Value in the token; roles of galleries have none.
    pub value: Option<String>,
    /// What it allows.
    pub description: String,
    /// `User`, `Application`.
    pub allowed_member_types: Vec<String>,
    /// Whether it can be given.
    pub is_enabled: bool,
}

/// A client secret or a certificate, without its secret part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Key id.
    pub key_id: Uuid,
    /// Name.
    pub display_name: Option<String>,
    /// First characters of a client secret; `None` for certificates.
    pub hint: Option<String>,
    /// Valid from.
    pub start: DateTime<Utc>,
    /// Valid to.
    pub end: DateTime<Utc>,
}

/// A service principal. Field names follow Graph's property names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePrincipal {
    /// Object id.
    pub id: Uuid,
    /// Which subtype Graph reports.
    pub class: ServicePrincipalClass,
    /// Application id; agent identities have none.
    pub app_id: Option<Uuid>,
    /// Name.
    pub display_name: String,
    /// Name of the application.
    pub app_display_name: Option<String>,
    /// What kind it is.
    pub service_principal_type: ServicePrincipalType,
    /// Whether it can sign in.
    pub account_enabled: Option<bool>,
    /// The application that created it.
    pub created_by_app_id: Option<Uuid>,
    /// Tenant that owns the application.
    pub app_owner_organization_id: Option<Uuid>,
    /// Whether an assignment is needed to use it.
    pub app_role_assignment_required: bool,
    /// e.g. `AzureADMyOrg`.
    pub sign_in_audience: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Home page.
    pub homepage: Option<String>,
    /// Free notes.
    pub notes: Option<String>,
    /// Tags such as `WindowsAzureActiveDirectoryIntegratedApp`.
    pub tags: Vec<String>,
    /// Names by which it can be addressed.
    pub service_principal_names: Vec<String>,
    /// Managed identities: explicitness and the resource's id.
    pub alternative_names: Vec<String>,
    /// Redirect URIs.
    pub reply_urls: Vec<String>,
    /// Roles it defines.
    pub app_roles: Vec<AppRole>,
    /// Client secrets.
    pub password_credentials: Vec<Credential>,
    /// Certificates.
    pub key_credentials: Vec<Credential>,
    /// Blueprint of an agent identity.
    pub agent_identity_blueprint_id: Option<Uuid>,
    /// Creation time; Graph has it for agents only.
    pub created: Option<DateTime<Utc>>,
}

/// An application registration. Field names follow Graph's property names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Application {
    /// Object id.
    pub id: Uuid,
    /// Application id, shared with its service principal.
    pub app_id: Uuid,
    /// Whether it is a blueprint of agents.
    pub is_agent_blueprint: bool,
    /// Name.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was registered.
    pub created: DateTime<Utc>,
    /// e.g. `AzureADMyOrg`.
    pub sign_in_audience: String,
    /// Publisher's domain.
    pub publisher_domain: String,
    /// Identifier URIs.
    pub identifier_uris: Vec<String>,
    /// Reference into a service catalogue.
    pub service_management_reference: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Roles it defines.
    pub app_roles: Vec<AppRole>,
    /// Client secrets.
    pub password_credentials: Vec<Credential>,
    /// Certificates.
    pub key_credentials: Vec<Credential>,
    /// Redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Permissions it asks for.
    pub required_resource_access: Vec<RequestedAccess>,
}
