//! Applications and agents.

use std::collections::BTreeSet;

use serde_json::json;

use super::{item, shown};
use crate::questions::{
    ask::Item,
    facts::PERMISSIONS,
    walk::{Access, text},
    world::World,
};

/// Access to permissions that lead to everything.
fn mighty_access(world: &World) -> impl Iterator<Item = (&Access, &str)> {
    let named = world.now.access.iter().map(|access| {
        let name = world
            .now
            .look_up("resources", &access.resource, "display_name");
        (access, name)
    });
    named.filter(|(access, name)| {
        PERMISSIONS[..3].contains(name)
            && world.now.resource_type(&access.resource) == "EntraAppRole"
    })
}

pub fn mighty(world: &World) -> Vec<Item> {
    mighty_access(world)
        .map(|(access, name)| {
            item(json!({"principalId": access.principal, "resourceId": access.resource, "resourceName": name}))
        })
        .collect()
}

pub fn owners(world: &World) -> Vec<Item> {
    let applications: BTreeSet<&str> = mighty_access(world)
        .map(|(access, _)| access.principal.as_str())
        .collect();
    let owned = world.now.assignments();
    owned
        .filter(|row| {
            text(row, "assignment_type") == "Owner"
                && applications.contains(text(row, "resource_id"))
        })
        .map(|row| shown(row, &["resource_id", "principal_id"]))
        .collect()
}

pub fn without_owner(world: &World) -> Vec<Item> {
    let mut owned = BTreeSet::new();
    let mut holders = BTreeSet::new();
    for row in world.now.assignments() {
        holders.insert(text(row, "principal_id"));
        if text(row, "assignment_type") == "Owner" {
            owned.insert(text(row, "resource_id"));
        }
    }
    let applications = world.now.of("principals");
    applications
        .filter(|row| text(row, "principal_type") == "ServicePrincipal")
        .filter(|row| holders.contains(text(row, "id")) && !owned.contains(text(row, "id")))
        .map(|row| shown(row, &["id", "display_name"]))
        .collect()
}

pub fn agents(world: &World) -> Vec<Item> {
    let access = world.now.access.iter();
    access
        .filter(|access| world.now.principal_type(&access.principal) == "AIAgent")
        .map(|access| {
            item(
                json!({"principalId": access.principal, "resourceId": access.resource,
                         "assignmentType": access.assignment_type, "viaKind": access.via_kind, "viaId": access.via_id}),
            )
        })
        .collect()
}
