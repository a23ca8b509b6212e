//! Entitlement management and access reviews.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::ExtendedAttributes;

/// A catalog of things that can be requested. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GovernanceCatalog {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// The name people know it by.
    #[schemars(length(min = 1, max = 1000))]
    pub display_name: String,
    /// What it is for.
    #[schemars(length(max = 16000))]
    pub description: Option<String>,
    /// The source's word for its kind.
    #[schemars(length(max = 100))]
    pub catalog_type: Option<String>,
    /// The source's word for its state.
    #[schemars(length(max = 100))]
    pub state: Option<String>,
    /// Can people outside the tenant request from it?
    pub is_externally_visible: Option<bool>,
    /// When the source created it.
    pub created_date_time: Option<DateTime<Utc>>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

/// A rule for who may request an access package and who approves. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentPolicy {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// The name people know it by.
    #[schemars(length(min = 1, max = 1000))]
    pub display_name: String,
    /// What it is for.
    #[schemars(length(max = 16000))]
    pub description: Option<String>,
    /// The access package.
    pub resource_id: Option<Uuid>,
    /// Its external id, where `resourceId` is derived.
    #[schemars(length(max = 400))]
    pub resource_external_id: Option<String>,
    /// Who may request.
    #[schemars(length(max = 100))]
    pub allowed_target_scope: Option<String>,
    /// When the source created it.
    pub created_date_time: Option<DateTime<Utc>>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

/// A request for an access package. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentRequest {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// The access package.
    pub resource_id: Option<Uuid>,
    /// Its external id, where `resourceId` is derived.
    #[schemars(length(max = 400))]
    pub resource_external_id: Option<String>,
    /// Who asked.
    pub requestor_id: Option<Uuid>,
    /// The policy that was asked under.
    pub policy_id: Option<Uuid>,
    /// Add, update, remove and by whom.
    #[schemars(length(max = 100))]
    pub request_type: Option<String>,
    /// Where it stands.
    #[schemars(length(max = 100))]
    pub state: Option<String>,
    /// The requestor's words.
    #[schemars(length(max = 16000))]
    pub justification: Option<String>,
    /// When it was made.
    pub created_date_time: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_date_time: Option<DateTime<Utc>>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

/// What a reviewer decided about an access. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificationDecision {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// What was reviewed.
    pub resource_id: Option<Uuid>,
    /// Its external id, where `resourceId` is derived.
    #[schemars(length(max = 400))]
    pub resource_external_id: Option<String>,
    /// Whose access was reviewed.
    pub principal_id: Option<Uuid>,
    /// Its external id, where `principalId` is derived.
    #[schemars(length(max = 400))]
    pub principal_external_id: Option<String>,
    /// Approve, Deny, NotReviewed and so on.
    #[schemars(length(max = 100))]
    pub decision: Option<String>,
    /// What the source suggested.
    #[schemars(length(max = 100))]
    pub recommendation: Option<String>,
    /// The reviewer's words.
    #[schemars(length(max = 16000))]
    pub justification: Option<String>,
    /// Who decided.
    pub reviewed_by_id: Option<Uuid>,
    /// Their name.
    #[schemars(length(max = 1000))]
    pub reviewed_by_name: Option<String>,
    /// When.
    pub reviewed_date_time: Option<DateTime<Utc>>,
    /// The review definition.
    #[schemars(length(max = 400))]
    pub review_id: Option<String>,
    /// Its instance.
    #[schemars(length(max = 400))]
    pub review_instance_id: Option<String>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}
