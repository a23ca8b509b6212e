//! Administrative units: users, groups and devices that are administered together.

use serde::Serialize;
use uuid::Uuid;

/// An administrative unit; role assignments can be scoped to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdministrativeUnit {
    /// Object id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// `HiddenMembership`, or nothing.
    pub visibility: Option<String>,
    /// The rule that its members follow from; without one they are assigned.
    pub membership_rule: Option<String>,
    /// Only administrators of the unit may change its members.
    pub is_member_management_restricted: bool,
    /// Devices in it, ascending. The tenant knows nothing else about them.
    pub devices: Vec<Uuid>,
}

impl AdministrativeUnit {
    /// Members are shown only to callers with `Member.Read.Hidden`.
    pub fn hides_members(&self) -> bool {
        self.visibility.as_deref() == Some("HiddenMembership")
    }
}
