//! Who holds what, and which resource contains which.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::ExtendedAttributes;
use crate::TypeName;

/// A principal (or a group, by `principalType`) holds a resource. Key: `resourceId`, `principalId`, `assignmentType`, `roleScope`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAssignment {
    /// The resource.
    pub resource_id: Option<Uuid>,
    /// Its external id, where `resourceId` is derived.
    #[schemars(length(max = 400))]
    pub resource_external_id: Option<String>,
    /// The principal.
    pub principal_id: Option<Uuid>,
    /// Its external id, where `principalId` is derived.
    #[schemars(length(max = 400))]
    pub principal_external_id: Option<String>,
    /// How it is held; see [`assignment_type`].
    pub assignment_type: TypeName,
    /// Where a role applies: `/` (everywhere, and when absent), `/administrativeUnits/…` or `/…`.
    #[schemars(length(max = 400))]
    pub role_scope: Option<String>,
    /// What holds it; `Group` for a nested group.
    pub principal_type: Option<TypeName>,
    /// What is held.
    pub resource_type: Option<TypeName>,
    /// The source's word for its state.
    #[schemars(length(max = 100))]
    pub state: Option<String>,
    /// Since when.
    pub start_date_time: Option<DateTime<Utc>>,
    /// Until when; absent for permanent.
    pub expiration_date_time: Option<DateTime<Utc>>,
    /// The assignment policy behind it.
    pub policy_id: Option<Uuid>,
    /// The source's key for the assignment itself.
    #[schemars(length(max = 400))]
    pub source_id: Option<String>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

impl ResourceAssignment {
    /// A record with its required fields; the others are absent.
    pub fn new(assignment_type: TypeName) -> Self {
        Self {
            resource_id: None,
            resource_external_id: None,
            principal_id: None,
            principal_external_id: None,
            assignment_type,
            role_scope: None,
            principal_type: None,
            resource_type: None,
            state: None,
            start_date_time: None,
            expiration_date_time: None,
            policy_id: None,
            source_id: None,
            extended_attributes: None,
        }
    }
}

/// How something is held.
pub mod assignment_type {
    use crate::TypeName;

    /// Held now: membership, active role, granted app role.
    pub const DIRECT: TypeName = TypeName::known("Direct");
    /// Held through something that the source resolved itself.
    pub const INDIRECT: TypeName = TypeName::known("Indirect");
    /// Can be activated (PIM).
    pub const ELIGIBLE: TypeName = TypeName::known("Eligible");
    /// Can change it and its members.
    pub const OWNER: TypeName = TypeName::known("Owner");
    /// Answers for it (agents), without any right to change it.
    pub const SPONSOR: TypeName = TypeName::known("Sponsor");
    /// Held through an access package.
    pub const GOVERNED: TypeName = TypeName::known("Governed");
    /// The time window of something held as `Direct` or `Owner`, where the source keeps it apart (PIM for Groups): since when,
    /// until when, and out of which eligibility. Gives no access of its own.
    pub const SCHEDULED: TypeName = TypeName::known("Scheduled");
    /// Delegated permission.
    pub const OAUTH2_GRANT: TypeName = TypeName::known("OAuth2Grant");
}

/// A resource contains, or gives, another. Key: `parentResourceId`, `childResourceId`, `relationshipType`, `roleName`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRelationship {
    /// The parent resource.
    pub parent_resource_id: Option<Uuid>,
    /// Its external id, where `parentResourceId` is derived.
    #[schemars(length(max = 400))]
    pub parent_resource_external_id: Option<String>,
    /// The child resource.
    pub child_resource_id: Option<Uuid>,
    /// Its external id, where `childResourceId` is derived.
    #[schemars(length(max = 400))]
    pub child_resource_external_id: Option<String>,
    /// See [`relationship_type`].
    pub relationship_type: TypeName,
    /// The role inside the child, such as `Member`; empty when absent.
    #[schemars(length(max = 400))]
    pub role_name: Option<String>,
    /// The source's key for the relationship itself.
    #[schemars(length(max = 400))]
    pub source_id: Option<String>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

impl ResourceRelationship {
    /// A record with its required fields; the others are absent.
    pub fn new(relationship_type: TypeName) -> Self {
        Self {
            parent_resource_id: None,
            parent_resource_external_id: None,
            child_resource_id: None,
            child_resource_external_id: None,
            relationship_type,
            role_name: None,
            source_id: None,
            extended_attributes: None,
        }
    }
}

/// How two resources belong together.
pub mod relationship_type {
    use crate::TypeName;

    /// The child is part of the parent (a package's contents).
    pub const CONTAINS: TypeName = TypeName::known("Contains");
    /// Who holds the parent reaches the child.
    pub const GRANTS_ACCESS_TO: TypeName = TypeName::known("GrantsAccessTo");
    /// The parent, an application, offers the child, one of its roles. Who holds the application does not hold its roles.
    pub const HAS_APP_ROLE: TypeName = TypeName::known("HasAppRole");
    /// The parent may act at the child on behalf of users.
    pub const DELEGATES_SCOPE: TypeName = TypeName::known("DelegatesScope");
}
