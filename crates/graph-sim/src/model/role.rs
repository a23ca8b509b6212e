//! Directory roles, who holds them, and who may activate them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::link::MemberKind;

/// A directory role definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleDefinition {
    /// Id; equals `template_id` for built-in roles.
    pub id: Uuid,
    /// Template id.
    pub template_id: Uuid,
    /// Name.
    pub display_name: String,
    /// What it allows.
    pub description: String,
    /// Made by Microsoft.
    pub is_built_in: bool,
    /// Can be assigned.
    pub is_enabled: bool,
    /// Counted as privileged (Graph shows it on beta only).
    pub is_privileged: bool,
    /// Allowed actions.
    pub actions: Vec<String>,
}

/// Whether an active assignment is standing or was activated through PIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum AssignmentType {
    /// Standing.
    Assigned,
    /// Activated out of an eligibility.
    Activated,
}

impl AssignmentType {
    /// The word Graph uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "Assigned",
            Self::Activated => "Activated",
        }
    }
}

/// A role held now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleAssignment {
    /// Assignment id (not a GUID).
    pub id: String,
    /// Who holds it.
    pub principal_id: Uuid,
    /// What the holder is.
    pub principal_kind: MemberKind,
    /// Which role.
    pub role_definition_id: Uuid,
    /// `/` or `/administrativeUnits/{id}`.
    pub directory_scope_id: String,
    /// Standing or activated.
    pub assignment_type: AssignmentType,
    /// Since when; `None` for standing ones made outside PIM.
    pub start: Option<DateTime<Utc>>,
    /// Until when; `None` = permanent.
    pub end: Option<DateTime<Utc>>,
}

/// A role that may be activated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleEligibility {
    /// Id of the schedule.
    pub id: Uuid,
    /// Id of its instance (not a GUID).
    pub instance_id: String,
    /// Who is eligible.
    pub principal_id: Uuid,
    /// What the principal is.
    pub principal_kind: MemberKind,
    /// For which role.
    pub role_definition_id: Uuid,
    /// `/` or `/administrativeUnits/{id}`.
    pub directory_scope_id: String,
    /// When it was set up.
    pub created: DateTime<Utc>,
    /// From when.
    pub start: DateTime<Utc>,
    /// Until when; `None` = permanent.
    pub end: Option<DateTime<Utc>>,
}

/// Which relation to a group is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupAccess {
    /// Member.
    Member,
    /// Owner.
    Owner,
}

impl GroupAccess {
    /// The word Graph uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Owner => "owner",
        }
    }
}

/// A group membership or ownership that may be activated (PIM for Groups).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupEligibility {
    /// Id of the instance: `{groupId}_{access}_{guid}`.
    pub id: String,
    /// Id of its schedule, same form.
    pub schedule_id: String,
    /// The group.
    pub group_id: Uuid,
    /// Who is eligible.
    pub principal_id: Uuid,
    /// What the principal is.
    pub principal_kind: MemberKind,
    /// Member or owner.
    pub access: GroupAccess,
    /// When it was set up.
    pub created: DateTime<Utc>,
    /// From when.
    pub start: DateTime<Utc>,
    /// Until when; `None` = permanent.
    pub end: Option<DateTime<Utc>>,
}
