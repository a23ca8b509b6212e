//! What a record of a load is taken for.

use super::{
    action::Table,
    kind::{Fields, KINDS, Key, Scope},
};

/// What a record is taken for.
pub enum Reading {
    Good(Key, Fields),
    Refused(Key),
    Unidentified,
}

/// Reads one record of a load.
pub fn read(table: Table, is_full: bool, scope: &Scope, record: &Fields) -> Reading {
    let kind = &KINDS[table.1];
    let mut record = record.clone();
    for (wire, value) in scope {
        if record.get(wire).is_none_or(serde_json::Value::is_null) {
            record.insert(wire.clone(), value.clone().into());
        }
    }
    let Some(key) = kind.key_of(&record) else {
        return Reading::Unidentified;
    };
    let is_outside = scope
        .iter()
        .any(|(wire, value)| record[wire] != value.as_str());
    let is_wrong = kind
        .columns
        .iter()
        .any(|(wire, _)| record.get(*wire).is_some_and(serde_json::Value::is_number));
    let lacks = kind.required.is_some_and(|name| match record.get(name) {
        Some(value) => value.is_null(),
        None => is_full,
    });
    if is_outside || is_wrong || lacks {
        return Reading::Refused(key);
    }
    record.retain(|name, _| !kind.key.iter().any(|(wire, _)| wire == name));
    Reading::Good(key, record)
}
