//! The entities that the model knows, told from the contract and not from the server's code.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::id;

/// Field name on the wire → value.
pub type Fields = BTreeMap<String, Value>;
/// The key columns, joined as the history joins them.
pub type Key = String;
/// A scope: key on the wire → value.
pub type Scope = BTreeMap<String, String>;

/// An entity: wire name and column of each field.
#[derive(Debug)]
pub struct Kind {
    pub entity: &'static str,
    pub table: &'static str,
    pub key: &'static [(&'static str, &'static str)],
    pub columns: &'static [(&'static str, &'static str)],
    /// The value of a field that was never said.
    pub default: Option<(&'static str, &'static str)>,
    /// A field that must be there, beside the key.
    pub required: Option<&'static str>,
    /// The key field that names the parent.
    pub parent: Option<&'static str>,
    pub scopes: &'static [&'static [(&'static str, &'static str)]],
    /// What a record may say, and the values in turn.
    pub says: &'static [(&'static str, &'static [&'static str])],
}

pub static KINDS: [Kind; 3] = [
    Kind {
        entity: "principals",
        table: "principals",
        key: &[("id", "id")],
        columns: &[
            ("displayName", "display_name"),
            ("principalType", "principal_type"),
            ("jobTitle", "job_title"),
            ("department", "department"),
        ],
        default: Some(("principalType", "User")),
        required: Some("displayName"),
        parent: None,
        scopes: &[
            &[],
            &[("principalType", "User")],
            &[("principalType", "ExternalUser")],
        ],
        says: &[
            ("displayName", &["Ada", "Bo"]),
            ("principalType", &["User", "ExternalUser"]),
            ("jobTitle", &["Analyst", "Director"]),
            ("department", &["Sales", "Tax"]),
            ("shoe", &["38", "44"]),
        ],
    },
    Kind {
        entity: "resource-assignments",
        table: "resource_assignments",
        key: &[
            ("resourceId", "resource_id"),
            ("principalId", "principal_id"),
            ("assignmentType", "assignment_type"),
            ("roleScope", "role_scope"),
        ],
        columns: &[
            ("resourceType", "resource_type"),
            ("state", "state"),
            ("sourceId", "source_id"),
        ],
        default: None,
        required: None,
        parent: Some("resourceId"),
        scopes: &[
            &[],
            &[("assignmentType", "Direct")],
            &[("assignmentType", "Owner")],
            &[("resourceType", "EntraGroup")],
            &[("assignmentType", "Direct"), ("resourceType", "EntraGroup")],
        ],
        says: &[
            ("resourceType", &["EntraGroup", "EntraAppRole"]),
            ("state", &["Active", "Expired"]),
            ("sourceId", &["a", "b"]),
            ("note", &["x", "y"]),
        ],
    },
    Kind {
        entity: "identity-members",
        table: "identity_members",
        key: &[
            ("identityId", "identity_id"),
            ("principalId", "principal_id"),
        ],
        columns: &[("accountType", "account_type")],
        default: None,
        required: None,
        parent: Some("identityId"),
        scopes: &[&[]],
        says: &[("accountType", &["Main", "Admin"]), ("note", &["x", "y"])],
    },
];

/// How many different rows there are of each kind.
pub const ROWS: u8 = 32;

impl Kind {
    /// The key fields of row number `row`, as a record says them.
    pub fn key_fields(&self, row: u8) -> Fields {
        let row = u32::from(row % ROWS);
        let fields = match self.entity {
            "principals" => vec![("id", json!(id(row)))],
            "resource-assignments" => vec![
                ("resourceId", json!(id(1000 + row % 4))),
                ("principalId", json!(id(row / 8))),
                (
                    "assignmentType",
                    json!(["Direct", "Owner"][(row / 4 % 2) as usize]),
                ),
            ],
            _ => vec![
                ("identityId", json!(id(2000 + row % 4))),
                ("principalId", json!(id(row / 4))),
            ],
        };
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The parent number `number`, where there are parents.
    pub fn parent_id(&self, number: u32) -> Option<Value> {
        let base = if self.entity == "identity-members" {
            2000
        } else {
            1000
        };
        self.parent.map(|_| json!(id(base + number % 4)))
    }

    /// The key of a record; `None` when a part of it is missing.
    pub fn key_of(&self, record: &Fields) -> Option<Key> {
        let parts: Option<Vec<&str>> = self
            .key
            .iter()
            .map(|(wire, _)| match record.get(*wire) {
                Some(value) => value.as_str(),
                None if *wire == "roleScope" => Some("/"),
                None => None,
            })
            .collect();
        Some(parts?.join("|"))
    }

    /// A key field's value inside a key.
    pub fn part<'a>(&self, key: &'a Key, wire: &str) -> Option<&'a str> {
        let place = self.key.iter().position(|(name, _)| *name == wire)?;
        key.split('|').nth(place)
    }

    pub fn scope(&self, number: u8) -> Scope {
        let scope = self.scopes[number as usize % self.scopes.len()];
        scope
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }
}

/// Two scopes share rows unless they give one field two values.
pub fn overlap(one: &Scope, other: &Scope) -> bool {
    one.iter()
        .all(|(key, value)| other.get(key).is_none_or(|theirs| theirs == value))
}
