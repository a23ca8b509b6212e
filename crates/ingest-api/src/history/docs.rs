//! What the routes about the past do.

use contract::Permission;
use serde_json::{Map, Value, json};

use super::{question::filters, tables, two_moments::DifferencePage, versions::VersionPage};
use crate::{
    entity::{Column, ColumnKind, EntitySpec},
    openapi::{Operation, SchemaOf, Tag},
    params::{MAX_PAGE, USUAL_PAGE},
};

pub fn versions(spec: &'static EntitySpec) -> Operation {
    operation(
        spec,
        "History",
        format!("Every version of rows of {}", spec.entity),
    )
    .says(
        "Newest first, each with what differs from the version before and with the loads that began and ended it; for a \
         removal that was held, also with who approved it and why. Rows that were removed are found too, purged ones included. \
         Key fields that are left out match every row, but for one that the rows are found by.",
    )
    .query_like(parameters(move || {
        let mut fields = Map::new();
        for column in spec.key {
            let is_way_in = tables::ways_in(spec).any(|way| way.sql == column.sql);
            let says = if is_way_in && tables::ways_in(spec).count() == 1 {
                "Of these rows; needed."
            } else if is_way_in {
                "Of these rows; one of the ids is needed."
            } else {
                "Only of these rows."
            };
            fields.insert(column.wire.into(), field(column, says));
        }
        let needed: Vec<_> = tables::ways_in(spec).map(|column| column.wire).collect();
        let required = if let [only] = needed.as_slice() { vec![*only] } else { Vec::new() };
        (fields, required)
    }))
    .answers::<VersionPage>(
        200,
        "A page of versions; pass `next` as `after` for the next one. Empty for a row that never was.",
    )
    .refuses(404, "There is no such system for this key.")
}

pub fn differences(spec: &'static EntitySpec) -> Operation {
    operation(
        spec,
        "Differences",
        format!(
            "What differs in {} between two moments",
            spec.entity
        ),
    )
    .says(
        "Row by row, in the order of the keys. What was changed and changed back, or removed and added again alike, is no \
         difference. A field that is not part of the key may itself have changed: the row is shown if either value is the one \
         asked for. A load that is being committed at the later moment may be missing: ask again when it has ended.",
    )
    .query_like(parameters(move || {
        let moment = |says: &str| json!({"type": "string", "format": "date-time", "description": says});
        let mut fields = Map::new();
        fields.insert("from".into(), moment("The earlier moment; not before what retention dropped."));
        fields.insert("to".into(), moment("The later moment, not in the future; now when absent."));
        for column in filters(spec) {
            fields.insert(column.wire.into(), field(column, "Only such rows."));
        }
        (fields, vec!["from"])
    }))
    .answers::<DifferencePage>(
        200,
        "A page of differences; pass `next` as `after`, and the same moments, for the next one.",
    )
    .refuses(404, "There is no such system for this key.")
}

/// `listPrincipalsHistory`, `listGovernanceCatalogsDifferences`
fn operation(spec: &EntitySpec, what: &str, summary: String) -> Operation {
    let entity: String = spec
        .entity
        .wire_name()
        .split(['/', '-'])
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect();
    Operation::new(Tag::History, format!("list{entity}{what}"), summary).needs(&[Permission::Read])
}

fn field(column: &Column, says: &str) -> Value {
    match column.kind {
        ColumnKind::Uuid => json!({"type": "string", "format": "uuid", "description": says}),
        _ => json!({"type": "string", "description": says}),
    }
}

/// The parameters that all questions share, and those of one.
fn parameters(
    own: impl Fn() -> (Map<String, Value>, Vec<&'static str>) + Send + Sync + 'static,
) -> SchemaOf {
    Box::new(move |_| {
        let (mut fields, mut required) = own();
        required.push("systemId");
        fields.insert(
            "systemId".into(),
            json!({"type": "integer", "format": "int32", "description": "The system."}),
        );
        fields.insert(
            "after".into(),
            json!({"type": "string", "description": "`next` of the page before."}),
        );
        fields.insert(
            "limit".into(),
            json!({"type": "integer", "format": "uint32", "minimum": 0,
                   "description": format!("At most so many; {USUAL_PAGE} when absent, never more than {MAX_PAGE}.")}),
        );
        json!({"type": "object", "properties": fields, "required": required})
    })
}
