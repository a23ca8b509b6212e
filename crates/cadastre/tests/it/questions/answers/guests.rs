//! Guests.

use std::collections::BTreeSet;

use serde_json::json;

use super::{item, packages, shown};
use crate::{
    oracle::Row,
    questions::{ask::Item, walk::text, world::World},
};

fn is_guest(row: &Row) -> bool {
    text(row, "principal_type") == "ExternalUser"
}

pub fn governed(world: &World) -> Vec<Item> {
    let now = &world.now;
    now.access
        .iter()
        .filter(|access| {
            access.assignment_type == "Governed"
                && now.resource_type(&access.resource) == "BusinessRole"
                && now.principal_type(&access.principal) == "ExternalUser"
        })
        .map(|access| {
            item(json!({"principalId": access.principal, "resourceId": access.resource, "viaKind": access.via_kind}))
        })
        .collect()
}

pub fn ungoverned(world: &World) -> Vec<Item> {
    packages::own_where(world, |row, is_governed| {
        !is_governed && world.now.principal_type(text(row, "principal_id")) == "ExternalUser"
    })
}

pub fn pending(world: &World) -> Vec<Item> {
    let holders: BTreeSet<&str> = world
        .now
        .assignments()
        .map(|row| text(row, "principal_id"))
        .collect();
    let guests = world.now.of("principals").filter(|row| is_guest(row));
    guests
        .filter(|row| row["extended_attributes"]["externalUserState"] == "PendingAcceptance")
        .filter(|row| holders.contains(text(row, "id")))
        .map(|row| shown(row, &["id", "user_principal_name"]))
        .collect()
}

pub fn new(world: &World) -> Vec<Item> {
    let known: BTreeSet<&str> = world
        .before
        .of("principals")
        .map(|row| text(row, "id"))
        .collect();
    let guests = world.now.of("principals").filter(|row| is_guest(row));
    guests
        .filter(|row| !known.contains(text(row, "id")))
        .map(|row| shown(row, &["id", "user_principal_name"]))
        .collect()
}
