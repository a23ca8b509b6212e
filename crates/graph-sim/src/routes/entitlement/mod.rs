//! Entitlement management: catalogs, packages, policies, assignments, requests. Nothing
//! here names what it belongs to unless that is expanded.

mod entities;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::paging::{Paging, behind};
use super::property::{Entity, Filter, render, select};
use super::wire::{time, varied_id};
use super::{Call, Route, get};
use crate::model::{GroupAccess, MemberKind, PackageGrant, PackageRole};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/identityGovernance/entitlementManagement/catalogs",
        permissions::ENTITLEMENTS,
        1,
        catalogs,
    )
    .needs_p2(),
    get(
        "/identityGovernance/entitlementManagement/accessPackages",
        permissions::ENTITLEMENTS,
        1,
        packages,
    )
    .needs_p2(),
    get(
        "/identityGovernance/entitlementManagement/accessPackages/{id}/resourceRoleScopes",
        permissions::ENTITLEMENTS,
        1,
        contents,
    )
    .needs_p2(),
    get(
        "/identityGovernance/entitlementManagement/assignmentPolicies",
        permissions::ENTITLEMENTS,
        1,
        policies,
    )
    .needs_p2(),
    get(
        "/identityGovernance/entitlementManagement/assignments",
        permissions::ENTITLEMENTS,
        1,
        assignments,
    )
    .needs_p2(),
    get(
        "/identityGovernance/entitlementManagement/assignmentRequests",
        permissions::ENTITLEMENTS,
        1,
        requests,
    )
    .needs_p2(),
    get(
        "/roleManagement/entitlementManagement/roleDefinitions",
        permissions::ENTITLEMENTS,
        1,
        roles,
    )
    .needs_p2(),
    get(
        "/roleManagement/entitlementManagement/roleAssignments",
        permissions::ENTITLEMENTS,
        1,
        catalog_roles,
    )
    .needs_p2(),
];

/// Larger pages have been seen to time out at the gateway.
const LARGEST_SAFE_PAGE: usize = 500;

/// The relations that a request expands; others are refused.
fn expanded(call: &Call<'_>, known: &[&str]) -> Result<Vec<String>, GraphError> {
    let expands = call.query.expands()?.into_iter();
    expands
        .map(|expand| {
            if known.contains(&expand.name.as_str()) {
                Ok(expand.name)
            } else {
                Err(GraphError::bad_request(format!(
                    "Parsing OData Select and Expand failed: '{}' cannot be expanded.",
                    expand.name
                )))
            }
        })
        .collect()
}

fn paging(call: &Call<'_>) -> Result<Paging, GraphError> {
    if call
        .query
        .top()?
        .is_some_and(|size| size > LARGEST_SAFE_PAGE)
    {
        return Err(GraphError::new(504, "GatewayTimeout", ""));
    }
    Paging::of(call, LARGEST_SAFE_PAGE)
}

/// One page of a list, each object with what `expand` adds to it.
fn page<'a, T: Entity>(
    call: &Call<'_>,
    context: &str,
    paging: &Paging,
    objects: impl Iterator<Item = &'a T>,
    key: impl Fn(&T) -> Uuid,
    expand: impl Fn(&T, &mut Map<String, Value>),
) -> Result<Body, GraphError> {
    let selection = select::<T>(call.query.select().as_deref(), call.version, call.grants)?;
    let filter = Filter::<T>::parse(call.query.get("$filter"), call.version, call.is_eventual)?;
    let objects = objects.filter(|object| filter.matches(object));
    let page = paging.page(
        call,
        context,
        objects,
        |object| key(object).to_string(),
        |object| {
            let mut map = render(*object, &selection);
            expand(object, &mut map);
            Value::Object(map)
        },
    );
    Ok(Body::Json(page))
}

fn catalogs(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = paging(call)?;
    let objects = behind(&call.tenant.governance.catalogs, paging.after_id()?);
    page(call, "catalogs", &paging, objects, |one| one.id, |_, _| {})
}

