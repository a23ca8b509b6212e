//! Directory roles: definitions, who holds them, who may activate them.

use std::{collections::HashMap, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{assignment_type, resource_type},
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    collection::{Collection, Ending, Run, close},
    list::{List, Reader, read_all, read_list},
};
use crate::{
    graph::{GraphError, ListEvent, Version},
    mapping::{self, Mapped, Object, Schedule, ScheduleKey},
    sink::{Sink, Target},
    stopping::Stopped,
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
    let sink = run.sink(target);
    simple_list(&run, collection, &sink, relative, map, message).await
}

async fn read_privileged(
    run: &Run,
    collection: &Collection,
) -> Result<HashMap<Uuid, bool>, GraphError> {
    let list = List {
        version: Version::Beta,
        relative: "roleManagement/directory/roleDefinitions?$select=id,isPrivileged",
    };
    let roles = read_all(run, collection, list).await?;
    let is_privileged = |value| {
        let (id, mut role) = Object::read(value)?;
        Some((id, role.flag("isPrivileged")?))
    };
    Ok(roles.into_iter().filter_map(is_privileged).collect())
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
            (HashMap::new(), Some(message))
        }
        // Going on without would clear what an earlier run learned.
        Err(error) => {
            let ending = Ending::stopped(&error.into(), true, collection.permission());
            return collection.finish(ending);
        }
    };
    let schedule_of = |key: &ScheduleKey| schedules.get(key).cloned();
    let map = |value| Mapped::from(mapping::role_assignment(value, schedule_of));
    let relative = "roleManagement/directory/roleAssignments?$expand=principal";
    simple_list(&run, collection, &sink, relative, map, message).await
}

async fn read_schedules(
    run: &Run,
    collection: &Collection,
) -> Result<HashMap<ScheduleKey, Schedule>, GraphError> {
    let list = List {
        version: Version::V1,
        relative: "roleManagement/directory/roleAssignmentScheduleInstances",
    };
    let instances = read_all(run, collection, list).await?;
    Ok(instances
        .into_iter()
        .filter_map(mapping::schedule)
        .collect())
}

/// Who may activate a role.
pub(crate) async fn role_eligibility(run: Arc<Run>) -> CollectionReport {
    let target = assignment_target(&assignment_type::ELIGIBLE, "entra:roleEligibility:all");
    let permission = "RoleEligibilitySchedule.Read.Directory";
    let collection = Collection::start(&run, "role eligibility", permission);
    let sink = run.sink(target);
    let relative = "roleManagement/directory/roleEligibilityScheduleInstances?$expand=principal";
    let map = mapping::role_eligibility;
    simple_list(&run, collection, &sink, relative, map, None).await
}

fn assignment_target(kind: &contract::TypeName, source_filter: &str) -> Target {
    let scope = [
        ("assignmentType", kind),
        ("resourceType", &resource_type::ENTRA_DIRECTORY_ROLE),
    ];
    Target::new(Entity::ResourceAssignments, &scope, source_filter)
}

/// Sends what it maps to one scope.
struct SimpleReader<'a, R, F> {
    collection: &'a Collection,
    sink: &'a Sink<R>,
    map: &'a F,
    has_unreadable: bool,
}

impl<R, F> Reader for SimpleReader<'_, R, F>
where
    R: Serialize + Send + Sync,
    F: Fn(Value) -> Mapped<R> + Sync,
{
    async fn take(&mut self, event: ListEvent) -> Result<(), Stopped> {
        let ListEvent::Page(values) = event else {
            self.has_unreadable = false;
            self.collection.restart();
            return Ok(());
        };
        let mut records = Vec::with_capacity(values.len());
        for value in values {
            match (self.map)(value) {
                Mapped::Record(record) => records.push(*record),
                Mapped::Echo => {}
                Mapped::Unreadable => self.has_unreadable = true,
            }
        }
        self.sink.push_all(&records).await?;
        self.collection.add(records.len() as u64);
        Ok(())
    }
}

/// A list of which every object goes to one scope.
async fn simple_list<R: Serialize + Send + Sync>(
    run: &Run,
    collection: Collection,
    sink: &Sink<R>,
    relative: &str,
    map: impl Fn(Value) -> Mapped<R> + Sync,
    message: Option<String>,
) -> CollectionReport {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut reader = SimpleReader {
        collection: &collection,
        sink,
        map: &map,
        has_unreadable: false,
    };
    let read = read_list(run, &collection, list, &mut reader).await;
    let ended = match read {
        Ok(()) if reader.has_unreadable => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    };
    let had_begun = collection.read() > 0;
    let permission = collection.permission();
    let closed = close(run, sink, ended.as_ref()).await;
    let ending = match (ended, closed) {
        (_, Err(stopped)) => Ending::stopped(&stopped, true, permission),
        (Ok(()), Ok(answer)) => Ending::complete(answer),
        (Err(stopped), Ok(answer)) => Ending {
            answer,
            ..Ending::stopped(&stopped, had_begun, permission)
        },
    };
    collection.finish(Ending { message, ..ending })
}
