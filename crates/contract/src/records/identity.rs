//! The people behind principals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::ExtendedAttributes;

/// A person. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// The name people know it by.
    #[schemars(length(min = 1, max = 1000))]
    pub display_name: String,
    /// The mail address.
    #[schemars(length(max = 1000))]
    pub email: Option<String>,
    /// First name.
    #[schemars(length(max = 400))]
    pub given_name: Option<String>,
    /// Last name.
    #[schemars(length(max = 400))]
    pub surname: Option<String>,
    /// The number that HR knows the person by.
    #[schemars(length(max = 400))]
    pub employee_id: Option<String>,
    /// Job title.
    #[schemars(length(max = 400))]
    pub job_title: Option<String>,
    /// Department.
    #[schemars(length(max = 400))]
    pub department: Option<String>,
    /// Company.
    #[schemars(length(max = 400))]
    pub company_name: Option<String>,
    /// The principal that stands for the person.
    pub primary_principal_id: Option<Uuid>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

/// A principal belongs to a person. Key: `identityId`, `principalId`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityMember {
    /// The identity.
    pub identity_id: Option<Uuid>,
    /// Its external id, where `identityId` is derived.
    #[schemars(length(max = 400))]
    pub identity_external_id: Option<String>,
    /// The principal.
    pub principal_id: Option<Uuid>,
    /// Its external id, where `principalId` is derived.
    #[schemars(length(max = 400))]
    pub principal_external_id: Option<String>,
    /// Is it the account that stands for the person?
    pub is_primary: Option<bool>,
    /// What the account is for.
    #[schemars(length(max = 100))]
    pub account_type: Option<String>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}
