//! Application registrations with the ends of their credentials, and the identities that they trust.

use contract::records::{Resource, resource_type};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Object, object::parse_date};

/// What is asked for.
pub(crate) const REGISTRATION_PROPERTIES: &[&str] = &[
    "id",
    "appId",
    "displayName",
    "description",
    "createdDateTime",
    "createdByAppId",
    "disabledByMicrosoftStatus",
    "groupMembershipClaims",
    "identifierUris",
    "isDisabled",
    "isFallbackPublicClient",
    "keyCredentials",
    "notes",
    "passwordCredentials",
    "publicClient",
    "publisherDomain",
    "requiredResourceAccess",
    "serviceManagementReference",
    "signInAudience",
    "spa",
    "tags",
    "verifiedPublisher",
    "web",
];
/// Enough to read what hangs on the registrations.
pub(crate) const REGISTRATION_NAMES: &[&str] = &["id", "displayName"];
/// What is asked for of a federated credential.
pub(crate) const FEDERATED_CREDENTIAL_PROPERTIES: &str =
    "id,name,issuer,subject,description,audiences";

/// Sent for every registration that may be read in full; without them, credentials would be taken for gone.
const ALWAYS_SENT: [&str; 5] = [
    "displayName",
    "appId",
    "passwordCredentials",
    "keyCredentials",
    "requiredResourceAccess",
];

/// What is kept of a client secret: no part of the secret itself, so not its hint either.
const OF_PASSWORDS: [&str; 4] = ["keyId", "displayName", "startDateTime", "endDateTime"];
/// What is kept of a certificate: everything but the key.
const OF_KEYS: [&str; 7] = [
    "keyId",
    "displayName",
    "type",
    "usage",
    "customKeyIdentifier",
    "startDateTime",
    "endDateTime",
];

/// A registration as a resource. `None` when Graph sent no usable object, or one that we may not read in full.
pub(crate) fn registration(value: Value) -> Option<Resource> {
    let (id, mut object) = Object::read(value)?;
    if !ALWAYS_SENT.iter().all(|name| object.has(name)) {
        return None;
    }
    let app_id = object.guid("appId");
    let passwords = credentials(&mut object, "passwordCredentials", &OF_PASSWORDS)?;
    let keys = credentials(&mut object, "keyCredentials", &OF_KEYS)?;
    let all = passwords.iter().chain(&keys);
    if let Some(end) = earliest_end(all) {
        object.add("earliestCredentialEndDateTime", end);
    }
    object.add("passwordCredentials", passwords);
    object.add("keyCredentials", keys);
    let requested = sorted_access(object.take("requiredResourceAccess"));
    object.add("requiredResourceAccess", requested);
    if let Some(kind) = object.odata_kind().filter(|kind| kind.starts_with("agent")) {
        let kind = kind.to_owned();
        object.add("agentKind", kind);
    }
    let named = object.text("displayName");
    let id_text = || app_id.unwrap_or(id).to_string();
    Some(Resource {
        id: Some(id),
        resource_type: Some(resource_type::ENTRA_APP_REGISTRATION),
        display_name: named.unwrap_or_else(id_text),
        description: object.text("description"),
        app_id,
        created_date_time: object.date("createdDateTime"),
        extended_attributes: object.rest(),
        ..Resource::default()
    })
}

/// The credentials in a fixed order, each with nothing but the named fields.
fn credentials(object: &mut Object, key: &str, kept: &[&str]) -> Option<Vec<Value>> {
    let Value::Array(all) = object.take(key)? else {
        return None;
    };
    let mut all: Vec<Value> = all
        .into_iter()
        .filter_map(|one| match one {
            Value::Object(mut fields) => {
                fields.retain(|name, _| kept.contains(&name.as_str()));
                Some(Value::Object(fields))
            }
            _ => None,
        })
        .collect();
    all.sort_by_cached_key(|one| one["keyId"].to_string());
    Some(all)
}

