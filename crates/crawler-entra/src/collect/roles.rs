//! Directory roles: definitions, who holds them, who may activate them.

use std::{collections::HashMap, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{Resource, ResourceAssignment, assignment_type, resource_type},
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    collection::{Collection, Ending, Run, close, push_windows},
    list::{Landed, List, Reader, number, read_all, read_list},
};
use crate::{
    graph::{GraphError, Version},
    mapping::{self, Mapped, Object, Schedules, Windows},
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
    definition_list(&run, collection, &run.sink(target), relative, map, message).await
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
    window_list(&run, collection, &sink, relative, map, message).await
}

async fn read_schedules(run: &Run, collection: &Collection) -> Result<Schedules, GraphError> {
    let list = List {
        version: Version::V1,
        relative: "roleManagement/directory/roleAssignmentScheduleInstances",
    };
    let mut schedules = Schedules::default();
    for instance in read_all(run, collection, list).await? {
        schedules.add(instance);
    }
    Ok(schedules)
}

/// Who may activate a role.
pub(crate) async fn role_eligibility(run: Arc<Run>) -> CollectionReport {
    let target = assignment_target(&assignment_type::ELIGIBLE, "entra:roleEligibility:all");
    let permission = "RoleEligibilitySchedule.Read.Directory";
    let collection = Collection::start(&run, "role eligibility", permission);
    let sink = run.sink(target);
    let relative = "roleManagement/directory/roleEligibilityScheduleInstances?$expand=principal";
    let map = mapping::role_eligibility;
    window_list(&run, collection, &sink, relative, map, None).await
}

fn assignment_target(kind: &contract::TypeName, source_filter: &str) -> Target {
    let scope = [
        ("assignmentType", kind),
        ("resourceType", &resource_type::ENTRA_DIRECTORY_ROLE),
    ];
    Target::new(Entity::ResourceAssignments, &scope, source_filter)
}

/// Sends definitions as they come.
struct DefinitionReader<'a, F> {
    collection: &'a Collection,
    sink: &'a Sink<Resource>,
    map: &'a F,
    has_unreadable: bool,
}

impl<F> Reader for DefinitionReader<'_, F>
where
    F: Fn(Value) -> Mapped<Resource> + Sync,
{
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
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

    fn restart(&mut self) {
        self.has_unreadable = false;
        self.collection.restart();
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        let session = self.sink.land().await?;
        let unreadable = u64::from(self.has_unreadable);
        Ok(Some(Landed {
            state: json!({"read": self.collection.read(), "unreadable": unreadable}),
            sessions: session.into_iter().collect(),
            entries: Vec::new(),
        }))
    }

    fn go_on(&mut self, state: &Value) {
        self.has_unreadable = number(&state["unreadable"]) > 0;
        self.collection.add(number(&state["read"]));
    }
}

/// A list of definitions.
async fn definition_list(
    run: &Run,
    collection: Collection,
    sink: &Sink<Resource>,
    relative: &str,
    map: impl Fn(Value) -> Mapped<Resource> + Sync,
    message: Option<String>,
) -> CollectionReport {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut reader = DefinitionReader {
        collection: &collection,
        sink,
        map: &map,
        has_unreadable: false,
    };
    let read = read_list(run, &collection, list, &mut reader).await;
    let read = refuse_unreadable(read, reader.has_unreadable);
    end(run, collection, sink, read, message).await
}

/// Keeps the rows of a list of time windows: which window a row shows is known at the end of the list.
struct WindowReader<'a, F> {
    collection: &'a Collection,
    map: &'a F,
    windows: Windows<ResourceAssignment>,
    has_unreadable: bool,
}

impl<F> Reader for WindowReader<'_, F>
where
    F: Fn(Value) -> Mapped<ResourceAssignment> + Sync,
{
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        let before = self.windows.read();
        for value in values {
            match (self.map)(value) {
                Mapped::Record(record) => self.windows.take(*record),
                Mapped::Echo => {}
                Mapped::Unreadable => self.has_unreadable = true,
            }
        }
        self.collection.add(self.windows.read() - before);
        Ok(())
    }

    fn restart(&mut self) {
        self.has_unreadable = false;
        self.windows = Windows::default();
        self.collection.restart();
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}
}

/// A list of time windows, of assignments or of eligibility.
async fn window_list(
    run: &Run,
    collection: Collection,
    sink: &Sink<ResourceAssignment>,
    relative: &str,
    map: impl Fn(Value) -> Mapped<ResourceAssignment> + Sync,
    message: Option<String>,
) -> CollectionReport {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut reader = WindowReader {
        collection: &collection,
        map: &map,
        windows: Windows::default(),
        has_unreadable: false,
    };
    let read = read_list(run, &collection, list, &mut reader).await;
    let WindowReader {
        windows,
        has_unreadable,
        ..
    } = reader;
    let read = push_windows(sink, windows, refuse_unreadable(read, has_unreadable)).await;
    end(run, collection, sink, read, message).await
}

fn refuse_unreadable(read: Result<(), Stopped>, has_unreadable: bool) -> Result<(), Stopped> {
    match read {
        Ok(()) if has_unreadable => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    }
}

/// Commits or gives up, and reports.
async fn end<R: Serialize>(
    run: &Run,
    collection: Collection,
    sink: &Sink<R>,
    ended: Result<(), Stopped>,
    message: Option<String>,
) -> CollectionReport {
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
