//! The extractor of the calling key.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use contract::{KeyInfo, Permission, SystemId};

use super::{ApiKey, store};
use crate::{app::AppState, error::ApiError, request::CalledBy};

/// Who calls: a key that exists, is not revoked and has not expired.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The workspace that the key belongs to; nothing outside it exists for the caller.
    pub workspace_id: i32,
    /// The key.
    pub key: KeyInfo,
    /// The key that this one came from by rotations, itself where there were none: what that one began is the caller's
    /// too.
    pub lineage: String,
}

impl Caller {
    /// Refuses a caller that lacks a permission.
    pub fn require(&self, permission: Permission) -> Result<(), ApiError> {
        if self.key.permissions.contains(&permission) {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!(
            "the key lacks the permission '{}'",
            permission.wire_name()
        )))
    }

    /// Refuses a caller that has none of some permissions; the last one is what it is told to lack.
    pub fn require_one_of(&self, permissions: &[Permission]) -> Result<(), ApiError> {
        let mut outcome = Ok(());
        for permission in permissions {
            outcome = self.require(*permission);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// May the key touch this system? Whether the system exists is another question.
    pub fn may_touch(&self, system_id: SystemId) -> bool {
        self.key
            .system_ids
            .as_ref()
            .is_none_or(|systems| systems.contains(&system_id))
    }

    /// How the caller is named in the audit log.
    pub fn actor(&self) -> String {
        format!("key:{} ({})", self.key.key_id, self.key.name)
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (headers.next(), headers.next()) else {
            return Err(ApiError::Unauthenticated);
        };
        let key = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, key)| ApiKey::parse(key))
            .ok_or(ApiError::Unauthenticated)?;
        let state = AppState::from_ref(state);
        let caller = store::authenticate(&state.pool, &key)
            .await?
            .ok_or(ApiError::Unauthenticated)?;
        if let Some(called_by) = parts.extensions.get::<CalledBy>() {
            called_by.note(&caller.key.key_id);
        }
        Ok(caller)
    }
}
