//! What a filter would do.

use serde::Serialize;
use uuid::Uuid;

/// How many users a filter makes identities, with some of both kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityPreview {
    /// Users and guests that were read: all there are.
    pub users: u64,
    /// Users that the filter lets through.
    pub matching: u64,
    /// Identities that they become: fewer, where several accounts are one person.
    pub identities: u64,
    /// Some of those that it lets through.
    pub matching_samples: Vec<UserSample>,
    /// Some of those that it does not.
    pub other_samples: Vec<UserSample>,
}

/// A user, so that a person can see what a filter does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserSample {
    /// Its id.
    pub id: Option<Uuid>,
    /// Its name.
    pub display_name: String,
    /// Its sign-in name.
    pub user_principal_name: Option<String>,
}
