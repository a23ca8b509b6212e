//! People: who is signed in, what gives them their role, and their personal tokens.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::{Permission, SystemId};

/// What a person may do; each role may do what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at the register.
    Viewer,
    /// Ask for crawls, too.
    Contributor,
    /// Everything but what only programs do.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Contributor, Self::Admin];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
            Self::Admin => "admin",
        }
    }

    /// The permissions that come with it. Loading, claiming jobs and SCIM are for keys alone.
    pub const fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Viewer | Self::Contributor => &[Permission::Read],
            Self::Admin => &[Permission::Read, Permission::Admin, Permission::Schema],
        }
    }
}

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignedInBy {
    /// At the provider.
    Provider,
    /// By the one-time link for the first admin.
    Bootstrap,
    /// By a personal token.
    Token,
}

/// Answer of `GET /api/me`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The account.
    pub account_id: Uuid,
    /// The person's name.
    pub display_name: String,
    /// What the person may do now; absent for nothing.
    pub role: Option<Role>,
    /// How this call is signed in.
    pub signed_in_by: SignedInBy,
    /// What calls that change something send as `X-CSRF-Token`; absent for tokens, which need none.
    pub csrf_token: Option<String>,
}

/// Body of `POST /api/admin/role-mappings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRoleMapping {
    /// The system of the group.
    pub system_id: SystemId,
    /// The group.
    pub resource_id: Uuid,
    /// What its members may do, at whatever depth of nested groups.
    pub role: Role,
}

/// Body of `PATCH /api/admin/role-mappings/{mappingId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateRoleMapping {
    /// What the members may do from now on.
    pub role: Role,
}

/// Members of which group have which role.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleMapping {
    /// The mapping.
    pub mapping_id: Uuid,
    /// The system of the group.
    pub system_id: SystemId,
    /// The group.
    pub resource_id: Uuid,
    /// Its name; absent when the group is not in the register (any more), and the mapping gives nothing.
    pub display_name: Option<String>,
    /// What its members may do.
    pub role: Role,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
}

/// Body of `POST /api/me/tokens`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateToken {
    /// What the token is for, in people's words.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// When it stops working; 90 days from now when absent, a year at most.
    pub expires_at: Option<DateTime<Utc>>,
    /// The addresses and networks (`10.1.0.0/16`, `2001:db8::/32`) that it works from; everywhere when absent.
    #[schemars(length(min = 1, max = 100))]
    pub allowed_addresses: Option<Vec<String>>,
}
