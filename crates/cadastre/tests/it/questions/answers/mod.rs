//! The answer to each question, worked out from the tenant and the facts.

mod applications;
mod forgotten;
mod guests;
mod packages;
mod past;
mod privileged;
mod reach;

use serde_json::Value;

use super::{
    ask::{Item, camel_case},
    walk::Access,
    world::World,
};
use crate::oracle::Row;

/// Works out an answer.
type Expected = fn(&World) -> Vec<Item>;

/// Every question that can be checked.
pub const ALL: &[(&str, Expected)] = &[
    ("Q01", reach::holders),
    ("Q02", reach::of_application),
    ("Q03", reach::ways),
    ("Q04", reach::nested_groups),
    ("Q05", reach::owners),
    ("Q06", reach::holdings),
    ("Q07", reach::of_person),
    ("Q08", reach::matrix),
    ("Q09", reach::outsiders),
    ("Q10", privileged::global_administrators),
    ("Q11", privileged::tier_zero),
    ("Q12", privileged::eligible_only),
    ("Q13", privileged::guests),
    ("Q14", privileged::robots),
    ("Q15", privileged::disabled),
    ("Q16", privileged::standing),
    ("Q17", privileged::owners_of_role_groups),
    ("Q18", privileged::outsiders),
    ("Q19", privileged::nested),
    ("Q20", privileged::may_own),
    ("Q21", privileged::of_units),
    ("Q22", privileged::changed),
    ("Q23", guests::governed),
    ("Q24", guests::ungoverned),
    ("Q25", guests::pending),
    ("Q26", guests::new),
    ("Q27", forgotten::without_owner),
    ("Q28", forgotten::disabled_owners),
    ("Q29", forgotten::stale),
    ("Q30", forgotten::without_manager),
    ("Q31", forgotten::ending),
    ("Q32", forgotten::empty_groups),
    ("Q33", packages::contents),
    ("Q34", packages::given),
    ("Q35", packages::without),
    ("Q36", packages::bypassed),
    ("Q37", packages::both),
    ("Q38", packages::gaps),
    ("Q39", packages::findings),
    ("Q40", packages::approvers),
    ("Q41", packages::waiting),
    ("Q42", packages::denied),
    ("Q43", applications::mighty),
    ("Q44", applications::owners),
    ("Q45", applications::without_owner),
    ("Q46", applications::agents),
    ("Q47", past::of_group),
    ("Q48", past::of_principal),
    ("Q49", past::assigned_then),
    ("Q50", past::removed),
    ("Q51", past::accounts),
    ("Q52", past::movers),
    ("Q53", past::became_privileged),
    ("Q54", past::reached_then),
    ("Q55", forgotten::orphans),
];

/// The answer to a question.
pub fn expected_of(id: &str, world: &World) -> Vec<Item> {
    let found = ALL.iter().find(|(known, _)| *known == id);
    let (_, expected) = found.unwrap_or_else(|| panic!("{id} has no answer of its own"));
    expected(world)
}

/// These columns of a row, under their names on the wire.
fn shown(row: &Row, columns: &[&str]) -> Item {
    let column = |name: &&str| Some((camel_case(name), row.get(*name)?.clone()));
    columns
        .iter()
        .filter_map(column)
        .filter(|(_, value)| !value.is_null())
        .collect()
}

/// An object as an item.
fn item(value: Value) -> Item {
    match value {
        Value::Object(item) => item
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        _ => unreachable!("items are written as objects"),
    }
}

/// What a way comes to: now, or by activation.
fn state(access: &Access) -> &'static str {
    match access.assignment_type.as_str() {
        "Eligible" => "Eligible",
        _ => "Active",
    }
}
