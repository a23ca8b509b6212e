//! Who can hold access.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::ExtendedAttributes;
use crate::TypeName;

/// Somebody or something that can hold access. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// `User` when absent; see [`principal_type`].
    pub principal_type: Option<TypeName>,
    /// The name people know it by.
    #[schemars(length(min = 1, max = 1000))]
    pub display_name: String,
    /// The sign-in name.
    #[schemars(length(max = 1000))]
    pub user_principal_name: Option<String>,
    /// The mail address.
    #[schemars(length(max = 1000))]
    pub email: Option<String>,
    /// First name.
    #[schemars(length(max = 400))]
    pub given_name: Option<String>,
    /// Last name.
    #[schemars(length(max = 400))]
    pub surname: Option<String>,
    /// Job title.
    #[schemars(length(max = 400))]
    pub job_title: Option<String>,
    /// Department.
    #[schemars(length(max = 400))]
    pub department: Option<String>,
    /// Company.
    #[schemars(length(max = 400))]
    pub company_name: Option<String>,
    /// The number that HR knows the person by.
    #[schemars(length(max = 400))]
    pub employee_id: Option<String>,
    /// Employee, contractor and so on.
    #[schemars(length(max = 400))]
    pub employee_type: Option<String>,
    /// Office.
    #[schemars(length(max = 400))]
    pub office_location: Option<String>,
    /// Country.
    #[schemars(length(max = 400))]
    pub country: Option<String>,
    /// The principal that is the manager.
    pub manager_id: Option<Uuid>,
    /// The manager's external id, where `managerId` is derived.
    #[schemars(length(max = 400))]
    pub manager_external_id: Option<String>,
    /// Can it sign in?
    pub account_enabled: Option<bool>,
    /// The application (client) id of a service principal.
    pub app_id: Option<Uuid>,
    /// When the source created it.
    pub created_date_time: Option<DateTime<Utc>>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

/// The principal types that Cadastre knows; others are kept too.
pub mod principal_type {
    use crate::TypeName;

    /// A member of the tenant.
    pub const USER: TypeName = TypeName::known("User");
    /// A guest.
    pub const EXTERNAL_USER: TypeName = TypeName::known("ExternalUser");
    /// An application's identity.
    pub const SERVICE_PRINCIPAL: TypeName = TypeName::known("ServicePrincipal");
    /// An Azure resource's identity.
    pub const MANAGED_IDENTITY: TypeName = TypeName::known("ManagedIdentity");
    /// A workload federated from elsewhere.
    pub const WORKLOAD_IDENTITY: TypeName = TypeName::known("WorkloadIdentity");
    /// An agent identity.
    pub const AI_AGENT: TypeName = TypeName::known("AIAgent");
    /// A mailbox without a person.
    pub const SHARED_MAILBOX: TypeName = TypeName::known("SharedMailbox");
    /// A group, where it holds something (only as the `principalType` of an assignment).
    pub const GROUP: TypeName = TypeName::known("Group");
}
