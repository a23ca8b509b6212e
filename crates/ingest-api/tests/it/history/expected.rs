//! What the register should tell, from the model, in words that can be compared.

use serde_json::{Value, json};

use super::model::{Model, Version, differences, key};

/// A version of a row, with the number of each load instead of its time.
pub fn expected_version(versions: &[Version], place: usize) -> Value {
    let version = &versions[place];
    let end = version.until.as_ref();
    let shows_change = version.began_as != "added";
    json!({
        "from": version.from, "beganAs": version.began_as, "beganBy": version.began_by,
        "until": end.map(|end| end.load), "endedAs": end.map(|end| end.ended_as),
        "endedBy": end.map(|end| end.ended_by), "is_approved": end.is_some_and(|end| end.is_approved),
        "differences": if shows_change { differences(&versions[place - 1].values, &version.values) } else { json!([]) },
        "values": version.values,
    })
}

/// The model's differences, in the order of the keys.
pub fn expected_differences(
    model: &Model,
    system: usize,
    entity: usize,
    from: usize,
    to: usize,
) -> Vec<Value> {
    let (before, after) = (
        model.as_of(system, entity, from),
        model.as_of(system, entity, to),
    );
    let mut rows: Vec<u32> = before.keys().chain(after.keys()).copied().collect();
    rows.sort_by_key(|row| row_key(entity, &key(entity, *row)));
    rows.dedup();
    let mut found = Vec::new();
    for row in rows {
        let (old, new) = (before.get(&row), after.get(&row));
        let values = |version: Option<&&Version>| version.map(|version| version.values.clone());
        if values(old) == values(new) {
            continue;
        }
        // What made it so: the beginning of the newer version, or the last end before the later moment.
        let last_end = model.rows[&(system, entity, row)]
            .iter()
            .filter_map(|version| version.until.as_ref())
            .rfind(|end| end.load < to);
        let (load, by, is_approved) = match (new, last_end) {
            (Some(new), _) => (new.from, new.began_by, false),
            (None, Some(end)) => (end.load, end.ended_by, end.is_approved),
            (None, None) => panic!("gone without an end"),
        };
        let change = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let inner = match (old, new) {
            (Some(old), Some(new)) => differences(&old.values, &new.values),
            _ => json!([]),
        };
        found.push(json!({
            "key": key(entity, row), "change": change, "load": load, "by": by, "is_approved": is_approved,
            "before": values(old), "after": values(new), "differences": inner,
        }));
    }
    found
}

pub fn row_key(entity: usize, key: &Value) -> String {
    let fields: &[&str] = match entity {
        0 => &["id"],
        _ => &["resourceId", "principalId", "assignmentType", "roleScope"],
    };
    let parts: Vec<&str> = fields
        .iter()
        .map(|field| key[*field].as_str().expect("a text"))
        .collect();
    parts.join("|")
}

/// Wire names become column names.
pub fn in_columns(key: Value, values: Value) -> Value {
    let (Value::Object(key), Value::Object(values)) = (key, values) else {
        panic!("objects")
    };
    let in_snake_case = |name: String| {
        name.chars().fold(String::new(), |text, letter| {
            if letter.is_uppercase() {
                text + "_" + &letter.to_lowercase().to_string()
            } else {
                text + &letter.to_string()
            }
        })
    };
    key.into_iter()
        .chain(values)
        .map(|(name, value)| (in_snake_case(name), value))
        .collect()
}
