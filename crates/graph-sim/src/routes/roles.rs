//! `/roleManagement/directory`: definitions, assignments, and PIM schedules.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::objects::ObjectView;
use super::paging::{LARGEST_PAGE, Paging, behind};
use super::property::{Entity, Filter, Property, on_request, render, select, shown};
use super::wire::{id, maybe_time, time, varied_id};
use super::{Call, Route, get};
use crate::model::{Link, RoleAssignment, RoleDefinition, RoleEligibility};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/roleManagement/directory/roleDefinitions",
        permissions::ROLES,
        1,
        definitions,
    ),
    get(
        "/roleManagement/directory/roleAssignments",
        permissions::ROLES,
        1,
        assignments,
    ),
    get(
        "/roleManagement/directory/roleAssignmentScheduleInstances",
        permissions::ROLE_SCHEDULES,
        1,
        assignment_instances,
    )
    .needs_p2(),
    get(
        "/roleManagement/directory/roleEligibilityScheduleInstances",
        permissions::ROLE_ELIGIBILITY,
        1,
        eligibility_instances,
    )
    .needs_p2(),
    get(
        "/roleManagement/directory/roleEligibilitySchedules",
        permissions::ROLE_ELIGIBILITY,
        1,
        eligibility_schedules,
    )
    .needs_p2(),
];

impl Entity for RoleDefinition {
    const NAME: &'static str = "unifiedRoleDefinition";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |role| id(role.id)),
        shown("description", |role| json!(role.description)),
        shown("displayName", |role| json!(role.display_name)),
        shown("isBuiltIn", |role| json!(role.is_built_in)),
        shown("isEnabled", |role| json!(role.is_enabled)),
        shown("isPrivileged", |role: &Self| json!(role.is_privileged)).beta_only(),
        shown("resourceScopes", |_| json!(["/"])),
        shown("templateId", |role| id(role.template_id)),
        shown("version", |_| json!("1")),
        shown(
            "rolePermissions",
            |role| json!([{"allowedResourceActions": role.actions, "condition": null}]),
        ),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.unifiedRoleDefinition"
    }
}

impl Entity for RoleAssignment {
    const NAME: &'static str = "unifiedRoleAssignment";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |held| json!(held.id)),
        shown("principalId", |held| varied_id(held.principal_id)),
        shown("roleDefinitionId", |held| id(held.role_definition_id)),
        shown("directoryScopeId", |held| json!(held.directory_scope_id)),
        shown("appScopeId", |_| Value::Null),
        on_request("resourceScope", |held| json!(held.directory_scope_id)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.unifiedRoleAssignment"
    }
}

/// An active assignment as PIM sees it.
pub(crate) struct AssignmentInstance(RoleAssignment);

impl Entity for AssignmentInstance {
    const NAME: &'static str = "unifiedRoleAssignmentScheduleInstance";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |held| json!(held.0.id)),
        shown("principalId", |held| varied_id(held.0.principal_id)),
        shown("roleDefinitionId", |held| id(held.0.role_definition_id)),
        shown("directoryScopeId", |held| json!(held.0.directory_scope_id)),
        shown("appScopeId", |_| Value::Null),
        shown("startDateTime", |held| maybe_time(held.0.start)),
        shown("endDateTime", |held| maybe_time(held.0.end)),
        shown("assignmentType", |held| {
            json!(held.0.assignment_type.as_str())
        }),
        shown("memberType", |_| json!("Direct")),
        shown("roleAssignmentOriginId", |held| json!(held.0.id)),
        shown("roleAssignmentScheduleId", |held| json!(held.0.id)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.unifiedRoleAssignmentScheduleInstance"
    }
}

/// An eligibility that is in force.
pub(crate) struct EligibilityInstance(RoleEligibility);

impl Entity for EligibilityInstance {
    const NAME: &'static str = "unifiedRoleEligibilityScheduleInstance";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |held| json!(held.0.instance_id)),
        shown("principalId", |held| varied_id(held.0.principal_id)),
        shown("roleDefinitionId", |held| id(held.0.role_definition_id)),
        shown("directoryScopeId", |held| json!(held.0.directory_scope_id)),
        shown("appScopeId", |_| Value::Null),
        shown("startDateTime", |held| time(held.0.start)),
        shown("endDateTime", |held| maybe_time(held.0.end)),
        shown("memberType", |_| json!("Direct")),
        shown("roleEligibilityScheduleId", |held| id(held.0.id)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.unifiedRoleEligibilityScheduleInstance"
    }
}

impl Entity for RoleEligibility {
    const NAME: &'static str = "unifiedRoleEligibilitySchedule";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |held| id(held.id)),
        shown("principalId", |held| varied_id(held.principal_id)),
        shown("roleDefinitionId", |held| id(held.role_definition_id)),
        shown("directoryScopeId", |held| json!(held.directory_scope_id)),
        shown("appScopeId", |_| Value::Null),
        shown("createdUsing", |held| id(held.id)),
        shown("createdDateTime", |held| time(held.created)),
        shown("modifiedDateTime", |_| Value::Null),
        shown("status", |_| json!("Provisioned")),
        shown("memberType", |_| json!("Direct")),
        shown("scheduleInfo", |held| schedule_info(held.start, held.end)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.unifiedRoleEligibilitySchedule"
    }
}

fn schedule_info(
    start: chrono::DateTime<chrono::Utc>,
    end: Option<chrono::DateTime<chrono::Utc>>,
) -> Value {
    let kind = if end.is_some() {
        "afterDateTime"
    } else {
        "noExpiration"
    };
    json!({
        "startDateTime": time(start),
        "recurrence": null,
        "expiration": {"type": kind, "endDateTime": maybe_time(end), "duration": null},
    })
}