/// A package as others name it.
fn package_stub(call: &Call<'_>, package: Uuid) -> Value {
    let known = call.tenant.governance.packages.get(&package);
    json!({"id": package, "displayName": known.map(|one| one.display_name.clone())})
}

fn packages(call: &Call<'_>) -> Result<Body, GraphError> {
    let expands = expanded(call, &["catalog"])?;
    let governance = &call.tenant.governance;
    let paging = paging(call)?;
    let objects = behind(&governance.packages, paging.after_id()?);
    page(
        call,
        "accessPackages",
        &paging,
        objects,
        |one| one.id,
        |one, map| {
            if !expands.is_empty() {
                let catalog = governance.catalogs.get(&one.catalog_id);
                let name = catalog.map(|one| one.display_name.clone());
                map.insert(
                    "catalog".to_owned(),
                    json!({"id": one.catalog_id, "displayName": name}),
                );
            }
        },
    )
}

fn policies(call: &Call<'_>) -> Result<Body, GraphError> {
    if call.query.get("$top").is_some() {
        return Err(GraphError::bad_request(
            "The query option '$top' is not supported.",
        ));
    }
    let expands = expanded(call, &["accessPackage"])?;
    let paging = paging(call)?;
    let objects = behind(&call.tenant.governance.policies, paging.after_id()?);
    page(
        call,
        "assignmentPolicies",
        &paging,
        objects,
        |one| one.id,
        |one, map| {
            if !expands.is_empty() {
                map.insert(
                    "accessPackage".to_owned(),
                    package_stub(call, one.package_id),
                );
            }
        },
    )
}

fn subject(call: &Call<'_>, (subject, kind): (Uuid, MemberKind)) -> Value {
    let user = call.tenant.users.get(&subject);
    let kind = match kind {
        MemberKind::User => "user",
        MemberKind::Group => "group",
        MemberKind::ServicePrincipal => "servicePrincipal",
    };
    json!({
        "id": Uuid::new_v5(&Uuid::NAMESPACE_OID, subject.as_bytes()),
        "objectId": varied_id(subject),
        "displayName": user.map(|user| user.display_name.clone()),
        "principalName": user.map(|user| user.user_principal_name.clone()),
        "subjectType": kind,
        "subjectLifecycle": "notDefined",
    })
}

fn assignments(call: &Call<'_>) -> Result<Body, GraphError> {
    let expands = expanded(call, &["target", "accessPackage", "assignmentPolicy"])?;
    let paging = paging(call)?;
    let objects = behind(&call.tenant.governance.assignments, paging.after_id()?);
    page(
        call,
        "assignments",
        &paging,
        objects,
        |one| one.id,
        |one, map| {
            for name in &expands {
                let value = match name.as_str() {
                    "accessPackage" => package_stub(call, one.package_id),
                    "assignmentPolicy" => json!({"id": one.policy_id}),
                    _ => match one.target {
                        Some(target) => subject(call, target),
                        None => {
                            json!({"id": one.id, "objectId": null, "email": "invited@partner.example", "subjectType": "user"})
                        }
                    },
                };
                map.insert(name.clone(), value);
            }
        },
    )
}

fn requests(call: &Call<'_>) -> Result<Body, GraphError> {
    let expands = expanded(call, &["requestor", "accessPackage", "assignment"])?;
    let paging = paging(call)?;
    let objects = behind(&call.tenant.governance.requests, paging.after_id()?);
    page(
        call,
        "assignmentRequests",
        &paging,
        objects,
        |one| one.id,
        |one, map| {
            for name in &expands {
                let value = match name.as_str() {
                    "accessPackage" => package_stub(call, one.package_id),
                    "assignment" => one
                        .assignment_id
                        .map_or(Value::Null, |id| json!({"id": id, "state": "delivered"})),
                    _ => one
                        .requestor_id
                        .map_or(Value::Null, |id| subject(call, (id, MemberKind::User))),
                };
                map.insert(name.clone(), value);
            }
        },
    )
}

