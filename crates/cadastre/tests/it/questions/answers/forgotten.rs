//! Owners, leavers and the forgotten.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use super::{item, shown};
use crate::{
    oracle::Row,
    questions::{ask::Item, walk::text, world::World},
};

/// The groups that no assignment of this kind names.
fn groups_without(world: &World, is_of_kind: impl Fn(&Row) -> bool) -> Vec<Item> {
    let rows = world.now.assignments().filter(|row| is_of_kind(row));
    let named: BTreeSet<&str> = rows.map(|row| text(row, "resource_id")).collect();
    let groups = world.now.of("resources");
    groups
        .filter(|row| text(row, "resource_type") == "EntraGroup")
        .filter(|row| !named.contains(text(row, "id")))
        .map(|row| shown(row, &["id", "display_name"]))
        .collect()
}

pub fn without_owner(world: &World) -> Vec<Item> {
    groups_without(world, |row| text(row, "assignment_type") == "Owner")
}

pub fn empty_groups(world: &World) -> Vec<Item> {
    groups_without(world, |row| {
        matches!(text(row, "assignment_type"), "Direct" | "Eligible")
            && text(row, "role_scope") != "/owner"
    })
}

pub fn disabled_owners(world: &World) -> Vec<Item> {
    let owned = world.now.assignments();
    owned
        .filter(|row| text(row, "assignment_type") == "Owner")
        .filter(|row| world.now.is_disabled(text(row, "principal_id")))
        .map(|row| shown(row, &["resource_id", "principal_id"]))
        .collect()
}

fn date(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(text(row, column)).ok()?;
    Some(at.to_utc())
}

pub fn stale(world: &World) -> Vec<Item> {
    let limit = world.today - Duration::days(90);
    let mut assignments: BTreeMap<&str, u32> = BTreeMap::new();
    for row in world.now.assignments() {
        if text(row, "principal_type") != "Group" {
            *assignments.entry(text(row, "principal_id")).or_default() += 1;
        }
    }
    let active: BTreeMap<&str, DateTime<Utc>> = world
        .now
        .of("principal_activity")
        .filter_map(|row| {
            Some((
                text(row, "principal_id"),
                date(row, "last_activity_date_time")?,
            ))
        })
        .collect();
    let mut stale = Vec::new();
    for row in world.now.of("principals") {
        let id = text(row, "id");
        let last = active.get(id).copied();
        let known_since = last.or_else(|| date(row, "created_date_time"));
        let is_disabled = world.now.is_disabled(id);
        let is_inactive = known_since.is_none_or(|at| at < limit);
        let held = assignments.get(id).copied().unwrap_or(0);
        if held > 0 && (is_disabled || is_inactive || last.is_none()) {
            stale.push(item(
                json!({"principalId": id, "isDisabled": is_disabled, "isInactive": is_inactive,
                                   "wasNeverActive": last.is_none(), "assignments": held}),
            ));
        }
    }
    stale
}

pub fn without_manager(world: &World) -> Vec<Item> {
    let people = world.now.of("principals");
    people
        .filter(|row| world.now.is_disabled(text(row, "manager_id")))
        .map(|row| shown(row, &["id", "manager_id"]))
        .collect()
}

pub fn ending(world: &World) -> Vec<Item> {
    let window = world.today..world.today + Duration::days(30);
    let held = world.now.assignments();
    held.filter(|row| date(row, "expiration_date_time").is_some_and(|at| window.contains(&at)))
        .map(|row| {
            shown(
                row,
                &[
                    "resource_id",
                    "principal_id",
                    "assignment_type",
                    "role_scope",
                    "expiration_date_time",
                ],
            )
        })
        .collect()
}

/// Everything that a row refers to and that is not there.
pub fn orphans(world: &World) -> Vec<Item> {
    let rows = &world.now.rows;
    let is_there = |table: &'static str, id: &str| rows.contains_key(&(table, id.to_owned()));
    let mut all = Vec::new();
    let mut missing = |kind: &str, id: &str, other: &str, relation: &str| {
        all.push(item(
            json!({"kind": kind, "missingId": id, "referringId": other, "relation": relation}),
        ));
    };
    for row in world.now.assignments() {
        let (resource, principal) = (text(row, "resource_id"), text(row, "principal_id"));
        let relation = text(row, "assignment_type");
        let (kind, table) = match text(row, "principal_type") {
            "Group" => ("assignment_group", "resources"),
            _ => ("assignment_principal", "principals"),
        };
        if !is_there(table, principal) {
            missing(kind, principal, resource, relation);
        }
        if !is_there("resources", resource) {
            missing("assignment_resource", resource, principal, relation);
        }
    }
    for row in world.now.of("resource_relationships") {
        let parent = text(row, "parent_resource_id");
        let child = text(row, "child_resource_id");
        let relation = text(row, "relationship_type");
        if !is_there("resources", parent) {
            missing("relationship_parent", parent, child, relation);
        }
        if !is_there("resources", child) {
            missing("relationship_child", child, parent, relation);
        }
    }
    all
}
