//! Users.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::SecurityAttributes;

/// Whether an account belongs to the organisation or was invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum UserType {
    /// An employee or a technical account.
    Member,
    /// An invited outsider.
    Guest,
}

impl UserType {
    /// The word Graph uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Guest => "Guest",
        }
    }
}

/// What an object synced from Active Directory carries in addition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnPremises {
    /// Base64 anchor of the source object (users only).
    pub immutable_id: Option<String>,
    /// `sAMAccountName`.
    pub sam_account_name: String,
    /// UPN in Active Directory (users only).
    pub user_principal_name: Option<String>,
    /// Distinguished name (users only).
    pub distinguished_name: Option<String>,
    /// DNS name of the domain.
    pub domain_name: String,
    /// `NetBIOS` name of the domain (groups only).
    pub net_bios_name: Option<String>,
    /// SID in Active Directory.
    pub security_identifier: String,
    /// Last time the object was synced.
    pub last_sync: DateTime<Utc>,
}

/// A licence a user or group holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct License {
    /// Id of the subscribed SKU's product.
    pub sku_id: Uuid,
    /// The group that hands it out; `None` = assigned directly.
    pub assigned_by_group: Option<Uuid>,
}

/// Last sign-ins; `None` = never, or before tracking began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SignInActivity {
    /// Last interactive attempt.
    pub last_sign_in: Option<DateTime<Utc>>,
    /// Last non-interactive attempt.
    pub last_non_interactive_sign_in: Option<DateTime<Utc>>,
    /// Last attempt that succeeded.
    pub last_successful_sign_in: Option<DateTime<Utc>>,
}

/// A user account. Field names follow Graph's property names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct User {
    /// Object id.
    pub id: Uuid,
    /// Sign-in name.
    pub user_principal_name: String,
    /// Name shown in lists.
    pub display_name: String,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub surname: Option<String>,
    /// Main mail address.
    pub mail: Option<String>,
    /// Mail alias.
    pub mail_nickname: Option<String>,
    /// Other addresses (guests: the home address).
    pub other_mails: Vec<String>,
    /// All addresses with their type prefix.
    pub proxy_addresses: Vec<String>,
    /// Member or guest.
    pub user_type: UserType,
    /// `None` is what Graph shows for some guests.
    pub account_enabled: Option<bool>,
    /// When the account was created.
    pub created: DateTime<Utc>,
    /// `Invitation` for guests.
    pub creation_type: Option<String>,
    /// `PendingAcceptance` or `Accepted` for guests.
    pub external_user_state: Option<String>,
    /// When that state changed.
    pub external_user_state_changed: Option<DateTime<Utc>>,
    /// Personnel number.
    pub employee_id: Option<String>,
    /// Employee, Contractor, Service …
    pub employee_type: Option<String>,
    /// First working day.
    pub employee_hire_date: Option<DateTime<Utc>>,
    /// Last working day (needs a permission of its own).
    pub employee_leave_date: Option<DateTime<Utc>>,
    /// Division in `employeeOrgData`.
    pub division: Option<String>,
    /// Cost centre in `employeeOrgData`.
    pub cost_center: Option<String>,
    /// Department.
    pub department: Option<String>,
    /// Job title.
    pub job_title: Option<String>,
    /// Company.
    pub company_name: Option<String>,
    /// Office.
    pub office_location: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// Two-letter country for licensing.
    pub usage_location: Option<String>,
    /// Language tag.
    pub preferred_language: Option<String>,
    /// Office phones.
    pub business_phones: Vec<String>,
    /// Mobile phone.
    pub mobile_phone: Option<String>,
    /// Present when synced from Active Directory.
    pub on_premises: Option<OnPremises>,
    /// `extensionAttribute1..15` that are set.
    pub extension_attributes: BTreeMap<u8, String>,
    /// Directory extension `…_badgeNumber`.
    pub badge_number: Option<String>,
    /// Licences.
    pub licenses: Vec<License>,
    /// Last password change.
    pub last_password_change: Option<DateTime<Utc>>,
    /// e.g. `DisablePasswordExpiration`.
    pub password_policies: Option<String>,
    /// Sessions before this moment are void.
    pub sign_in_sessions_valid_from: Option<DateTime<Utc>>,
    /// Room and equipment accounts.
    pub is_resource_account: Option<bool>,
    /// In a restricted administrative unit.
    pub is_management_restricted: Option<bool>,
    /// The manager's object id.
    pub manager_id: Option<Uuid>,
    /// Last sign-ins.
    pub sign_in: Option<SignInActivity>,
    /// Custom security attributes (needs a permission of its own).
    pub security_attributes: SecurityAttributes,
}

impl User {
    /// Whether the account is an invited outsider.
    pub fn is_guest(&self) -> bool {
        self.user_type == UserType::Guest
    }
}
