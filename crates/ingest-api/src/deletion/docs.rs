//! What the routes about held removals do.

use contract::{ChangeSet, ChangeSetPage, Decision, HeldRowPage, Permission};
use schemars::JsonSchema;
use serde_json::{Value, json};
use uuid::Uuid;

use super::routes::{FindQuery, RowsQuery};
use crate::openapi::{Operation, SchemaOf, Tag};

/// Admins decide; who may read may look.
const LOOK: &[Permission] = &[Permission::Admin, Permission::Read];

/// What there is to do with a change set whose id is at this place of an answer.
fn leading_on(operation: Operation, id: &str) -> Operation {
    let same: Value = json!({"id": format!("$response.body#{id}")});
    ["listHeldRows", "approveHeld", "rejectHeld"]
        .into_iter()
        .fold(operation, |operation, next| operation.leads_to(next, &same))
}

pub fn find() -> Operation {
    let first = "/items/0/changeSetId";
    let operation = Operation::new(Tag::Held, "listHeld", "Removals that were held")
        .says("Newest first, decided ones included.")
        .needs(LOOK)
        .query::<FindQuery>()
        .answers::<ChangeSetPage>(
            200,
            "A page of the change sets that the key may see; pass `next` as `after` for the next one.",
        )
        .leads_to(
            "getHeld",
            &json!({"id": format!("$response.body#{first}")}),
        );
    leading_on(operation, first)
}

pub fn show() -> Operation {
    let operation = one("getHeld", "A change set")
        .says("While it waits, `wouldDeleteNow` is what an approval would remove at this moment.")
        .needs(LOOK)
        .answers::<ChangeSet>(200, "The change set.");
    leading_on(operation, "/changeSetId")
}

pub fn show_rows() -> Operation {
    one("listHeldRows", "The rows of a change set")
        .says(
            "In the order of their numbers, with names. Rows that came back since are not among them; rows that changed \
             otherwise are, with `isAsHeld: false`.",
        )
        .needs(LOOK)
        .query::<RowsQuery>()
        .answers::<HeldRowPage>(
            200,
            "A page; pass `next` as `after` for the next one.",
        )
        .refuses(
            404,
            "There is no such change set for this key, or retention dropped the list of its rows (`rowsPurgedAt`).",
        )
}

pub fn approve() -> Operation {
    decision("approveHeld", "Remove what was held")
        .says(
            "Rows that changed or were met by a load since then stay. With `wouldDelete`, only if exactly so many rows are \
             removed: send the number that the person saw.",
        )
        .takes::<Decision>(json!({
            "reason": "the department was closed, ticket 4711", "wouldDelete": 51,
        }))
        .refuses(
            409,
            "The change set was decided before, a newer load made it void, or another number of rows than `wouldDelete` \
             would be removed. Nothing was done.",
        )
}

pub fn reject() -> Operation {
    decision("rejectHeld", "Keep what was held")
        .says("It removes nothing, so it takes no `wouldDelete` (400).")
        .takes_like(rejection(), json!({"reason": "the export was cut off"}))
        .refuses(
            409,
            "The change set was decided before, or a newer load made it void.",
        )
}

/// A decision without what only an approval has.
fn rejection() -> SchemaOf {
    Box::new(|generator| {
        let mut schema = Decision::json_schema(generator).to_value();
        if let Some(fields) = schema["properties"].as_object_mut() {
            fields.remove("wouldDelete");
        }
        schema
    })
}

fn decision(id: &str, summary: &str) -> Operation {
    one(id, summary)
        .needs(&[Permission::Admin])
        .answers::<ChangeSet>(200, "The change set as it was decided.")
}

fn one(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Held, id, summary).path::<Uuid>("id", "The change set.")
}
