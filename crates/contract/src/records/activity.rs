//! Last sign-ins.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::ExtendedAttributes;
use crate::TypeName;

/// When a principal was last seen doing something. Key: `principalId`, `resourceId`, `activityType`. Kept without history.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrincipalActivity {
    /// The principal.
    pub principal_id: Option<Uuid>,
    /// Its external id, where `principalId` is derived.
    #[schemars(length(max = 400))]
    pub principal_external_id: Option<String>,
    /// The resource.
    pub resource_id: Option<Uuid>,
    /// Its external id, where `resourceId` is derived.
    #[schemars(length(max = 400))]
    pub resource_external_id: Option<String>,
    /// What it did, such as `SignIn`.
    pub activity_type: TypeName,
    /// When it was last seen.
    pub last_activity_date_time: Option<DateTime<Utc>>,
    /// How often, where the source counts.
    pub activity_count: Option<i64>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

impl PrincipalActivity {
    /// A record with its required fields; the others are absent.
    pub fn new(activity_type: TypeName) -> Self {
        Self {
            principal_id: None,
            principal_external_id: None,
            resource_id: None,
            resource_external_id: None,
            activity_type,
            last_activity_date_time: None,
            activity_count: None,
            extended_attributes: None,
        }
    }
}

/// What principals do, as Cadastre's own crawlers tell it.
pub mod activity_type {
    use crate::TypeName;

    /// An interactive sign-in, successful or not.
    pub const SIGN_IN: TypeName = TypeName::known("SignIn");
    /// A sign-in that a client made on a user's behalf, successful or not.
    pub const NON_INTERACTIVE_SIGN_IN: TypeName = TypeName::known("NonInteractiveSignIn");
    /// A sign-in of either kind that succeeded.
    pub const SUCCESSFUL_SIGN_IN: TypeName = TypeName::known("SuccessfulSignIn");
}
