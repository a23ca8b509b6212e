//! Conditional access: policies and the locations that they name.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// A conditional access policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConditionalAccessPolicy {
    /// Object id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// `enabled`, `disabled` or `enabledForReportingButNotEnforced`.
    pub state: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub modified: Option<DateTime<Utc>>,
    /// Groups that it applies to; nobody named means all users.
    pub include_groups: Vec<Uuid>,
    /// Users that it does not apply to.
    pub exclude_users: Vec<Uuid>,
    /// Locations that it does not apply in.
    pub exclude_locations: Vec<Uuid>,
    /// What it asks for, such as `mfa`.
    pub controls: Vec<String>,
}

/// Where a named location is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Place {
    /// Ranges of addresses.
    Addresses {
        /// In CIDR notation.
        ranges: Vec<String>,
        /// Sign-ins from there count as safe.
        is_trusted: bool,
    },
    /// Countries.
    Countries {
        /// Two letters each.
        countries: Vec<String>,
    },
}

/// A named location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedLocation {
    /// Object id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Where it is.
    pub place: Place,
}

/// A domain name of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// The name, which is its id.
    pub name: String,
    /// New users get it.
    pub is_default: bool,
    /// The one that the tenant began with.
    pub is_initial: bool,
    /// The tenant has proved that it owns it.
    pub is_verified: bool,
    /// `Managed` or `Federated`.
    pub authentication_type: String,
}

/// A user in the recycle bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeletedUser {
    /// Object id.
    pub id: Uuid,
    /// When it was deleted.
    pub deleted: DateTime<Utc>,
    /// Name.
    pub display_name: String,
    /// Sign-in name before the deletion.
    pub user_principal_name: String,
    /// Mail address.
    pub mail: Option<String>,
    /// `Member` or `Guest`.
    pub user_type: &'static str,
    /// Personnel number.
    pub employee_id: Option<String>,
}

/// Custom security attributes: values by name, by set.
pub type SecurityAttributes =
    std::collections::BTreeMap<String, std::collections::BTreeMap<String, Value>>;
