//! What a worker found out about a source on somebody's behalf, without reading it into the register.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::JobKind;

/// Longest result of a job, in bytes of its JSON.
pub const MAX_RESULT_BYTES: usize = 256 * 1024;

/// What a job found out. Nothing of it is a secret; samples are what the tenant says of its users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum JobResult {
    /// What can be read, and what is missing.
    Check(Box<PermissionCheck>),
    /// The attributes of users.
    Discover(AttributesFound),
    /// What the identity filter does.
    Preview(IdentityPreview),
}

impl JobResult {
    /// The kind of job that finds this out.
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Check(_) => JobKind::Check,
            Self::Discover(_) => JobKind::Discover,
            Self::Preview(_) => JobKind::Preview,
        }
    }
}

/// Can everything that is selected be read?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CheckOutcome {
    /// All of it.
    Ready,
    /// Something is missing; the features say what.
    Missing,
    /// Something could not be found out, because Graph did not answer.
    Undecided,
}

/// Whether one feature can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FeatureStatus {
    /// It can.
    Granted,
    /// A permission is missing.
    Missing,
    /// The permission was granted after the token was issued.
    StaleToken,
    /// The tenant lacks the licence.
    Unlicensed,
    /// Graph does not know it in this cloud or tenant.
    Unavailable,
    /// Graph refuses although the permission is in the token.
    Refused,
    /// It could not be found out.
    Unknown,
}

/// What the application's service principal was granted, whatever the token says.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantsReport {
    /// The service principal's name.
    pub display_name: Option<String>,
    /// The permissions of Microsoft Graph assigned to it; absent when that could not be read.
    pub assigned: Option<Vec<String>>,
    /// Why not.
    pub unreadable_because: Option<String>,
    /// Assigned, but not in the token yet.
    pub not_in_token: Vec<String>,
    /// Permissions that allow changes: a crawler needs none of them.
    pub can_write: Vec<String>,
}

/// One feature of a crawl.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeatureCheck {
    /// Its name.
    pub feature: String,
    /// What people call it.
    pub title: String,
    /// Does the configuration ask for it?
    pub is_selected: bool,
    /// What selects it.
    pub selected_by: String,
    /// Can it be read?
    pub status: FeatureStatus,
    /// The permissions in the token that allow it.
    pub granted_by: Vec<String>,
    /// What to grant, least privileged.
    pub missing_permissions: Vec<String>,
    /// The licence that it needs.
    pub licence: Option<String>,
    /// More about it, in a sentence.
    pub detail: Option<String>,
}

/// What a crawler could read, and what is missing.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionCheck {
    /// The whole in a word.
    pub outcome: CheckOutcome,
    /// The tenant as configured.
    pub tenant_id: String,
    /// The application's client id.
    pub client_id: Option<String>,
    /// The cloud as configured.
    pub cloud: String,
    /// Where Graph is.
    pub graph: String,
    /// How the sign-in went.
    pub method: String,
    /// The permissions in the token; absent when it cannot be read.
    pub token_roles: Option<Vec<String>>,
    /// What the application was granted.
    pub grants: GrantsReport,
    /// What to grant so that everything selected can be read, each once.
    pub permissions_to_grant: Vec<String>,
    /// Each feature, those that are not selected too.
    pub features: Vec<FeatureCheck>,
}

/// Where an attribute comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum AttributeKind {
    /// One of the fifteen that come from Active Directory.
    OnPremisesExtension,
    /// A directory extension that an application registered.
    DirectoryExtension,
    /// A schema extension.
    SchemaExtension,
    /// A custom security attribute.
    Security,
    /// A property that needs a permission of its own.
    Guarded,
}

/// An attribute and what is known of its values.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributeFound {
    /// Its name among the extended attributes.
    pub name: String,
    /// Where it comes from.
    pub kind: AttributeKind,
    /// The type that its definition names, or its values have.
    pub value_type: String,
    /// What to name among the crawler's custom attributes of users to read it; absent when it is read in any case.
    pub select: Option<String>,
    /// Users of the sample that have a value.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub filled: u64,
    /// Up to three values, shortened.
    pub samples: Vec<String>,
    /// Why its values could not be looked at.
    pub unreadable: Option<String>,
}

/// The attributes of users that a tenant adds to Graph's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributesFound {
    /// Users that were looked at.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub sampled: u64,
    /// The attributes, by kind and name.
    pub attributes: Vec<AttributeFound>,
    /// What could not be found out, with the permission to grant.
    pub gaps: Vec<String>,
}

/// How many users a filter makes identities, with some of both kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityPreview {
    /// Users and guests that were read: all there are.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub users: u64,
    /// Users that the filter lets through.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub matching: u64,
    /// Identities that they become: fewer, where several accounts are one person.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub identities: u64,
    /// Some of those that it lets through.
    pub matching_samples: Vec<UserSample>,
    /// Some of those that it does not.
    pub other_samples: Vec<UserSample>,
}

/// A user, so that a person can see what a filter does.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserSample {
    /// Its id.
    pub id: Option<Uuid>,
    /// Its name.
    pub display_name: String,
    /// Its sign-in name.
    pub user_principal_name: Option<String>,
}
