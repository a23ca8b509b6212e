//! How values look on the wire.

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::model::{AppRole, Credential, License, OnPremises, RequestedAccess};

/// An id as lists show it.
pub(crate) fn id(id: Uuid) -> Value {
    Value::String(id.to_string())
}

/// An id as references show it: one in sixteen comes in capitals, because the
/// case of ids varies and clients must not care.
pub(crate) fn varied_id(id: Uuid) -> Value {
    let text = id.to_string();
    let in_capitals = id.as_u128() & 0xf == 5;
    Value::String(if in_capitals {
        text.to_uppercase()
    } else {
        text
    })
}

pub(crate) fn text(value: Option<&String>) -> Value {
    value.map_or(Value::Null, |text| Value::String(text.clone()))
}

/// A moment with as many fractional digits as it needs, up to seven.
pub(crate) fn time(moment: DateTime<Utc>) -> Value {
    let nanoseconds = moment.nanosecond();
    let mut text = moment.to_rfc3339_opts(SecondsFormat::Secs, true);
    if nanoseconds > 0 {
        let digits = format!("{nanoseconds:09}");
        text.pop();
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
        text.push('Z');
    }
    Value::String(text)
}

pub(crate) fn maybe_time(moment: Option<DateTime<Utc>>) -> Value {
    moment.map_or(Value::Null, time)
}

pub(crate) fn on_premises<T: Into<Value>>(
    source: Option<&OnPremises>,
    get: impl Fn(&OnPremises) -> Option<T>,
) -> Value {
    source.and_then(get).map_or(Value::Null, Into::into)
}

pub(crate) fn licenses(licenses: &[License]) -> Value {
    licenses
        .iter()
        .map(|license| json!({"skuId": license.sku_id, "disabledPlans": []}))
        .collect()
}

pub(crate) fn license_states(licenses: &[License]) -> Value {
    licenses
        .iter()
        .map(|license| {
            json!({
                "skuId": license.sku_id,
                "disabledPlans": [],
                "assignedByGroup": license.assigned_by_group,
                "state": "Active",
                "error": "None",
            })
        })
        .collect()
}

pub(crate) fn app_roles(roles: &[AppRole]) -> Value {
    roles
        .iter()
        .map(|role| {
            json!({
                "id": role.id,
                "allowedMemberTypes": role.allowed_member_types,
                "displayName": role.display_name,
                "description": role.description,
                "isEnabled": role.is_enabled,
                "origin": "Application",
                "value": role.value,
            })
        })
        .collect()
}

pub(crate) fn requested_access(requested: &[RequestedAccess]) -> Value {
    let entry = |id: &Uuid, kind: &str| json!({"id": id, "type": kind});
    requested
        .iter()
        .map(|one| {
            let roles = one.roles.iter().map(|id| entry(id, "Role"));
            let scopes = one.scopes.iter().map(|id| entry(id, "Scope"));
            json!({
                "resourceAppId": one.resource_app_id,
                "resourceAccess": roles.chain(scopes).collect::<Vec<Value>>(),
            })
        })
        .collect()
}

pub(crate) fn secrets(credentials: &[Credential]) -> Value {
    credentials
        .iter()
        .map(|credential| {
            let mut entry = credential_base(credential);
            entry.insert("hint".to_owned(), text(credential.hint.as_ref()));
            entry.insert("secretText".to_owned(), Value::Null);
            Value::Object(entry)
        })
        .collect()
}

pub(crate) fn certificates(credentials: &[Credential]) -> Value {
    credentials
        .iter()
        .map(|credential| {
            let mut entry = credential_base(credential);
            entry.insert("type".to_owned(), json!("AsymmetricX509Cert"));
            entry.insert("usage".to_owned(), json!("Verify"));
            entry.insert("key".to_owned(), Value::Null);
            Value::Object(entry)
        })
        .collect()
}

fn credential_base(credential: &Credential) -> Map<String, Value> {
    Map::from_iter([
        ("keyId".to_owned(), id(credential.key_id)),
        (
            "displayName".to_owned(),
            text(credential.display_name.as_ref()),
        ),
        ("customKeyIdentifier".to_owned(), Value::Null),
        ("startDateTime".to_owned(), time(credential.start)),
        ("endDateTime".to_owned(), time(credential.end)),
    ])
}

/// The security identifier Entra derives from an object id.
pub(crate) fn security_identifier(id: Uuid) -> Value {
    let bytes = id.to_bytes_le();
    let parts: Vec<String> = bytes
        .chunks_exact(4)
        .map(|part| {
            part.iter()
                .rev()
                .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte))
                .to_string()
        })
        .collect();
    Value::String(format!("S-1-12-1-{}", parts.join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_shows_only_the_digits_it_has() {
        let whole = DateTime::from_timestamp(1_780_293_600, 0).expect("valid");
        let tenth = DateTime::from_timestamp(1_780_293_600, 100_000_000).expect("valid");
        let seven = DateTime::from_timestamp(1_780_293_600, 123_456_700).expect("valid");
        assert_eq!(time(whole), "2026-06-01T06:00:00Z");
        assert_eq!(time(tenth), "2026-06-01T06:00:00.1Z");
        assert_eq!(time(seven), "2026-06-01T06:00:00.1234567Z");
    }

    #[test]
    fn a_security_identifier_spells_the_object_id() {
        let id = Uuid::parse_str("1b9f2c74-6a0d-4f3e-8c15-90d2a7e4b611").expect("valid");
        assert_eq!(
            security_identifier(id),
            "S-1-12-1-463416436-1329490445-3532658060-297198759"
        );
    }
}
