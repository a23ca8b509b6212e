//! What differs between two versions of a row: field by field, extended attributes key by key.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// A row's fields in the words of the wire, without key and without what is not set; what is in no core field is in
/// `extendedAttributes`.
pub type Values = Map<String, Value>;

/// Where the extended attributes are.
const EXTENDED: &str = "extendedAttributes";

/// One field that is not what it was.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Difference {
    /// The field as a JSON pointer, such as `/department` or `/extendedAttributes/costCentre`.
    pub field: String,
    /// What it was; absent when it was not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What differs, in the order of the fields' names, extended attributes among them.
pub fn between(before: &Values, after: &Values) -> Vec<Difference> {
    let mut found = Vec::new();
    fields("", before, after, &mut found);
    found
}

fn fields(path: &str, before: &Values, after: &Values, found: &mut Vec<Difference>) {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let mut names: Vec<&String> = after.keys().chain(gone).collect();
    names.sort_unstable();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(Value::Object(before)), Some(Value::Object(after)))
                if path.is_empty() && name == EXTENDED =>
            {
                fields("/extendedAttributes", before, after, found);
            }
            (before, after) if before != after => found.push(Difference {
                field: format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")),
                before: before.cloned(),
                after: after.cloned(),
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(value: Value) -> Values {
        let Value::Object(values) = value else {
            panic!("an object")
        };
        values
    }

    #[test]
    fn each_field_and_each_extended_attribute_that_differs_is_named_once() {
        let before = values(json!({
            "a": 1, "b": null, "same": {"x": [1]},
            "extendedAttributes": {"gone": 1, "nested": {"x": 1}, "same": 2},
        }));
        let after = values(json!({
            "a": 2, "new/x": true, "same": {"x": [1]},
            "extendedAttributes": {"nested": {"x": 2}, "same": 2, "~": "t"},
        }));
        let found = between(&before, &after);
        let shown: Vec<Value> = found
            .iter()
            .map(|difference| serde_json::to_value(difference).expect("JSON"))
            .collect();
        assert_eq!(
            shown,
            [
                json!({"field": "/a", "before": 1, "after": 2}),
                json!({"field": "/b", "before": null}),
                json!({"field": "/extendedAttributes/gone", "before": 1}),
                json!({"field": "/extendedAttributes/nested", "before": {"x": 1}, "after": {"x": 2}}),
                json!({"field": "/extendedAttributes/~0", "after": "t"}),
                json!({"field": "/new~1x", "after": true}),
            ]
        );
        assert_eq!(between(&after, &after), []);
    }
}
