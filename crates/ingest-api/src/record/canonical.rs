//! The content hash: what decides whether a row changed.

use serde_json::Map;
use sha2::{Digest, Sha256};

use super::Value;

/// The first 128 bits of the SHA-256 of a row's source fields in canonical form.
pub type ContentHash = [u8; 16];

/// Hashes the values of the non-key columns in their order and the extended attributes in key order. The same content
/// gives the same hash, however the record was written: JSON spelling, field order and time zone do not matter.
pub fn content_hash(fields: &[Value], extended: &Map<String, serde_json::Value>) -> ContentHash {
    let mut sha = Sha256::new();
    for value in fields {
        match value {
            Value::Null => sha.update([0]),
            Value::Bool(value) => sha.update([1, u8::from(*value)]),
            Value::Int(value) => {
                sha.update([2]);
                sha.update(value.to_be_bytes());
            }
            Value::Time(value) => {
                sha.update([3]);
                sha.update(value.timestamp_micros().to_be_bytes());
            }
            Value::Uuid(value) => {
                sha.update([4]);
                sha.update(value.as_bytes());
            }
            Value::Text(value) => {
                sha.update([5]);
                sha.update((value.len() as u64).to_be_bytes());
                sha.update(value.as_bytes());
            }
        }
    }
    // A serde_json map is ordered by key, so its text is canonical.
    sha.update(serde_json::to_vec(extended).expect("a JSON map serialises"));
    let digest = sha.finalize();
    let mut hash = ContentHash::default();
    hash.copy_from_slice(&digest[..16]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extended(text: &str) -> Map<String, serde_json::Value> {
        serde_json::from_str(text).expect("an object")
    }

    #[test]
    fn the_spelling_of_a_record_does_not_change_its_hash_and_its_content_does() {
        let fields = [Value::Text("a".into()), Value::Null];
        let one = content_hash(&fields, &extended(r#"{"x": 1, "y": [true, "\u0041"]}"#));
        assert_eq!(
            one,
            content_hash(&fields, &extended(r#"{"y":[true,"A"],"x":1}"#))
        );
        assert_ne!(
            one,
            content_hash(&fields, &extended(r#"{"y":[true,"A"],"x":2}"#))
        );
        assert_ne!(
            one,
            content_hash(&[Value::Null, Value::Text("a".into())], &extended("{}"))
        );
    }

    #[test]
    fn text_cannot_move_from_one_field_to_the_next_without_changing_the_hash() {
        let empty = Map::new();
        let split = |a: &str, b: &str| {
            content_hash(&[Value::Text(a.into()), Value::Text(b.into())], &empty)
        };
        assert_ne!(split("ab", "c"), split("a", "bc"));
    }
}
