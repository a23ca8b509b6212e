//! Who can reach this, and how.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::item;
use crate::questions::{
    ask::Item,
    walk::{Access, Graph, text},
    world::{Moment, World},
};

pub fn holders(world: &World) -> Vec<Item> {
    holders_at(&world.now, world.filled("group_id"))
}

/// Who has a resource at a moment, by what way.
pub fn holders_at(moment: &Moment, resource: &str) -> Vec<Item> {
    let access = moment.access.iter();
    access
        .filter(|access| access.resource == resource)
        .map(|access| {
            item(
                json!({"principalId": access.principal, "assignmentType": access.assignment_type,
                         "roleScope": access.role_scope, "viaKind": access.via_kind, "viaId": access.via_id}),
            )
        })
        .collect()
}

pub fn of_application(world: &World) -> Vec<Item> {
    let roles: BTreeSet<&str> = world
        .now
        .of("resources")
        .filter(|row| {
            text(row, "app_id") == world.filled("app_id")
                && text(row, "resource_type") == "EntraAppRole"
        })
        .map(|row| text(row, "id"))
        .collect();
    let access = world.now.access.iter();
    access
        .filter(|access| roles.contains(access.resource.as_str()))
        .map(|access| {
            item(
                json!({"resourceId": access.resource, "principalId": access.principal,
                         "assignmentType": access.assignment_type, "viaKind": access.via_kind, "viaId": access.via_id}),
            )
        })
        .collect()
}

pub fn ways(world: &World) -> Vec<Item> {
    let graph = Graph::new(&world.now.rows);
    let lengths = graph.ways(world.filled("member_id"), world.filled("group_id"));
    let lengths = lengths.into_iter().enumerate();
    lengths
        .map(|(place, length)| item(json!({"pathNumber": place + 1, "length": length})))
        .collect()
}

/// The groups inside a group, each with whether something on the way must be activated.
pub fn inside(world: &World, group: &str) -> BTreeSet<(String, bool)> {
    let mut found = BTreeSet::new();
    let mut open = vec![(group.to_owned(), false)];
    while let Some((outer, is_eligible)) = open.pop() {
        if !found.insert((outer.clone(), is_eligible)) {
            continue;
        }
        let members = world.now.assignments().filter(|row| {
            text(row, "resource_id") == outer
                && text(row, "principal_type") == "Group"
                && matches!(text(row, "assignment_type"), "Direct" | "Eligible")
                && text(row, "role_scope") != "/owner"
        });
        for row in members {
            let is_eligible = is_eligible || text(row, "assignment_type") == "Eligible";
            open.push((text(row, "principal_id").to_owned(), is_eligible));
        }
    }
    found
}

pub fn nested_groups(world: &World) -> Vec<Item> {
    inside(world, world.filled("group_id"))
        .into_iter()
        .map(|(group, is_eligible)| {
            item(json!({"nestedGroupId": group, "isEligible": is_eligible}))
        })
        .collect()
}

pub fn owners(world: &World) -> Vec<Item> {
    let owned = world.now.assignments().filter(|row| {
        text(row, "resource_id") == world.filled("group_id")
            && text(row, "assignment_type") == "Owner"
    });
    owned
        .map(|row| super::shown(row, &["principal_id", "principal_type"]))
        .collect()
}

pub fn holdings(world: &World) -> Vec<Item> {
    let principal = world.filled("principal_id");
    let access = world.now.access.iter();
    access
        .filter(|access| access.principal == principal)
        .map(|access| {
            item(
                json!({"resourceId": access.resource, "assignmentType": access.assignment_type,
                         "roleScope": access.role_scope, "viaKind": access.via_kind, "viaId": access.via_id}),
            )
        })
        .collect()
}

pub fn of_person(world: &World) -> Vec<Item> {
    let accounts: BTreeSet<&str> = world
        .now
        .of("identity_members")
        .filter(|row| text(row, "identity_id") == world.filled("identity_id"))
        .map(|row| text(row, "principal_id"))
        .collect();
    let access = world.now.access.iter();
    access
        .filter(|access| accounts.contains(access.principal.as_str()))
        .map(|access| {
            item(
                json!({"principalId": access.principal, "resourceId": access.resource,
                         "assignmentType": access.assignment_type, "roleScope": access.role_scope}),
            )
        })
        .collect()
}

pub fn matrix(world: &World) -> Vec<Item> {
    let now = &world.now;
    let is_role_group = |id: &str| {
        let row = now.rows.get(&("resources", id.to_owned()));
        row.is_some_and(|row| row.get("is_assignable_to_role") == Some(&json!(true)))
    };
    let mut cells: BTreeMap<(&str, &str), Vec<&Access>> = BTreeMap::new();
    for access in &now.access {
        let is_there = now.is_in(world.filled("department"), &access.principal) == Some(true);
        if is_there && is_role_group(&access.resource) {
            let cell = cells.entry((&access.resource, &access.principal));
            cell.or_default().push(access);
        }
    }
    cells
        .into_iter()
        .map(|((resource, principal), ways)| {
            let any = |test: &dyn Fn(&Access) -> bool| ways.iter().any(|way| test(way));
            let is_type = |way: &Access, word: &str| way.assignment_type == word;
            item(json!({
                "resourceId": resource,
                "principalId": principal,
                "isDirect": any(&|way| way.via_kind == "Direct" && is_type(way, "Direct")),
                "isIndirect": any(&|way| way.via_kind != "Direct" && !is_type(way, "Owner") && !is_type(way, "Eligible")),
                "isOwner": any(&|way| is_type(way, "Owner") || way.role_scope == "/owner"),
                "isEligible": any(&|way| is_type(way, "Eligible")),
                "isGoverned": any(&|way| way.via_kind == "Package" || is_type(way, "Governed")),
            }))
        })
        .collect()
}

pub fn outsiders(world: &World) -> Vec<Item> {
    let group = world.filled("group_id");
    let access = world.now.access.iter();
    access
        .filter(|access| access.resource == group)
        .filter(|access| {
            world
                .now
                .is_in(world.filled("department"), &access.principal)
                == Some(false)
        })
        .map(|access| {
            let kind = world.now.principal_type(&access.principal);
            item(json!({"id": access.principal, "principalType": kind}))
        })
        .collect()
}