/// The end of the credential that ends first, as Graph wrote it.
fn earliest_end<'a>(credentials: impl Iterator<Item = &'a Value>) -> Option<String> {
    credentials
        .filter_map(|one| one["endDateTime"].as_str())
        .filter_map(|text| Some((parse_date(text)?, text)))
        .min_by_key(|(moment, _)| *moment)
        .map(|(_, text)| text.to_owned())
}

/// Graph promises no order of what is asked for.
fn sorted_access(requested: Option<Value>) -> Value {
    let Some(Value::Array(mut requested)) = requested else {
        return Value::Null;
    };
    for one in &mut requested {
        if let Some(Value::Array(wanted)) = one.get_mut("resourceAccess") {
            wanted.sort_by_cached_key(|one| (one["id"].to_string(), one["type"].to_string()));
        }
    }
    requested.sort_by_cached_key(|one| one["resourceAppId"].to_string());
    Value::Array(requested)
}

/// An identity of another issuer that may sign in as the application.
pub(crate) fn federated_credential(registration: Uuid, value: Value) -> Option<Resource> {
    let (id, mut object) = Object::read(value)?;
    if !object.has("issuer") || !object.has("subject") {
        return None;
    }
    let name = object.text("name");
    let description = object.text("description");
    let mut rest = object.rest().unwrap_or_else(Map::new);
    rest.insert("registrationId".to_owned(), registration.to_string().into());
    Some(Resource {
        id: Some(id),
        resource_type: Some(resource_type::ENTRA_FEDERATED_CREDENTIAL),
        display_name: name.unwrap_or_else(|| id.to_string()),
        description,
        extended_attributes: Some(rest),
        ..Resource::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "id": "f3b86c05-2e9d-4a17-8f4c-6b1d0e7a9253", "appId": "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142",
            "displayName": "Quay Booking API", "createdDateTime": "2022-11-30T08:51:14Z",
            "passwordCredentials": [
                {"keyId": "b", "hint": "CANARY", "secretText": "CANARY", "endDateTime": "2026-02-10T10:00:00.5Z"},
                {"keyId": "a", "secretText": null, "endDateTime": "9999-12-31T23:59:59Z"}
            ],
            "keyCredentials": [
                {"keyId": "c", "key": "CANARY", "type": "AsymmetricX509Cert", "endDateTime": "2027-05-02T00:00:00Z"}
            ],
            "requiredResourceAccess": [
                {"resourceAppId": "2", "resourceAccess": [{"id": "z", "type": "Role"}, {"id": "y", "type": "Scope"}]},
                {"resourceAppId": "1", "resourceAccess": []}
            ]
        })
    }

    #[test]
    fn no_part_of_a_secret_or_key_gets_into_the_record() {
        let record = registration(object()).expect("a registration");
        let text = serde_json::to_string(&record).expect("serialises");
        assert!(!text.contains("CANARY"), "{text}");
        let rest = record.extended_attributes.expect("rest");
        assert_eq!(rest["keyCredentials"][0]["type"], "AsymmetricX509Cert");
    }

    #[test]
    fn the_credential_that_ends_first_is_named_and_one_that_never_ends_is_not() {
        let rest = registration(object()).and_then(|record| record.extended_attributes);
        let rest = rest.expect("rest");
        assert_eq!(
            rest["earliestCredentialEndDateTime"],
            "2026-02-10T10:00:00.5Z"
        );
    }

    #[test]
    fn the_same_registration_in_another_order_is_the_same_record() {
        let mut other = object();
        for list in ["passwordCredentials", "requiredResourceAccess"] {
            other[list].as_array_mut().expect("a list").reverse();
        }
        let access = other["requiredResourceAccess"][1]["resourceAccess"].as_array_mut();
        access.expect("a list").reverse();
        assert_eq!(registration(other), registration(object()));
    }

    #[test]
    fn a_registration_whose_credentials_did_not_come_is_not_one_without_credentials() {
        for name in ALWAYS_SENT {
            let mut limited = object();
            limited.as_object_mut().expect("object").remove(name);
            assert!(registration(limited).is_none(), "{name}");
        }
    }
}
