//! Access packages and reviews.

use std::collections::BTreeSet;

use serde_json::json;

use super::{item, shown};
use crate::{
    oracle::Row,
    questions::{
        ask::Item,
        walk::{Access, Graph, outcome, text},
        world::World,
    },
};

fn all_contents(world: &World) -> impl Iterator<Item = &Row> {
    world
        .now
        .of("resource_relationships")
        .filter(|row| text(row, "relationship_type") == "Contains")
}

/// Package and principal: given to it, or to a group that it is in.
fn holders(world: &World) -> BTreeSet<(&str, &str)> {
    let access = world.now.access.iter();
    access
        .filter(|access| access.assignment_type == "Governed")
        .map(|access| (access.resource.as_str(), access.principal.as_str()))
        .collect()
}

/// The own assignments of principals for which the test is true of the row and of whether a package explains it.
pub fn own_where(world: &World, test: impl Fn(&Row, bool) -> bool) -> Vec<Item> {
    let by_package: BTreeSet<(&str, &str, &str, &str)> = world
        .now
        .access
        .iter()
        .filter(|access| access.via_kind == "Package")
        .map(|access| {
            (
                access.resource.as_str(),
                access.principal.as_str(),
                access.assignment_type.as_str(),
                access.role_scope.as_str(),
            )
        })
        .collect();
    let own = world.now.assignments().filter(|row| {
        text(row, "principal_type") != "Group"
            && matches!(
                text(row, "assignment_type"),
                "Direct" | "Owner" | "Eligible"
            )
    });
    own.filter(|row| {
        let key = (
            text(row, "resource_id"),
            text(row, "principal_id"),
            text(row, "assignment_type"),
            text(row, "role_scope"),
        );
        test(row, by_package.contains(&key))
    })
    .map(|row| shown(row, &["resource_id", "principal_id", "assignment_type"]))
    .collect()
}

pub fn contents(world: &World) -> Vec<Item> {
    let package = world.filled("package_id");
    all_contents(world)
        .filter(|row| text(row, "parent_resource_id") == package)
        .map(|row| {
            let child = text(row, "child_resource_id");
            item(
                json!({"resourceId": child, "roleName": text(row, "role_name"), "assignmentType": outcome(row).0,
                         "isMissing": world.now.resource_type(child).is_empty()}),
            )
        })
        .collect()
}

pub fn given(world: &World) -> Vec<Item> {
    let package = world.filled("package_id");
    let given = world.now.assignments().filter(|row| {
        text(row, "resource_id") == package && text(row, "assignment_type") == "Governed"
    });
    given
        .map(|row| {
            shown(
                row,
                &[
                    "principal_id",
                    "principal_type",
                    "policy_id",
                    "expiration_date_time",
                ],
            )
        })
        .collect()
}

pub fn without(world: &World) -> Vec<Item> {
    let package = world.filled("package_id");
    let graph = Graph::new(&world.now.rows);
    let later = Graph::new(&world.now.rows).without(package);
    let what = |access: &Access| {
        (
            access.resource.clone(),
            access.assignment_type.clone(),
            access.role_scope.clone(),
        )
    };
    let mut all = Vec::new();
    let holders = holders(world);
    for (_, principal) in holders.iter().filter(|(held, _)| *held == package) {
        let remaining = later.access_of(principal);
        let remains: BTreeSet<_> = remaining.iter().map(what).collect();
        for access in graph.access_of(principal).difference(&remaining) {
            all.push(item(json!({
                "principalId": principal,
                "resourceId": access.resource,
                "assignmentType": access.assignment_type,
                "roleScope": access.role_scope,
                "remains": remains.contains(&what(access)),
            })));
        }
    }
    all
}

pub fn bypassed(world: &World) -> Vec<Item> {
    let contained: BTreeSet<&str> = all_contents(world)
        .map(|row| text(row, "child_resource_id"))
        .collect();
    own_where(world, |row, is_governed| {
        !is_governed && contained.contains(text(row, "resource_id"))
    })
}

pub fn both(world: &World) -> Vec<Item> {
    let group = world.filled("package_group_id");
    let mut found = own_where(world, |row, is_governed| {
        is_governed && text(row, "resource_id") == group
    });
    for item in &mut found {
        item.remove("resourceId");
    }
    found
}

pub fn gaps(world: &World) -> Vec<Item> {
    let graph = Graph::new(&world.now.rows);
    let mut all = Vec::new();
    for (package, principal) in holders(world) {
        for row in all_contents(world).filter(|row| text(row, "parent_resource_id") == package) {
            let (kind, scope) = outcome(row);
            let child = text(row, "child_resource_id");
            let is_delivered = graph.own(principal).iter().any(|own| {
                text(own, "resource_id") == child
                    && text(own, "assignment_type") == kind
                    && (text(own, "role_scope") == "/owner") == (scope == "/owner")
            });
            if !is_delivered {
                all.push(item(
                    json!({"principalId": principal, "packageId": package, "resourceId": child,
                                     "roleName": text(row, "role_name")}),
                ));
            }
        }
    }
    all
}

pub fn findings(world: &World) -> Vec<Item> {
    let now = &world.now;
    let mut all = Vec::new();
    for package in now
        .of("resources")
        .filter(|row| text(row, "resource_type") == "BusinessRole")
    {
        let id = text(package, "id");
        let contents: Vec<&Row> = all_contents(world)
            .filter(|row| text(row, "parent_resource_id") == id)
            .collect();
        let is_missing = |row: &&Row| now.resource_type(text(row, "child_resource_id")).is_empty();
        let is_held = now.assignments().any(|row| {
            text(row, "resource_id") == id && text(row, "assignment_type") == "Governed"
        });
        let has_policy = now
            .of("assignment_policies")
            .any(|row| text(row, "resource_id") == id);
        for (is_so, finding) in [
            (contents.iter().any(is_missing), "content_missing"),
            (contents.is_empty(), "no_contents"),
            (!is_held, "no_holders"),
            (!has_policy, "no_policy"),
        ] {
            if is_so {
                all.push(item(json!({"packageId": id, "finding": finding})));
            }
        }
    }
    all
}

pub fn approvers(world: &World) -> Vec<Item> {
    let policies = world.now.of("assignment_policies");
    policies
        .filter(|row| text(row, "resource_id") == world.filled("package_id"))
        .map(|row| {
            let settings = row["extended_attributes"]["requestApprovalSettings"].clone();
            item(
                json!({"id": text(row, "id"), "displayName": text(row, "display_name"),
                        "requestApprovalSettings": settings}),
            )
        })
        .collect()
}

pub fn waiting(world: &World) -> Vec<Item> {
    let requests = world.now.of("assignment_requests");
    requests
        .filter(|row| text(row, "state") == "PendingApproval")
        .map(|row| {
            shown(
                row,
                &["id", "requestor_id", "resource_id", "created_date_time"],
            )
        })
        .collect()
}

pub fn denied(world: &World) -> Vec<Item> {
    let held: BTreeSet<(&str, &str)> = world
        .now
        .access
        .iter()
        .map(|access| (access.resource.as_str(), access.principal.as_str()))
        .collect();
    let decisions = world.now.of("certification_decisions");
    decisions
        .filter(|row| text(row, "decision") != "Approve")
        .filter(|row| held.contains(&(text(row, "resource_id"), text(row, "principal_id"))))
        .map(|row| shown(row, &["id", "principal_id", "resource_id", "decision"]))
        .collect()
}
