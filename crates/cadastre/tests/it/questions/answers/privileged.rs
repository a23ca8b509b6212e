//! Privileged access.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use super::{item, past, reach::inside, shown, state};
use crate::questions::{
    ask::Item,
    tenant::GLOBAL_ADMINISTRATOR,
    walk::{Access, text},
    world::World,
};

/// Global, Privileged Role and Privileged Authentication Administrator.
const TIER_ZERO: [Uuid; 3] = [
    GLOBAL_ADMINISTRATOR,
    Uuid::from_u128(0xe861_1ab8_c189_46e8_94e1_6021_3ab1_f814),
    Uuid::from_u128(0x7be4_4c8a_adaf_4e2a_84d6_ab26_49e0_8a13),
];

fn roles_where(
    world: &World,
    test: impl Fn(&Access) -> bool,
    show: impl Fn(&Access) -> serde_json::Value,
) -> Vec<Item> {
    let found = world.now.roles().filter(|access| test(access));
    found.map(|access| item(show(access))).collect()
}

pub fn global_administrators(world: &World) -> Vec<Item> {
    let role = GLOBAL_ADMINISTRATOR.to_string();
    roles_where(
        world,
        |access| access.resource == role,
        |access| {
            json!({"principalId": access.principal, "accessState": state(access), "roleScope": access.role_scope,
                   "viaKind": access.via_kind, "viaId": access.via_id})
        },
    )
}

pub fn tier_zero(world: &World) -> Vec<Item> {
    let roles = TIER_ZERO.map(|role| role.to_string());
    roles_where(
        world,
        |access| roles.contains(&access.resource),
        |access| json!({"principalId": access.principal, "highestTier": 0}),
    )
}

pub fn eligible_only(world: &World) -> Vec<Item> {
    let active: BTreeSet<(&str, &str)> = world
        .now
        .roles()
        .filter(|access| state(access) == "Active")
        .map(|access| (access.principal.as_str(), access.resource.as_str()))
        .collect();
    roles_where(
        world,
        |access| {
            state(access) == "Eligible"
                && !active.contains(&(access.principal.as_str(), access.resource.as_str()))
        },
        |access| json!({"principalId": access.principal, "roleId": access.resource}),
    )
}

pub fn guests(world: &World) -> Vec<Item> {
    roles_where(
        world,
        |access| world.now.principal_type(&access.principal) == "ExternalUser",
        |access| {
            json!({"principalId": access.principal, "roleId": access.resource, "accessState": state(access),
                   "roleScope": access.role_scope})
        },
    )
}

pub fn robots(world: &World) -> Vec<Item> {
    let kind = |access: &Access| world.now.principal_type(&access.principal).to_owned();
    roles_where(
        world,
        |access| !matches!(kind(access).as_str(), "User" | "ExternalUser" | ""),
        |access| {
            json!({"principalId": access.principal, "principalType": kind(access), "roleId": access.resource,
                   "roleScope": access.role_scope})
        },
    )
}

pub fn disabled(world: &World) -> Vec<Item> {
    roles_where(
        world,
        |access| world.now.is_disabled(&access.principal),
        |access| json!({"principalId": access.principal, "roleId": access.resource, "accessState": state(access)}),
    )
}

pub fn standing(world: &World) -> Vec<Item> {
    let held = world.now.assignments().filter(|row| {
        text(row, "resource_type") == "EntraDirectoryRole"
            && text(row, "assignment_type") == "Direct"
            && text(row, "state") == "Assigned"
            && text(row, "expiration_date_time").is_empty()
    });
    let columns = [
        "resource_id",
        "principal_id",
        "principal_type",
        "role_scope",
    ];
    held.map(|row| shown(row, &columns)).collect()
}

pub fn owners_of_role_groups(world: &World) -> Vec<Item> {
    let groups: BTreeSet<&str> = world
        .now
        .of("resources")
        .filter(|row| row.get("is_assignable_to_role") == Some(&json!(true)))
        .map(|row| text(row, "id"))
        .collect();
    let owned = world.now.assignments().filter(|row| {
        text(row, "assignment_type") == "Owner" && groups.contains(text(row, "resource_id"))
    });
    owned
        .map(|row| shown(row, &["resource_id", "principal_id"]))
        .collect()
}

pub fn outsiders(world: &World) -> Vec<Item> {
    let department = world.filled("department");
    roles_where(
        world,
        |access| {
            access.via_kind == "Group"
                && world.now.is_in(department, &access.principal) == Some(false)
        },
        |access| json!({"viaId": access.via_id, "roleId": access.resource, "principalId": access.principal}),
    )
}

pub fn nested(world: &World) -> Vec<Item> {
    let held = world.now.assignments().filter(|row| {
        text(row, "resource_type") == "EntraDirectoryRole" && text(row, "principal_type") == "Group"
    });
    let groups: BTreeSet<&str> = held.map(|row| text(row, "principal_id")).collect();
    groups
        .into_iter()
        .flat_map(|group| {
            let nested = inside(world, group).into_iter();
            nested.map(move |(inner, is_eligible)| {
                item(json!({"groupId": group, "nestedGroupId": inner, "isEligible": is_eligible}))
            })
        })
        .collect()
}

pub fn may_own(world: &World) -> Vec<Item> {
    let held = world.now.assignments();
    held.filter(|row| {
        text(row, "assignment_type") == "Eligible" && text(row, "role_scope") == "/owner"
    })
    .map(|row| {
        shown(
            row,
            &["resource_id", "principal_id", "expiration_date_time"],
        )
    })
    .collect()
}

pub fn of_units(world: &World) -> Vec<Item> {
    roles_where(
        world,
        |access| access.role_scope.starts_with("/administrativeUnits/"),
        |access| json!({"principalId": access.principal, "roleId": access.resource, "roleScope": access.role_scope}),
    )
}

pub fn changed(world: &World) -> Vec<Item> {
    past::differences(world, |row| {
        text(row, "resource_type") == "EntraDirectoryRole"
    })
}
