//! A place between rows, as an opaque word.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Kind, Names, Order, bind::Bind, lexer};

/// Longest word that is looked at.
const MAX_CHARS: usize = 32 * 1024;
/// Bytes of the checksum.
const CHECK: usize = 8;

/// The place of a row: its sort values, its key, its system. It holds whatever comes and goes around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// The values of the sort keys.
    pub values: Vec<Option<Bind>>,
    /// The values of the key.
    pub key: Vec<Bind>,
    /// The system.
    pub system_id: i32,
}

impl Cursor {
    /// The word for it. It is good for this order of this source only, and a changed word is refused.
    pub fn word(&self, order: &Order, names: &Names) -> String {
        let values: Vec<Value> = self
            .values
            .iter()
            .map(|value| value.as_ref().map_or(Value::Null, to_json))
            .collect();
        let key: Vec<Value> = self.key.iter().map(to_json).collect();
        let text = json!([values, key, self.system_id]).to_string();
        let mut bytes = check(&text, &order.identity(names)).to_vec();
        bytes.extend(text.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a word that [`Self::word`] made for the same order.
    pub fn read(word: &str, order: &Order, names: &Names) -> Option<Self> {
        if word.len() > MAX_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(word).ok()?;
        let (sum, text) = bytes.split_at_checked(CHECK)?;
        let text = std::str::from_utf8(text).ok()?;
        if sum != check(text, &order.identity(names)) {
            return None;
        }
        let (values, key, system_id): (Vec<Value>, Vec<Value>, i32) =
            serde_json::from_str(text).ok()?;
        if values.len() != order.keys.len() || key.len() != names.source.key.len() {
            return None;
        }
        let values = values
            .iter()
            .zip(&order.keys)
            .map(|(value, key)| match value {
                Value::Null => key.is_nullable.then_some(None),
                value => from_json(value, key.kind).map(Some),
            });
        let key = key.iter().zip(&names.source.key);
        Some(Self {
            values: values.collect::<Option<_>>()?,
            key: key
                .map(|(value, (_, kind))| from_json(value, *kind))
                .collect::<Option<_>>()?,
            system_id,
        })
    }
}

fn check(text: &str, identity: &str) -> [u8; CHECK] {
    let mut sum = Sha256::new();
    sum.update(b"cadastre cursor 1\n");
    sum.update(identity.len().to_le_bytes());
    sum.update(identity);
    sum.update(text);
    let sum: [u8; 32] = sum.finalize().into();
    std::array::from_fn(|place| sum[place])
}

fn to_json(value: &Bind) -> Value {
    match value {
        Bind::Text(text) => json!(text),
        Bind::Uuid(id) => json!(id),
        Bind::Bool(value) => json!(value),
        Bind::Time(time) => json!(time.timestamp_micros()),
        Bind::Int(value) => json!(value),
        // Lists are no values of rows.
        Bind::Texts(_) | Bind::Uuids(_) | Bind::Bools(_) | Bind::Times(_) | Bind::Systems(_) => {
            Value::Null
        }
    }
}

fn from_json(value: &Value, kind: Kind) -> Option<Bind> {
    Some(match kind {
        Kind::Text => Bind::Text(
            value
                .as_str()
                .filter(|text| !text.contains('\0'))?
                .to_owned(),
        ),
        Kind::Number => Bind::Text(
            value
                .as_str()
                .filter(|text| is_stored_number(text))?
                .to_owned(),
        ),
        Kind::Uuid => Bind::Uuid(Uuid::try_parse(value.as_str()?).ok()?),
        Kind::Bool => Bind::Bool(value.as_bool()?),
        Kind::Time => Bind::Time(DateTime::from_timestamp_micros(value.as_i64()?)?),
        Kind::Int => Bind::Int(value.as_i64()?),
        Kind::Json => return None,
    })
}

/// Numbers of rows may have more digits than those of filters.
fn is_stored_number(text: &str) -> bool {
    lexer::is_number(text)
        || (text.len() <= 2_000
            && text.strip_prefix('-').unwrap_or(text).split('.').count() <= 2
            && text
                .strip_prefix('-')
                .unwrap_or(text)
                .split('.')
                .all(|digits| {
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                }))
}
