//! Departments, units, trees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::ExtendedAttributes;
use crate::TypeName;

/// Something that people or resources belong to. Key: `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// The source's GUID.
    pub id: Option<Uuid>,
    /// The source's own key, where that is no GUID.
    #[schemars(length(max = 400))]
    pub external_id: Option<String>,
    /// What it is, such as `Department`.
    pub context_type: TypeName,
    /// `synced` when absent; `calculated` when derived.
    #[schemars(length(max = 50))]
    pub variant: Option<String>,
    /// What its members are; `Identity` when absent.
    #[schemars(length(max = 50))]
    pub target_type: Option<String>,
    /// The name people know it by.
    #[schemars(length(min = 1, max = 1000))]
    pub display_name: String,
    /// What it is.
    #[schemars(length(max = 4000))]
    pub description: Option<String>,
    /// The context above it.
    pub parent_context_id: Option<Uuid>,
    /// Its external id, where `parentContextId` is derived.
    #[schemars(length(max = 400))]
    pub parent_context_external_id: Option<String>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

impl Context {
    /// A record with its required fields; the others are absent.
    pub fn new(context_type: TypeName, display_name: impl Into<String>) -> Self {
        Self {
            id: None,
            external_id: None,
            context_type,
            variant: None,
            target_type: None,
            display_name: display_name.into(),
            description: None,
            parent_context_id: None,
            parent_context_external_id: None,
            extended_attributes: None,
        }
    }
}

/// Something belongs to a context. Key: `contextId`, `memberId`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextMember {
    /// The context.
    pub context_id: Option<Uuid>,
    /// Its external id, where `contextId` is derived.
    #[schemars(length(max = 400))]
    pub context_external_id: Option<String>,
    /// The member.
    pub member_id: Option<Uuid>,
    /// Its external id, where `memberId` is derived.
    #[schemars(length(max = 400))]
    pub member_external_id: Option<String>,
    /// What the member is: `Identity`, `Principal` or `Resource`.
    #[schemars(length(min = 1, max = 50))]
    pub member_type: String,
    /// What the context is, such as `Department`; tells the loads of different kinds of context apart.
    pub context_type: Option<TypeName>,
    /// Everything else about it.
    pub extended_attributes: Option<ExtendedAttributes>,
}

/// The context types that Cadastre's own crawlers send.
pub mod context_type {
    use crate::TypeName;

    /// An administrative unit.
    pub const ADMINISTRATIVE_UNIT: TypeName = TypeName::known("AdministrativeUnit");
    /// A department.
    pub const DEPARTMENT: TypeName = TypeName::known("Department");
    /// Accounts that were deleted and can still be restored.
    pub const DELETED_USERS: TypeName = TypeName::known("DeletedUsers");
}
