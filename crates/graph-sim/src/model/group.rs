//! Groups.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::user::{License, OnPremises};

/// A group. Field names follow Graph's property names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Object id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Mail address of mail-enabled groups.
    pub mail: Option<String>,
    /// Whether it receives mail.
    pub mail_enabled: bool,
    /// Mail alias.
    pub mail_nickname: String,
    /// Whether it can carry permissions.
    pub security_enabled: bool,
    /// `Unified`, `DynamicMembership`.
    pub group_types: Vec<String>,
    /// `Public`, `Private`, `HiddenMembership`, or not set.
    pub visibility: Option<String>,
    /// Whether directory roles may be given to it.
    pub is_assignable_to_role: Option<bool>,
    /// Rule of a dynamic group.
    pub membership_rule: Option<String>,
    /// `On` or `Paused` for dynamic groups.
    pub membership_rule_processing_state: Option<String>,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// When it was renewed.
    pub renewed: Option<DateTime<Utc>>,
    /// When it expires.
    pub expiration: Option<DateTime<Utc>>,
    /// Free classification.
    pub classification: Option<String>,
    /// Present when synced from Active Directory.
    pub on_premises: Option<OnPremises>,
    /// All addresses with their type prefix.
    pub proxy_addresses: Vec<String>,
    /// Contains `Team` for a team.
    pub resource_provisioning_options: Vec<String>,
    /// Licences the group hands out.
    pub licenses: Vec<License>,
    /// In a restricted administrative unit.
    pub is_management_restricted: Option<bool>,
}

impl Group {
    /// Microsoft 365 group.
    pub fn is_unified(&self) -> bool {
        self.group_types.iter().any(|kind| kind == "Unified")
    }

    /// Members follow from a rule.
    pub fn is_dynamic(&self) -> bool {
        self.group_types
            .iter()
            .any(|kind| kind == "DynamicMembership")
    }

    /// Directory roles may be given to it.
    pub fn is_role_assignable(&self) -> bool {
        self.is_assignable_to_role == Some(true)
    }

    /// Members are shown only to callers with `Member.Read.Hidden`.
    pub fn hides_members(&self) -> bool {
        self.visibility.as_deref() == Some("HiddenMembership")
    }
}
