//! What the routes about attributes do.

use contract::{
    AttributeDriftPage, AttributePage, Permission, Promote, PromoteAll, PromotedAll, Promotion,
    PromotionPage,
};
use serde_json::json;
use uuid::Uuid;

use super::routes::{DriftQuery, FindQuery, PromotionQuery};
use crate::openapi::{Operation, Tag};

/// Who may read may look; so may who promotes.
const LOOK: &[Permission] = &[Permission::Read, Permission::Schema, Permission::Admin];
const PROMOTE: &[Permission] = &[Permission::Schema, Permission::Admin];

pub fn find() -> Operation {
    Operation::new(
        Tag::Attributes,
        "listAttributes",
        "The extended attributes that a system sends",
    )
    .says(
        "By name. `rowsTotal` and `mismatches` are counted in the background, at `countedAt`. With `tooMany` or \
         `namesTooLong` the list is not complete; the values are kept with their rows all the same.",
    )
    .needs(LOOK)
    .query::<FindQuery>()
    .answers::<AttributePage>(
        200,
        "A page; pass `next` as `after` for the next one.",
    )
    .refuses(404, "There is no such system for this key.")
}

pub fn drifts() -> Operation {
    Operation::new(
        Tag::Attributes,
        "listAttributeDrifts",
        "Attributes that came with another JSON type than before",
    )
    .says("Latest first. Nothing is refused for this: the value is kept as it came.")
    .needs(LOOK)
    .query::<DriftQuery>()
    .answers::<AttributeDriftPage>(200, "A page; pass `next` as `after` for the next one.")
    .refuses(404, "There is no such system for this key.")
}

pub fn promotions() -> Operation {
    Operation::new(
        Tag::Attributes,
        "listPromotions",
        "Attributes that have, had or get columns, and core fields with their indexes",
    )
    .says(
        "Those that the workspace asked for, latest first. Each names an `attribute` or a `field`.",
    )
    .needs(LOOK)
    .query::<PromotionQuery>()
    .answers::<PromotionPage>(200, "A page; pass `next` as `after` for the next one.")
    .leads_to(
        "getPromotion",
        &json!({"id": "$response.body#/items/0/promotionId"}),
    )
}

pub fn promote() -> Operation {
    Operation::new(
        Tag::Attributes,
        "promoteAttribute",
        "Give an attribute a column, or a core field an index",
    )
    .says(
        "The column is made and filled in the background, while loads and readers go on; follow it by its id. Values \
         that do not fit the type stay where they are, and are counted. Promoting what is promoted answers the promotion \
         that there is. With `field` in place of `attribute`, a core field such as `createdDateTime` gets an index, by \
         which lists are sorted without reading the whole table; its column is there already. The key, and `displayName` \
         of principals and resources, have one from the beginning.",
    )
    .needs(PROMOTE)
    .takes::<Promote>(json!({"entity": "principals", "attribute": "costCenter", "type": "text"}))
    .answers::<Promotion>(200, "It was asked for before.")
    .answers::<Promotion>(201, "It begins.")
    .leads_to("getPromotion", &json!({"id": "$response.body#/promotionId"}))
    .leads_to("demoteAttribute", &json!({"id": "$response.body#/promotionId"}))
    .refuses(
        409,
        "The attribute has a column of another type, or the entity has as many promoted attributes and fields as a table can \
         have.",
    )
}

pub fn promote_all() -> Operation {
    Operation::new(
        Tag::Attributes,
        "promoteAttributes",
        "See to it that attributes have columns, and core fields indexes",
    )
    .says("For crawlers, at every start. What cannot have one is listed in `refused` and does not stop the others.")
    .needs(PROMOTE)
    .takes::<PromoteAll>(json!({
        "promotions": [
            {"entity": "principals", "attribute": "costCenter"},
            {"entity": "resource-assignments", "field": "startDateTime"},
        ],
    }))
    .answers::<PromotedAll>(200, "What has, or will have, a column or an index, and what not.")
}

pub fn show() -> Operation {
    one("getPromotion", "A promotion")
        .needs(LOOK)
        .answers::<Promotion>(200, "The promotion.")
}

pub fn demote() -> Operation {
    one("demoteAttribute", "Take a column or an index back")
        .says(
            "The attribute keeps its values. The column is emptied in the background and then free for another attribute. \
             Of a core field only the index goes; the column and what is in it stay. While another workspace wants it too, it \
             stays.",
        )
        .needs(PROMOTE)
        .answers::<Promotion>(200, "The promotion as it stands now.")
}

fn one(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Attributes, id, summary).path::<Uuid>("id", "The promotion.")
}
