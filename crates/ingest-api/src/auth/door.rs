//! The door: what a request shows, and whether it lets somebody in.

use std::time::Instant;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};

use super::{
    ApiKey, Caller,
    address::Origin,
    authenticate::{Answer, authenticate},
    gatekeeper::Outcome,
    notes::Notes,
};
use crate::{app::AppState, error::ApiError, people, request::CalledBy};

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
        let Some(key) = caller.key() else {
            return Ok(());
        };
        let (gatekeeper, key_id) = (&self.state.gatekeeper, key.key_id.as_str());
        if let Some(address) = self.origin.address {
            gatekeeper.welcome(address, key_id);
        }
        let allowance = key
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
            // A key, where there is one, says who calls; only without one a browser's cookie does.
            Shown::Nothing => return people::caller(state, parts, &origin).await,
            Shown::Nonsense => {
                door.is_open(None)?;
                return Err(door.refuse("", Outcome::Wrong));
            }
            Shown::Key(key) => key,
        };
        door.is_open(Some(&key.id))?;
        match authenticate(&state.pool, &key, &origin).await? {
            Answer::Works(caller) => {
                if let Some(called_by) = parts.extensions.get::<CalledBy>() {
                    called_by.note(&key.id);
                }
                door.enter(&caller, parts.extensions.get())?;
                Ok(*caller)
            }
            Answer::Refused(outcome) => Err(door.refuse(&key.id, outcome)),
        }
    }
}
