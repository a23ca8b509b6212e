//! Strict JSON for one record.
//!
//! `serde_json` keeps the last of two equal keys, rounds large integers and lets NUL through; each of these would
//! change data silently or fail in PostgreSQL with the whole batch. Here they are refused or replaced, and counted.

use std::{borrow::Cow, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Deepest nesting of a record: its own object, `extendedAttributes`, and 16 levels inside.
const MAX_DEPTH: usize = 18;
/// Longest string in a record, in bytes.
const MAX_STRING: usize = 1024 * 1024;
/// Numbers beyond this that are not 64-bit integers would be rounded; a source can send them as text.
pub(super) const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Why a record is not acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct StrictError {
    /// A stable word, such as `duplicate_key`.
    pub code: &'static str,
    /// One sentence.
    pub detail: String,
}

/// Parses a record. Answers the object and how many characters that PostgreSQL cannot store (NUL, lone surrogates)
/// were replaced by U+FFFD.
pub fn parse_object(text: &str) -> Result<(Map<String, Value>, u64), StrictError> {
    let (text, mut replaced) = replace_lone_surrogates(text);
    let mut refusal = None;
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let seed = Strict {
        depth: 0,
        replaced: &mut replaced,
        refusal: &mut refusal,
    };
    let parsed = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    let value = match parsed {
        Ok(value) => value,
        Err(error) => {
            return Err(refusal.unwrap_or_else(|| StrictError {
                code: "invalid_json",
                detail: format!("the record is not valid JSON: {error}"),
            }));
        }
    };
    match value {
        Value::Object(map) => Ok((map, replaced)),
        _ => Err(StrictError {
            code: "type",
            detail: "a record must be a JSON object".into(),
        }),
    }
}

/// Replaces `\uD800`–`\uDFFF` escapes that are not a pair by `\uFFFD`.
fn replace_lone_surrogates(text: &str) -> (Cow<'_, str>, u64) {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    let (mut copied, mut at, mut replaced) = (0, 0, 0);
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        let Some(unit) = escape_unit(bytes, at) else {
            at = (at + 2).min(bytes.len());
            continue;
        };
        let is_pair = (0xD800..0xDC00).contains(&unit)
            && escape_unit(bytes, at + 6).is_some_and(|low| (0xDC00..0xE000).contains(&low));
        if is_pair {
            at += 12;
        } else {
            if (0xD800..0xE000).contains(&unit) {
                let out = out.get_or_insert_with(String::new);
                out.push_str(&text[copied..at]);
                out.push_str("\\uFFFD");
                copied = at + 6;
                replaced += 1;
            }
            at += 6;
        }
    }
    match out {
        None => (Cow::Borrowed(text), 0),
        Some(mut out) => {
            out.push_str(&text[copied..]);
            (Cow::Owned(out), replaced)
        }
    }
}

/// The code unit of the `\uXXXX` escape that starts at `at`, if one does.
fn escape_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit * 16 + char::from(*digit).to_digit(16)?)
    })
}

struct Strict<'a> {
    depth: usize,
    replaced: &'a mut u64,
    refusal: &'a mut Option<StrictError>,
}

impl Strict<'_> {
    fn deeper(&mut self) -> Strict<'_> {
        Strict {
            depth: self.depth + 1,
            replaced: self.replaced,
            refusal: self.refusal,
        }
    }

    fn refuse<T, E: de::Error>(&mut self, code: &'static str, detail: String) -> Result<T, E> {
        let error = E::custom(&detail);
        *self.refusal = Some(StrictError { code, detail });
        Err(error)
    }

    fn text<E: de::Error>(&mut self, text: &str) -> Result<String, E> {
        if text.len() > MAX_STRING {
            return self.refuse(
                "too_long",
                format!("a string is longer than {MAX_STRING} bytes"),
            );
        }
        let nuls = text.bytes().filter(|byte| *byte == 0).count() as u64;
        *self.replaced += nuls;
        Ok(if nuls == 0 {
            text.to_owned()
        } else {
            text.replace('\0', "\u{FFFD}")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return self.refuse(
                "too_deep",
                format!("the record is nested deeper than {MAX_DEPTH} levels"),
            );
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
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
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<Value, E> {
        if value.abs() >= MAX_EXACT {
            return self.refuse(
                "number_out_of_range",
                "a number has more digits than can be kept exactly; send it as text".into(),
            );
        }
        Ok(Value::from(value))
    }

    fn visit_str<E: de::Error>(mut self, value: &str) -> Result<Value, E> {
        self.text(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.deeper())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<Cow<'de, str>>()? {
            let key = self.text(&key)?;
            let value = access.next_value_seed(self.deeper())?;
            if map.contains_key(&key) {
                let shown: String = key.chars().take(60).collect();
                return self.refuse("duplicate_key", format!("the key '{shown}' is there twice"));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> &'static str {
        parse_object(text).expect_err(text).code
    }

    #[test]
    fn what_would_change_data_silently_is_refused() {
        assert_eq!(code(r#"{"id":"a","id":"b"}"#), "duplicate_key");
        assert_eq!(code(r#"{"e":{"a":1,"a":1}}"#), "duplicate_key");
        assert_eq!(code(r#"{"n":18446744073709551616}"#), "number_out_of_range");
        assert_eq!(code(r#"{"n":1e130}"#), "number_out_of_range");
        assert_eq!(code(r#"{"n":1e400}"#), "invalid_json");
        assert_eq!(code("[]"), "type");
        assert_eq!(code("{} {}").len(), "invalid_json".len());
        assert_eq!(
            code(&format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40))),
            "too_deep"
        );
        assert_eq!(
            code(&format!(
                "{{\"a\":{}1{}}}",
                "[".repeat(100_000),
                "]".repeat(100_000)
            )),
            "too_deep"
        );
        assert_eq!(
            code(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_STRING + 1))),
            "too_long"
        );
    }

    #[test]
    fn what_postgresql_cannot_store_is_replaced_and_counted() {
        let (map, replaced) =
            parse_object(r#"{"a\u0000":"x\u0000y","b":"\ud800 \udc00\ud83d\ude00 \\ud800"}"#)
                .expect("parses");
        assert_eq!(replaced, 4);
        assert_eq!(map["a\u{FFFD}"], "x\u{FFFD}y");
        assert_eq!(map["b"], "\u{FFFD} \u{FFFD}\u{1F600} \\ud800");
    }

    proptest! {
        #[test]
        fn every_acceptable_object_reads_as_it_was_written(entries in proptest::collection::btree_map("[a-z]{1,6}", "[^\0]{0,20}", 0..8)) {
            let text = serde_json::to_string(&entries).expect("serialises");
            let (map, replaced) = parse_object(&text).expect("parses");
            prop_assert_eq!(replaced, 0);
            prop_assert_eq!(serde_json::to_value(&entries).expect("serialises"), Value::Object(map));
        }
    }
}
