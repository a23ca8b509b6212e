//! Who is a person: a filter over the properties of users decides which of them become identities.
//!
//! In goes JSON, of a configuration file or a flag; out comes a checked [`IdentityFilter`] that says yes or no to a user.

mod filter;
mod preview;
mod rule;

pub use filter::{FilterError, IdentityFilter};
pub use preview::{IdentityPreview, UserSample};
use serde::{Deserialize, Serialize};

/// What makes accounts one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IdentityKey {
    /// Every account is a person of its own.
    #[default]
    Account,
    /// Accounts with the same `employeeId` are one person; those without are one each.
    EmployeeId,
}
