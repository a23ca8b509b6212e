//! Directory roles: definitions, who holds them, who may activate them.

use std::{collections::HashMap, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{assignment_type, resource_type},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    collection::{Collection, Ending, Run},
    list::{List, read_all},
    records::{record_list, window_list},
};
use crate::{
    graph::{GraphError, Version},
    mapping::{self, Mapped, Object, Schedules},
    sink::Target,
};

const PERMISSION: &str = "RoleManagement.Read.Directory";

/// Role definitions, with what only the beta API knows about them.
pub(crate) async fn role_definitions(run: Arc<Run>) -> CollectionReport {
    let scope = [("resourceType", &resource_type::ENTRA_DIRECTORY_ROLE)];
    let target = Target::new(Entity::Resources, &scope, "entra:roleDefinitions:all");
    let collection = Collection::start(&run, "directory roles", PERMISSION);
    let (privileged, message) = match read_privileged(&run, &collection).await {
        Ok(privileged) => (privileged, None),
        Err(error) => {
            let message = format!("which roles are privileged is not known: {error}");
            (HashMap::new(), Some(message))
        }
    };
    let map = |value: Value| {
        let id = value["id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
        let is_privileged = id.and_then(|id| privileged.get(&id).copied());
        Mapped::from(mapping::role_definition(value, is_privileged))
    };
    let relative = "roleManagement/directory/roleDefinitions";
    record_list(&run, collection, &run.sink(target), relative, map, || {
        message
    })
    .await
}

async fn read_privileged(
    run: &Run,
    collection: &Collection,
) -> Result<HashMap<Uuid, bool>, GraphError> {
    let list = List {
        version: Version::Beta,
        relative: "roleManagement/directory/roleDefinitions?$select=id,isPrivileged",
    };
    let is_privileged = |value| {
        let (id, mut role) = Object::read(value)?;
        Some((id, role.flag("isPrivileged")?))
    };
    let roles = read_all(run, collection, list, is_privileged).await?;
    Ok(roles.into_iter().flatten().collect())
}

/// Active role assignments; PIM knows since when, until when, and whether they were activated.
pub(crate) async fn role_assignments(run: Arc<Run>) -> CollectionReport {
    let target = assignment_target(&assignment_type::DIRECT, "entra:roleAssignments:all");
    let collection = Collection::start(&run, "role assignments", PERMISSION);
    let sink = run.sink(target);
    let (schedules, message) = match read_schedules(&run, &collection).await {
        Ok(schedules) => (schedules, None),
        Err(error) if error.is_lasting_absence() => {
            let message = format!("start and end of assignments are not known: {error}");
            (Schedules::default(), Some(message))
        }
        // Going on without would clear what an earlier run learned.
        Err(error) => {
            let ending = Ending::stopped(&error.into(), true, collection.permission());
            return collection.finish(ending);
        }
    };
    let map = |value| Mapped::from(mapping::role_assignment(value, &schedules));
    let relative = "roleManagement/directory/roleAssignments?$expand=principal";
    window_list(&run, collection, &sink, relative, map, || message).await
}

async fn read_schedules(run: &Run, collection: &Collection) -> Result<Schedules, GraphError> {
    let list = List {
        version: Version::V1,
        relative: "roleManagement/directory/roleAssignmentScheduleInstances?$expand=activatedUsing",
    };
    let instances = read_all(run, collection, list, mapping::schedule).await?;
    Ok(instances.into_iter().flatten().collect())
}

/// Who may activate a role.
pub(crate) async fn role_eligibility(run: Arc<Run>) -> CollectionReport {
    let target = assignment_target(&assignment_type::ELIGIBLE, "entra:roleEligibility:all");
    let permission = "RoleEligibilitySchedule.Read.Directory";
    let collection = Collection::start(&run, "role eligibility", permission);
    let sink = run.sink(target);
    let relative = "roleManagement/directory/roleEligibilityScheduleInstances?$expand=principal";
    let map = mapping::role_eligibility;
    window_list(&run, collection, &sink, relative, map, || None).await
}

fn assignment_target(kind: &contract::TypeName, source_filter: &str) -> Target {
    let scope = [
        ("assignmentType", kind),
        ("resourceType", &resource_type::ENTRA_DIRECTORY_ROLE),
    ];
    Target::new(Entity::ResourceAssignments, &scope, source_filter)
}
