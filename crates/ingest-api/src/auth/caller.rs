//! The extractor of the calling key.

use std::time::Instant;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use contract::{KeyInfo, Permission, SystemId};

use super::{
    ApiKey,
    address::Origin,
    authenticate::{Answer, authenticate},
    gatekeeper::Outcome,
    life::Realm,
    notes::Notes,
};
use crate::{app::AppState, error::ApiError};

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
    /// Where the call came from.
    pub origin: Origin,
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

    /// The keys that the caller manages, where it may manage any.
    pub fn realm(&self) -> Realm<'_> {
        Realm {
            workspace_id: self.workspace_id,
            system_ids: self.key.system_ids.as_deref(),
        }
    }

    /// How the caller is named in the audit log.
    pub fn actor(&self) -> String {
        format!("key:{} ({})", self.key.key_id, self.key.name)
    }
}

/// What a request shows at the door.
enum Shown {
    /// Nothing.
    Nothing,
    /// Something that cannot be a key.
    Nonsense,
    /// A key in good form.
    Key(ApiKey),
}

fn shown(parts: &Parts) -> Shown {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = match (headers.next(), headers.next()) {
        (None, _) => return Shown::Nothing,
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Shown::Nonsense,
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, key)| ApiKey::parse(key))
        .map_or(Shown::Nonsense, Shown::Key)
}

/// A door for one request.
struct Door<'a> {
    state: &'a AppState,
    origin: &'a Origin,
    now: Instant,
}

impl Door<'_> {
    /// Refuses at once where too many keys were refused lately, without a look at this one.
    fn is_open(&self, key_id: Option<&str>) -> Result<(), ApiError> {
        let wait = self
            .origin
            .address
            .and_then(|address| self.state.gatekeeper.is_shut(address, key_id, self.now));
        wait.map_or(Ok(()), |seconds| Err(too_many_refused(seconds)))
    }

    /// Counts a key that was refused, and says what its holder may know of the reason.
    fn refuse(&self, key_id: &str, outcome: Outcome) -> ApiError {
        let gatekeeper = &self.state.gatekeeper;
        gatekeeper.note(key_id, outcome, self.origin.address);
        let wait = self
            .origin
            .address
            .and_then(|address| gatekeeper.refused(address, self.now));
        if let Some(seconds) = wait {
            return too_many_refused(seconds);
        }
        match outcome {
            Outcome::Expired => ApiError::KeyEnded("expired"),
            Outcome::Revoked => ApiError::KeyEnded("revoked"),
            Outcome::Elsewhere => ApiError::WrongAddress(self.origin.address),
            Outcome::Used | Outcome::Wrong | Outcome::Limited => ApiError::Unauthenticated,
        }
    }

    /// Counts a call with a key that works, and refuses it when there were too many.
    fn enter(&self, caller: &Caller, notes: Option<&Notes>) -> Result<(), ApiError> {
        let (gatekeeper, key_id) = (&self.state.gatekeeper, caller.key.key_id.as_str());
        if let Some(address) = self.origin.address {
            gatekeeper.welcome(address, key_id);
        }
        let allowance = caller
            .key
            .requests_per_minute
            .map(|limit| gatekeeper.allowance(key_id, limit, self.now));
        if let (Some(notes), Some(allowance)) = (notes, allowance) {
            notes.set(allowance);
        }
        let outcome = match allowance {
            Some(allowance) if !allowance.is_allowed => Outcome::Limited,
            _ => Outcome::Used,
        };
        gatekeeper.note(key_id, outcome, self.origin.address);
        match allowance {
            Some(allowance) if !allowance.is_allowed => Err(ApiError::TooMany {
                detail: format!("the key may be used {} times a minute", allowance.limit),
                seconds: allowance.seconds,
            }),
            _ => Ok(()),
        }
    }
}

fn too_many_refused(seconds: u32) -> ApiError {
    ApiError::TooMany {
        detail: "too many keys were refused to this address".into(),
        seconds,
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let state = &AppState::from_ref(state);
        let origin = parts
            .extensions
            .get::<Origin>()
            .cloned()
            .unwrap_or_default();
        let door = Door {
            state,
            origin: &origin,
            now: Instant::now(),
        };
        let key = match shown(parts) {
            Shown::Nothing => return Err(ApiError::Unauthenticated),
            Shown::Nonsense => {
                door.is_open(None)?;
                return Err(door.refuse("", Outcome::Wrong));
            }
            Shown::Key(key) => key,
        };
        door.is_open(Some(&key.id))?;
        match authenticate(&state.pool, &key, &origin).await? {
            Answer::Works(caller) => {
                door.enter(&caller, parts.extensions.get())?;
                Ok(*caller)
            }
            Answer::Refused(outcome) => Err(door.refuse(&key.id, outcome)),
        }
    }
}
