//! The records of a program's calls.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    action::{Records, Table},
    kind::{Fields, KINDS, Kind, ROWS, Scope},
    program::{Flaw, RecordWord, RecordWords},
    register::Register,
};

/// The records that words mean now.
pub fn records_of(
    register: &Register,
    table: Table,
    scope: &Scope,
    words: &RecordWords,
) -> Records {
    let kind = &KINDS[table.1];
    Arc::new(match words {
        RecordWords::Few(words) => words.iter().map(|word| record(kind, word)).collect(),
        RecordWords::Most { left_out, changed } => {
            let mut records = current(register, table, scope);
            for number in left_out {
                if !records.is_empty() {
                    records.remove(usize::from(*number) % records.len());
                }
            }
            if records.is_empty() {
                // Nothing there yet: everything.
                let all = (0..ROWS).map(|row| RecordWord {
                    row,
                    says: vec![(0, 1)],
                    flaw: Flaw::None,
                });
                records = all.map(|word| record(kind, &word)).collect();
            }
            records.extend(changed.iter().map(|word| record(kind, word)));
            records
        }
    })
}

/// The live rows of a scope, as a source would send them.
fn current(register: &Register, table: Table, scope: &Scope) -> Vec<Fields> {
    let kind = &KINDS[table.1];
    let rows = register
        .rows
        .iter()
        .filter(|((at, _), row)| *at == table && row.is_live);
    rows.filter_map(|((_, key), row)| {
        let mut fields = row.fields.clone();
        for ((wire, _), part) in kind.key.iter().zip(key.split('|')) {
            fields.insert((*wire).to_owned(), json!(part));
        }
        let is_inside = scope
            .iter()
            .all(|(wire, value)| fields.get(wire).and_then(Value::as_str) == Some(value));
        is_inside.then_some(fields)
    })
    .collect()
}

fn record(kind: &Kind, word: &RecordWord) -> Fields {
    let mut fields = Fields::new();
    for (field, value) in &word.says {
        let (wire, values) = kind.says[usize::from(*field) % kind.says.len()];
        let value = match value {
            0 => Value::Null,
            number => json!(values[usize::from(*number - 1) % values.len()]),
        };
        fields.insert(wire.to_owned(), value);
    }
    fields.extend(kind.key_fields(word.row));
    match word.flaw {
        Flaw::None => {}
        Flaw::WrongType => {
            let (wire, _) = kind.columns.last().expect("a column");
            fields.insert((*wire).to_owned(), json!(7));
        }
        Flaw::NoKey => {
            let (wire, _) = kind.key[kind.key.len().min(2) - 1];
            fields.remove(wire);
        }
    }
    fields
}
