//! Connected sources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::ExtendedAttributes;

/// A connected source. Its key is `systemType` + `tenantId`, or `systemType` + `displayName` where `tenantId` is absent.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// What it is, such as `EntraID`.
    #[schemars(length(min = 1, max = 100))]
    pub system_type: String,
    /// The source's own id for the tenant or instance.
    #[schemars(length(max = 200))]
    pub tenant_id: Option<String>,
    /// The name people know it by.
    #[schemars(length(min = 1, max = 1000))]
    pub display_name: String,
    /// What it is for.
    #[schemars(length(max = 4000))]
    pub description: Option<String>,
    /// Is it read at present?
    pub enabled: Option<bool>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}