/// What `$expand` adds to an assignment or a schedule; one relation at a time.
enum Expansion<'a> {
    None,
    Principal(ObjectView<'a>),
    Definition(Vec<&'static Property<RoleDefinition>>),
    ActivatedUsing,
}

impl<'a> Expansion<'a> {
    fn of(call: &'a Call<'a>) -> Result<Self, GraphError> {
        let mut expands = call.query.expands()?;
        if expands.len() > 1 {
            return Err(GraphError::bad_request(
                "Only one property can be expanded at a time.",
            ));
        }
        match expands.pop() {
            None => Ok(Self::None),
            Some(expand) if expand.name == "principal" => {
                ObjectView::new(call, expand.select).map(Self::Principal)
            }
            Some(expand) if expand.name == "roleDefinition" => {
                select(expand.select.as_deref(), call.version, call.grants).map(Self::Definition)
            }
            Some(expand) if expand.name == "activatedUsing" => Ok(Self::ActivatedUsing),
            Some(expand) => Err(GraphError::bad_request(format!(
                "Parsing OData Select and Expand failed: '{}' cannot be expanded.",
                expand.name
            ))),
        }
    }

    fn add(&self, call: &Call<'_>, object: &mut Map<String, Value>, principal: Link, role: Uuid) {
        match self {
            Self::None => {}
            Self::Principal(view) => {
                object.insert("principal".to_owned(), view.link(principal));
            }
            Self::Definition(selection) => {
                let definition = call.tenant.role_definitions.get(&role);
                let value = definition.map_or(Value::Null, |definition| {
                    Value::Object(render(definition, selection))
                });
                object.insert("roleDefinition".to_owned(), value);
            }
            Self::ActivatedUsing => {
                let assignment = object.get("id").and_then(Value::as_str);
                let activations = &call.tenant.governance.role_activations;
                let eligibility = assignment.and_then(|id| activations.get(id));
                let value = eligibility.map_or(Value::Null, |id| json!({"id": id}));
                object.insert("activatedUsing".to_owned(), value);
            }
        }
    }
}

fn definitions(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection =
        select::<RoleDefinition>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let filter =
        Filter::<RoleDefinition>::parse(call.query.get("$filter"), call.version, call.is_eventual)?;
    let roles = behind(&call.tenant.role_definitions, paging.after_id()?)
        .filter(|role| filter.matches(role));
    let page = paging.page(
        call,
        "roleManagement/directory/roleDefinitions",
        roles,
        |role| role.id.to_string(),
        |role| Value::Object(render(*role, &selection)),
    );
    Ok(Body::Json(page))
}

/// Lists what hangs between a principal and a role: `objects` begin behind the
/// last page, `ends` tells both ends.
fn held<T: Entity>(
    call: &Call<'_>,
    context: &str,
    paging: &Paging,
    objects: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    ends: impl Fn(&T) -> (Link, Uuid),
) -> Result<Body, GraphError> {
    let selection = select::<T>(call.query.select().as_deref(), call.version, call.grants)?;
    let filter = Filter::<T>::parse(call.query.get("$filter"), call.version, call.is_eventual)?;
    let expansion = Expansion::of(call)?;
    let objects = objects.filter(|object| filter.matches(object));
    let page = paging.page(call, context, objects, key, |held| {
        let mut object = render(held, &selection);
        let (principal, role) = ends(held);
        expansion.add(call, &mut object, principal, role);
        Value::Object(object)
    });
    Ok(Body::Json(page))
}

fn assignment_ends(held: &RoleAssignment) -> (Link, Uuid) {
    (
        Link {
            id: held.principal_id,
            kind: held.principal_kind,
        },
        held.role_definition_id,
    )
}

fn eligibility_ends(held: &RoleEligibility) -> (Link, Uuid) {
    (
        Link {
            id: held.principal_id,
            kind: held.principal_kind,
        },
        held.role_definition_id,
    )
}

fn assignments(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let objects = behind(
        &call.tenant.role_assignments,
        paging.after().map(str::to_owned),
    )
    .cloned();
    held(
        call,
        "roleManagement/directory/roleAssignments",
        &paging,
        objects,
        |held| held.id.clone(),
        assignment_ends,
    )
}

fn assignment_instances(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let objects = behind(
        &call.tenant.role_assignments,
        paging.after().map(str::to_owned),
    )
    .cloned()
    .map(AssignmentInstance);
    let context = "roleManagement/directory/roleAssignmentScheduleInstances";
    held(
        call,
        context,
        &paging,
        objects,
        |held| held.0.id.clone(),
        |held| assignment_ends(&held.0),
    )
}

fn eligibility_instances(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let objects = behind(&call.tenant.role_eligibilities, paging.after_id()?)
        .cloned()
        .map(EligibilityInstance);
    let context = "roleManagement/directory/roleEligibilityScheduleInstances";
    held(
        call,
        context,
        &paging,
        objects,
        |held| held.0.id.to_string(),
        |held| eligibility_ends(&held.0),
    )
}

fn eligibility_schedules(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let objects = behind(&call.tenant.role_eligibilities, paging.after_id()?).cloned();
    let context = "roleManagement/directory/roleEligibilitySchedules";
    held(
        call,
        context,
        &paging,
        objects,
        |held| held.id.to_string(),
        eligibility_ends,
    )
}