/// The id of a content of a package: role and scope.
fn content_id(content: &PackageRole) -> String {
    format!("{}_{}", content.role_id, content.scope_id)
}

fn contents(call: &Call<'_>) -> Result<Body, GraphError> {
    let package = call.id(0)?;
    let known = call.tenant.governance.packages.get(&package);
    let known = known.ok_or_else(|| GraphError::not_found(&package.to_string()))?;
    let expands = expanded(call, &["role", "scope"])?;
    let paging = paging(call)?;
    let mut contents: Vec<&PackageRole> = known.contents.iter().collect();
    contents.sort_by_key(|content| content_id(content));
    let after = paging.after().map(str::to_owned);
    let left = contents.into_iter().filter(|content| {
        after
            .as_ref()
            .is_none_or(|after| content_id(content) > *after)
    });
    let page = paging.page(
        call,
        "resourceRoleScopes",
        left,
        |content| content_id(content),
        |content| {
            let mut map = Map::new();
            map.insert("id".to_owned(), content_id(content).into());
            map.insert("createdDateTime".to_owned(), time(content.created));
            let (role, scope) = role_and_scope(call, content);
            for name in &expands {
                let value = if name == "role" {
                    role.clone()
                } else {
                    scope.clone()
                };
                map.insert(name.clone(), value);
            }
            Value::Object(map)
        },
    );
    Ok(Body::Json(page))
}

fn role_and_scope(call: &Call<'_>, content: &PackageRole) -> (Value, Value) {
    let (system, role_name, role_origin, scope_name, scope_origin) = match &content.grant {
        PackageGrant::Group(group, access) => {
            let word = match access {
                GroupAccess::Member => "Member",
                GroupAccess::Owner => "Owner",
            };
            let name = call
                .tenant
                .groups
                .get(group)
                .map(|one| one.display_name.clone());
            let origin = format!("{word}_{group}");
            ("AadGroup", word.to_owned(), origin, name, varied_id(*group))
        }
        PackageGrant::AppRole {
            service_principal_id,
            app_role_id,
            name,
        } => {
            let known = call.tenant.service_principals.get(service_principal_id);
            let scope = known.map(|one| one.display_name.clone());
            let origin = varied_id(*service_principal_id);
            (
                "AadApplication",
                name.clone(),
                app_role_id.to_string(),
                scope,
                origin,
            )
        }
        PackageGrant::Site {
            url,
            name,
            role,
            number,
        } => (
            "SharePointOnline",
            role.clone(),
            number.to_string(),
            Some(name.clone()),
            json!(url),
        ),
    };
    let role = json!({
        "id": content.role_id, "displayName": role_name, "description": null,
        "originSystem": system, "originId": role_origin,
    });
    let scope = json!({
        "id": content.scope_id, "displayName": scope_name, "description": "Root Scope",
        "originSystem": system, "originId": scope_origin, "isRootScope": true,
    });
    (role, scope)
}

fn roles(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = paging(call)?;
    let objects = behind(&call.tenant.governance.roles, paging.after_id()?);
    page(
        call,
        "roleDefinitions",
        &paging,
        objects,
        |one| one.id,
        |_, _| {},
    )
}

fn catalog_roles(call: &Call<'_>) -> Result<Body, GraphError> {
    let expands = expanded(call, &["principal"])?;
    let paging = paging(call)?;
    let objects = behind(&call.tenant.governance.catalog_roles, paging.after_id()?);
    page(
        call,
        "roleAssignments",
        &paging,
        objects,
        |one| one.id,
        |one, map| {
            if !expands.is_empty() {
                let kind = match one.principal_kind {
                    MemberKind::User => "user",
                    MemberKind::Group => "group",
                    MemberKind::ServicePrincipal => "servicePrincipal",
                };
                let principal = json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": one.principal_id});
                map.insert("principal".to_owned(), principal);
            }
        },
    )
}
