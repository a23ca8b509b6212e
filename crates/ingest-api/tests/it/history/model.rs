//! The register's past as a model in memory has it, told from what callers did.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::app::id;

/// The entities of the model: wire name and table.
pub const ENTITIES: [(&str, &str); 2] = [
    ("principals", "principals"),
    ("resource-assignments", "resource_assignments"),
];

/// Which row: number of the system, number of the entity, number of the row.
pub type Place = (usize, usize, u32);

/// A version that ended, or lives.
#[derive(Debug, Clone)]
pub struct Version {
    pub values: Value,
    /// The number of the load, counted from 0; it happened between moments of the same number and the next.
    pub from: usize,
    pub began_as: &'static str,
    pub began_by: Uuid,
    pub until: Option<End>,
}

#[derive(Debug, Clone)]
pub struct End {
    pub load: usize,
    pub ended_as: &'static str,
    pub ended_by: Uuid,
    pub is_approved: bool,
}

/// A load, or the decision about one.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub number: usize,
    pub sync_id: Uuid,
    pub is_approved: bool,
}

#[derive(Debug, Default)]
pub struct Model {
    pub rows: BTreeMap<Place, Vec<Version>>,
    /// Rows that were removed and purged since: who comes back is new.
    purged: std::collections::BTreeSet<Place>,
}

impl Model {
    /// The row's contents, if it lives.
    pub fn live(&self, place: Place) -> Option<&Value> {
        let last = self.rows.get(&place)?.last()?;
        last.until.is_none().then_some(&last.values)
    }

    pub fn live_rows(&self, system: usize, entity: usize) -> Vec<u32> {
        let of_table = self
            .rows
            .keys()
            .filter(|place| (place.0, place.1) == (system, entity));
        of_table
            .filter(|place| self.live(**place).is_some())
            .map(|place| place.2)
            .collect()
    }

    pub fn write(&mut self, place: Place, values: Value, load: Load) {
        let versions = self.rows.entry(place).or_default();
        let mut began_as = "added";
        if let Some(last) = versions.last_mut() {
            if last.until.is_none() {
                if last.values == values {
                    return;
                }
                last.until = Some(End {
                    load: load.number,
                    ended_as: "changed",
                    ended_by: load.sync_id,
                    is_approved: false,
                });
                began_as = "changed";
            } else if !self.purged.remove(&place) {
                began_as = "restored";
            }
        }
        versions.push(Version {
            values,
            from: load.number,
            began_as,
            began_by: load.sync_id,
            until: None,
        });
    }

    pub fn remove(&mut self, place: Place, load: Load) {
        let last = self.rows.get_mut(&place).and_then(|rows| rows.last_mut());
        if let Some(last) = last
            && last.until.is_none()
        {
            last.until = Some(End {
                load: load.number,
                ended_as: "removed",
                ended_by: load.sync_id,
                is_approved: load.is_approved,
            });
        }
    }

    /// Everything that was removed is purged.
    pub fn purge(&mut self) {
        for place in self.rows.keys() {
            if self.live(*place).is_none() {
                self.purged.insert(*place);
            }
        }
    }

    /// The rows of a table as they were after `loads` loads.
    pub fn as_of(&self, system: usize, entity: usize, loads: usize) -> BTreeMap<u32, &Version> {
        let of_table = self
            .rows
            .iter()
            .filter(|(place, _)| (place.0, place.1) == (system, entity));
        of_table
            .filter_map(|(place, versions)| {
                let was = |version: &&Version| {
                    version.from < loads
                        && version.until.as_ref().is_none_or(|end| end.load >= loads)
                };
                Some((place.2, versions.iter().find(was)?))
            })
            .collect()
    }
}

/// The key fields of a row.
pub fn key(entity: usize, row: u32) -> Value {
    match entity {
        0 => json!({"id": id(row)}),
        _ => json!({
            "resourceId": id(100 + row % 3), "principalId": id(row / 6),
            "assignmentType": if (row / 3).is_multiple_of(2) { "Direct" } else { "Owner" }, "roleScope": "/",
        }),
    }
}

/// The fields of a row: what a record says, and what the register makes of it. A record says everything, so that a delta and
/// a full load mean the same.
pub fn contents(entity: usize, words: [u8; 3]) -> (Value, Value) {
    let word = |at: usize, words: [&str; 3]| match words[at % 3] {
        "" => Value::Null,
        word => json!(word),
    };
    let field = ["jobTitle", "state"][entity];
    let record = json!({
        field: word(words[0] as usize, ["", "Analyst", "Director"]),
        "shoe": word(words[1] as usize, ["", "38", "44"]),
        "note": word(words[2] as usize, ["", "x", "y"]),
    });
    let set = |names: &[&str]| -> Map<String, Value> {
        let said = names
            .iter()
            .map(|name| ((*name).to_owned(), record[name].clone()));
        said.filter(|(_, value)| !value.is_null()).collect()
    };
    let mut values = set(&[field]);
    values.insert("extendedAttributes".into(), set(&["shoe", "note"]).into());
    let mut record = record.clone();
    if entity == 0 {
        values.insert("displayName".into(), "Ada".into());
        values.insert("principalType".into(), "User".into());
        record["displayName"] = "Ada".into();
    }
    (record, values.into())
}

/// What differs, as the API should say it.
pub fn differences(before: &Value, after: &Value) -> Value {
    let flat =
        |values: &Value| -> BTreeMap<String, Value> {
            let mut flat = BTreeMap::new();
            for (name, value) in values.as_object().expect("an object") {
                if name == "extendedAttributes" {
                    let inner = value.as_object().expect("an object");
                    flat.extend(inner.iter().map(|(name, value)| {
                        (format!("/extendedAttributes/{name}"), value.clone())
                    }));
                } else {
                    flat.insert(format!("/{name}"), value.clone());
                }
            }
            flat
        };
    let (before, after) = (flat(before), flat(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            let mut difference = json!({"field": name});
            for (side, values) in [("before", &before), ("after", &after)] {
                if let Some(value) = values.get(name) {
                    difference[side] = value.clone();
                }
            }
            difference
        })
        .collect()
}
