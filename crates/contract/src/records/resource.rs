//! What access is access to.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::ExtendedAttributes;
use crate::TypeName;

/// Something that can be held: a group, a role, an application, a package. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// What it is; see [`resource_type`]. `Resource` when absent.
    pub resource_type: Option<TypeName>,
    /// The name people know it by.
    #[schemars(length(min = 1, max = 1000))]
    pub display_name: String,
    /// What it is for.
    #[schemars(length(max = 16000))]
    pub description: Option<String>,
    /// Its mail address.
    #[schemars(length(max = 1000))]
    pub mail: Option<String>,
    /// Who sees it or its members.
    #[schemars(length(max = 100))]
    pub visibility: Option<String>,
    /// Is it in use?
    pub enabled: Option<bool>,
    /// Can the group hold directory roles?
    pub is_assignable_to_role: Option<bool>,
    /// The governance catalog that it is in.
    pub catalog_id: Option<Uuid>,
    /// The catalog's external id, where `catalogId` is derived.
    #[schemars(length(max = 400))]
    pub catalog_external_id: Option<String>,
    /// The application (client) id.
    pub app_id: Option<Uuid>,
    /// The built-in definition that it is a copy of (directory roles).
    pub template_id: Option<Uuid>,
    /// When the source created it.
    pub created_date_time: Option<DateTime<Utc>>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

/// The resource types that Cadastre's own crawlers send.
pub mod resource_type {
    use crate::TypeName;

    /// A group.
    pub const ENTRA_GROUP: TypeName = TypeName::known("EntraGroup");
    /// A directory role.
    pub const ENTRA_DIRECTORY_ROLE: TypeName = TypeName::known("EntraDirectoryRole");
    /// A role that an application offers.
    pub const ENTRA_APP_ROLE: TypeName = TypeName::known("EntraAppRole");
    /// An administrative unit.
    pub const ENTRA_ADMINISTRATIVE_UNIT: TypeName = TypeName::known("EntraAdministrativeUnit");
    /// An application as the tenant uses it: its service principal's id.
    pub const ENTRA_APPLICATION: TypeName = TypeName::known("EntraApplication");
    /// An application registration: what the application's owners configure, credentials included.
    pub const ENTRA_APP_REGISTRATION: TypeName = TypeName::known("EntraAppRegistration");
    /// An identity of another issuer that may sign in as an application.
    pub const ENTRA_FEDERATED_CREDENTIAL: TypeName = TypeName::known("EntraFederatedCredential");
    /// A conditional access policy.
    pub const ENTRA_CONDITIONAL_ACCESS_POLICY: TypeName =
        TypeName::known("EntraConditionalAccessPolicy");
    /// A location that conditional access policies name.
    pub const ENTRA_NAMED_LOCATION: TypeName = TypeName::known("EntraNamedLocation");
    /// An access package.
    pub const BUSINESS_ROLE: TypeName = TypeName::known("BusinessRole");
}
