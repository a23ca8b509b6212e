//! Secrets on the wire: written, never answered.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_with::skip_serializing_none;

/// A field of a crawler that holds a secret.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum SecretField {
    /// The application's client secret.
    ClientSecret,
    /// The application's certificate with its private key, as PEM.
    Certificate,
    /// The password of the certificate's file.
    CertificatePassword,
    /// The proxy's address, which may hold a user name and password; `none` for no proxy at all.
    Proxy,
}

impl SecretField {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ClientSecret,
        Self::Certificate,
        Self::CertificatePassword,
        Self::Proxy,
    ];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::ClientSecret => "clientSecret",
            Self::Certificate => "certificate",
            Self::CertificatePassword => "certificatePassword",
            Self::Proxy => "proxy",
        }
    }
}

/// A secret's text, or where a worker finds it. Shows in no `Debug` and is wiped from memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub SecretString);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl SecretText {
    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 65_536, "writeOnly": true})
    }
}

/// Secrets by field: absent stays as it is, null is cleared, text is set. A text `file:/path` or `env:NAME` is no secret but
/// says where the worker finds it on its own machine.
pub type NewSecrets = BTreeMap<SecretField, Option<SecretText>>;

/// The schema of a map by secret field: those fields and no others.
pub(super) fn by_field<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let properties: serde_json::Map<String, serde_json::Value> = SecretField::ALL
        .into_iter()
        .map(|field| {
            let schema = generator.subschema_for::<T>().to_value();
            (field.wire_name().to_owned(), schema)
        })
        .collect();
    json_schema!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// What is known of a secret.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretState {
    /// Is it set?
    pub has_secret: bool,
    /// Changes when the secret does, and says nothing else about it. Absent for a reference.
    pub fingerprint: Option<String>,
    /// Where the worker finds it, where it is not stored here.
    pub reference: Option<String>,
    /// When it was set.
    pub set_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_to_the_wire_and_to_no_debug_text() {
        let text = r#"{"clientSecret":"CANARY","proxy":null}"#;
        let secrets: NewSecrets = serde_json::from_str(text).expect("reads");
        assert_eq!(secrets.len(), 2, "null is something else than absent");
        assert!(!format!("{secrets:?} {secrets:#?}").contains("CANARY"));
        assert_eq!(serde_json::to_string(&secrets).expect("writes"), text);
    }

    #[test]
    fn every_field_has_its_own_name_on_the_wire() {
        for field in SecretField::ALL {
            assert_eq!(
                serde_json::to_value(field).expect("a name"),
                field.wire_name()
            );
        }
    }
}
