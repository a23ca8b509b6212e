//! Keys as bytes whose order is that of the primary key.

use super::{Value, rows::ValueRef};
use crate::entity::{Column, ColumnKind};

/// The values of a row's key columns: 16 bytes for a `uuid`, the text and a NUL for a `text` (which holds none). Equal
/// bytes are equal keys, and bytes sort as the columns do in the database (`uuid`, and `text collate "C"`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    /// The key with these values.
    pub fn new(values: &[Value]) -> Self {
        let mut bytes = Vec::new();
        for value in values {
            encode(&mut bytes, value.into());
        }
        Self(bytes.into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Appends a value of a key. Key columns are ids and texts only, which a test of the specifications holds.
pub(super) fn encode(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Uuid(id) => out.extend_from_slice(&id),
        ValueRef::Text(text) => {
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
        other => unreachable!("a key column of another kind: {other:?}"),
    }
}

/// The values of a key in PostgreSQL's binary format, one per key column.
pub fn key_parts<'a>(
    columns: &'static [Column],
    key: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let mut rest = key;
    columns.iter().map(move |column| {
        let (length, skipped) = if column.kind == ColumnKind::Uuid {
            (16, 16)
        } else {
            let end = rest
                .iter()
                .position(|byte| *byte == 0)
                .expect("every text of a key has an end");
            (end, end + 1)
        };
        let part = &rest[..length];
        rest = &rest[skipped..];
        part
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::entity;

    #[test]
    fn key_columns_are_ids_and_texts() {
        for spec in entity::ALL {
            for column in spec.key {
                assert!(
                    matches!(column.kind, ColumnKind::Uuid | ColumnKind::Text),
                    "{}.{}",
                    spec.table,
                    column.sql
                );
            }
        }
    }

    proptest! {
        #[test]
        fn keys_sort_and_read_as_their_values_do(a in values(), b in values()) {
            let spec = entity::spec(contract::Entity::ResourceAssignments).expect("a merged entity");
            prop_assert_eq!(Key::new(&a).cmp(&Key::new(&b)), a.cmp(&b));
            let key = Key::new(&a);
            let parts: Vec<&[u8]> = key_parts(spec.key, key.as_bytes()).collect();
            let expected: Vec<&[u8]> = a.iter().map(|value| match value {
                Value::Uuid(id) => id.as_bytes().as_slice(),
                Value::Text(text) => text.as_bytes(),
                _ => unreachable!("made of ids and texts"),
            }).collect();
            prop_assert_eq!(parts, expected);
        }
    }

    fn values() -> impl Strategy<Value = Vec<Value>> {
        ((0u128..3), (0u128..3), "[^\0]{0,3}", "[^\0]{0,3}").prop_map(|(a, b, c, d)| {
            vec![
                Value::Uuid(Uuid::from_u128(a)),
                Value::Uuid(Uuid::from_u128(b)),
                Value::Text(c),
                Value::Text(d),
            ]
        })
    }
}
