//! What changed, and how it was.

use std::collections::BTreeSet;

use serde_json::json;

use super::{item, reach::holders_at, shown};
use crate::{
    oracle::Row,
    questions::{ask::Item, walk::text, world::World},
};

/// The assignments that came, went or changed and were of a kind at either moment.
pub fn differences(world: &World, is_of_kind: impl Fn(&Row) -> bool) -> Vec<Item> {
    let (before, now) = (&world.before.rows, &world.now.rows);
    let places: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let mut all = Vec::new();
    for place in places {
        if place.0 != "resource_assignments" {
            continue;
        }
        let (old, new) = (before.get(place), now.get(place));
        let change = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            (old, new) if old != new => "changed",
            _ => continue,
        };
        if ![old, new].into_iter().flatten().any(&is_of_kind) {
            continue;
        }
        let row = new.or(old).expect("one of them");
        let key = [
            "resource_id",
            "principal_id",
            "assignment_type",
            "role_scope",
        ];
        let mut row = shown(row, &key);
        row.insert("change".to_owned(), change.into());
        all.push(row);
    }
    all
}

pub fn of_group(world: &World) -> Vec<Item> {
    differences(world, |row| {
        text(row, "resource_id") == world.filled("changed_group_id")
    })
}

pub fn of_principal(world: &World) -> Vec<Item> {
    differences(world, |row| {
        text(row, "principal_id") == world.filled("changed_principal_id")
    })
}

pub fn assigned_then(world: &World) -> Vec<Item> {
    let held = world.before.assignments();
    held.filter(|row| text(row, "resource_id") == world.filled("changed_group_id"))
        .map(|row| shown(row, &["principal_id", "assignment_type", "role_scope"]))
        .collect()
}

pub fn removed(world: &World) -> Vec<Item> {
    let gone = world.before.rows.iter().filter(|(place, _)| {
        place.0 == "resource_assignments" && !world.now.rows.contains_key(place)
    });
    let columns = [
        "resource_id",
        "principal_id",
        "assignment_type",
        "role_scope",
    ];
    gone.map(|(_, row)| shown(row, &columns)).collect()
}

pub fn accounts(world: &World) -> Vec<Item> {
    let (before, now) = (&world.before.rows, &world.now.rows);
    let places: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    places
        .into_iter()
        .filter(|place| place.0 == "principals")
        .filter_map(|place| {
            let change = match (before.get(place), now.get(place)) {
                (None, _) => "added",
                (_, None) => "removed",
                (old, new) if old != new => "changed",
                _ => return None,
            };
            Some(item(json!({"id": place.1, "change": change})))
        })
        .collect()
}

pub fn movers(world: &World) -> Vec<Item> {
    let department = world.filled("department");
    let has_moved = |id: &str| {
        world.now.is_in(department, id) == Some(true)
            && world.before.is_in(department, id) != Some(true)
    };
    let held = world.now.rows.iter();
    held.filter(|(place, _)| {
        place.0 == "resource_assignments" && world.before.rows.contains_key(place)
    })
    .map(|(_, row)| row)
    .filter(|row| has_moved(text(row, "principal_id")))
    .map(|row| shown(row, &["principal_id", "resource_id", "assignment_type"]))
    .collect()
}

pub fn became_privileged(world: &World) -> Vec<Item> {
    let then: BTreeSet<&str> = world
        .before
        .roles()
        .map(|access| access.principal.as_str())
        .collect();
    let now = world.now.roles().map(|access| access.principal.as_str());
    now.filter(|principal| !then.contains(principal))
        .map(|principal| item(json!({"principalId": principal})))
        .collect()
}

pub fn reached_then(world: &World) -> Vec<Item> {
    holders_at(&world.before, world.filled("group_id"))
}
