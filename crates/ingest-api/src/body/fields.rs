//! The fields of a call beside its records. A key that comes twice, at any depth, is an error: which of two `syncMode`s
//! or scopes holds must not be a matter of taste.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Most bytes of a call's fields beside its records.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most values in them: each takes memory of its own, however short its text is.
const MAX_VALUES: usize = 1_000_000;
/// Longest name of a field, in bytes as sent.
const MAX_NAME: usize = 1024;
/// Memory of a value beside its text.
const VALUE_BYTES: usize = 64;

/// The fields that were read so far.
#[derive(Debug, Default)]
pub struct Fields {
    map: Map<String, Value>,
    bytes: usize,
    values: usize,
}

impl Fields {
    /// Adds a field: its value as it stands in the body.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), ApiError> {
        self.bytes += name.len() + value.len();
        if self.bytes > MAX_BYTES {
            return Err(too_large());
        }
        if self.map.contains_key(name) {
            return Err(self.repeated(name));
        }
        let value = self.value(value)?;
        self.map.insert(name.to_owned(), value);
        Ok(())
    }

    /// Reads all fields from one object, the first line of NDJSON.
    pub fn read_object(&mut self, text: &[u8]) -> Result<(), ApiError> {
        self.bytes += text.len();
        match self.value(text)? {
            Value::Object(map) => {
                self.map = map;
                Ok(())
            }
            _ => Err(ApiError::bad_body(
                "the first line must be the envelope, an object",
            )),
        }
    }

    fn value(&mut self, text: &[u8]) -> Result<Value, ApiError> {
        let mut left = MAX_VALUES - self.values;
        let value = unique(text, &mut left);
        let is_full = left == 0;
        self.values = MAX_VALUES - left;
        value.map_err(|error| {
            if is_full {
                too_large()
            } else {
                not_json(&error)
            }
        })
    }

    /// The field is there twice: nothing is known about it then.
    pub fn repeated(&mut self, name: &str) -> ApiError {
        self.map.remove(name);
        let name: String = name.chars().take(60).collect();
        ApiError::bad_body(format!("the field '{name}' is there twice"))
    }

    /// The fields by name.
    pub const fn map(&self) -> &Map<String, Value> {
        &self.map
    }

    /// Memory that they take, in bytes.
    pub const fn size(&self) -> usize {
        self.bytes + self.values * VALUE_BYTES
    }

    /// The fields as a type.
    pub fn read<E: DeserializeOwned>(&self) -> Result<E, ApiError> {
        E::deserialize(&self.map).map_err(|error| ApiError::bad_body(describe(&error)))
    }
}

/// The name of a field, from its text with quotes.
pub fn name(text: &[u8]) -> Result<String, ApiError> {
    if text.len() > MAX_NAME {
        return Err(ApiError::bad_body(format!(
            "the name of a field is longer than {MAX_NAME} bytes"
        )));
    }
    serde_json::from_slice(text).map_err(|error| not_json(&error))
}

/// A small body as a type, under the same rule.
pub fn read_value<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    let mut left = MAX_VALUES;
    let value = unique(text, &mut left).map_err(|error| not_json(&error))?;
    // A type with named fields would also be read from a list of them.
    if value.is_array() {
        return Err(ApiError::bad_body("the body must be an object"));
    }
    T::deserialize(value).map_err(|error| ApiError::bad_body(describe(&error)))
}

fn too_large() -> ApiError {
    ApiError::TooLarge(format!(
        "the fields beside 'records' are larger than {MAX_BYTES} bytes or {MAX_VALUES} values"
    ))
}

/// What serde says about a text that is no JSON, or JSON with a key twice.
pub fn not_json(error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        ApiError::bad_body(describe(error))
    } else {
        ApiError::bad_body(format!("the body is not valid JSON: {}", describe(error)))
    }
}

/// serde's words, cut short: they quote what was sent.
fn describe(error: &serde_json::Error) -> String {
    error.to_string().chars().take(200).collect()
}

fn unique(text: &[u8], left: &mut usize) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Unique { left }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads any value, while keys are unique and not too many values were read.
struct Unique<'a> {
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.saturating_sub(1);
        if *self.left == 0 {
            return Err(de::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Unique {
            left: &mut *self.left,
        })? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Unique {
                left: &mut *self.left,
            })?;
            if map.contains_key(&key) {
                let key: String = key.chars().take(60).collect();
                return Err(de::Error::custom(format!(
                    "the field '{key}' is there twice"
                )));
            }
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_that_comes_twice_is_an_error_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"s":{"a":1,"\u0061":2}}"#,
            r#"{"s":[{"a":1,"a":2}]}"#,
        ] {
            let error = read_value::<Value>(text.as_bytes())
                .expect_err(text)
                .to_string();
            assert!(error.contains("'a' is there twice"), "{error}");
        }
        let mut fields = Fields::default();
        fields.add("a", b"1").expect("the first");
        assert!(fields.add("a", b"1").is_err());
        assert_eq!(fields.map().get("a"), None, "which one holds is not known");
    }

    #[test]
    fn values_are_bounded_in_number_whatever_their_length() {
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
        let refused = Fields::default().add("deletedIds", many.as_bytes());
        assert!(matches!(refused, Err(ApiError::TooLarge(_))));
        let most = format!("[{}0]", "0,".repeat(MAX_VALUES - 10));
        Fields::default()
            .add("deletedIds", most.as_bytes())
            .expect("fits");
    }

    #[test]
    fn values_read_as_serde_reads_them() {
        for value in [
            json!(null),
            json!({"a": [1, -2, 1.5, true, "x\n", {}]}),
            json!(u64::MAX),
        ] {
            assert_eq!(
                read_value::<Value>(value.to_string().as_bytes()).expect("reads"),
                value
            );
        }
    }
}
