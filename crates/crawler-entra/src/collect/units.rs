//! Administrative units: as resources, as contexts, and who is in them.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{Context, ContextMember, Resource, context_type, resource_type},
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    children::{ChildList, ChildReader},
    collection::{Collection, Run, as_it_was, end_shared},
    feed::{Feed, Parent},
    list::{List, read_all},
};
use crate::{
    delta::{Endpoint, Way, find_way},
    graph::{GraphError, Version},
    mapping::{self, Mapped, UNIT_PROPERTIES},
    sink::{Sink, Target},
    stopping::Stopped,
};

const PERMISSION: &str = "AdministrativeUnit.Read.All";
const HIDDEN_PERMISSION: &str = "Member.Read.Hidden";

/// What units become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitsAs {
    pub resources: bool,
    pub contexts: bool,
}

fn members_address(unit: Uuid, page_size: u32) -> String {
    format!("/directory/administrativeUnits/{unit}/members?$select=id&$top={page_size}")
}

fn map_member(unit: &Parent, value: Value) -> Mapped<ContextMember> {
    mapping::unit_member(unit.id, value).into()
}

/// Reads the units, then who is in them.
pub(crate) async fn administrative_units(run: Arc<Run>, wanted: UnitsAs) -> Vec<CollectionReport> {
    let name = if wanted.resources {
        "administrative units"
    } else {
        "unit contexts"
    };
    let collection = Collection::start(&run, name, PERMISSION);
    let endpoint = endpoint(wanted);
    let (units, ended) = match find_way(&run, &endpoint, &collection.meter).await {
        Ok(Way::Full) => match read_units(&run, &collection).await {
            Ok((units, true)) => (units, Ok(())),
            Ok((units, false)) => (units, Err(GraphError::LimitedObjects.into())),
            Err(error) => (Vec::new(), Err(error.into())),
        },
        Ok(Way::Changes(_)) => return as_it_was(&endpoint, collection),
        Err(stopped) => (Vec::new(), Err(stopped)),
    };
    collection.add(units.len() as u64);
    let mut reports = Vec::new();
    let mut first = Some(collection);
    if wanted.resources {
        let scope = [("resourceType", &resource_type::ENTRA_ADMINISTRATIVE_UNIT)];
        let target = Target::new(Entity::Resources, &scope, "entra:administrativeUnits:all");
        let collection = first.take().unwrap_or_else(|| unit_contexts(&run));
        let sink: Sink<Resource> = run.sink(target);
        reports.push(post(&run, collection, &sink, &units, &ended).await);
    }
    if wanted.contexts {
        let scope = [("contextType", &context_type::ADMINISTRATIVE_UNIT)];
        let target = Target::new(Entity::Contexts, &scope, "entra:administrativeUnits:all");
        let contexts: Vec<Context> = units.iter().map(mapping::unit_context).collect();
        let collection = first.take().unwrap_or_else(|| {
            let collection = unit_contexts(&run);
            collection.add(contexts.len() as u64);
            collection
        });
        let sink: Sink<Context> = run.sink(target);
        reports.push(post(&run, collection, &sink, &contexts, &ended).await);
        reports.push(members(&run, &units, &ended).await);
    }
    reports
}

/// What tells of changes.
fn endpoint(wanted: UnitsAs) -> Endpoint {
    let mut collections = Vec::new();
    let mut watched = UNIT_PROPERTIES.join(",");
    if wanted.resources {
        collections.push("administrative units");
    }
    if wanted.contexts {
        collections.extend(["unit contexts", "unit members"]);
        watched.push_str(",members");
    }
    Endpoint {
        name: "directory/administrativeUnits",
        select: watched,
        collections,
        is_read_whole: true,
        ..Endpoint::default()
    }
}

fn unit_contexts(run: &Run) -> Collection {
    Collection::start(run, "unit contexts", PERMISSION)
}

/// The units, each once, and whether all of them could be read in full.
async fn read_units(
    run: &Run,
    collection: &Collection,
) -> Result<(Vec<Resource>, bool), GraphError> {
    let relative = format!(
        "directory/administrativeUnits?$select={}&$top={}",
        UNIT_PROPERTIES.join(","),
        run.config.tuning.page_size
    );
    let list = List {
        version: Version::V1,
        relative: &relative,
    };
    let all = read_all(run, collection, list, mapping::administrative_unit).await?;
    let mut seen = HashSet::new();
    let mut units = Vec::with_capacity(all.len());
    let mut all_readable = true;
    for unit in all {
        match unit {
            Some(unit) if seen.insert(unit.id) => units.push(unit),
            Some(_) => {}
            None => all_readable = false,
        }
    }
    Ok((units, all_readable))
}

/// Sends what was made of the units.
async fn post<R: Serialize>(
    run: &Run,
    collection: Collection,
    sink: &Sink<R>,
    records: &[R],
    ended: &Result<(), Stopped>,
) -> CollectionReport {
    match sink.push_all(records).await {
        Ok(()) => end_shared(run, collection, sink, ended, None).await,
        Err(stopped) => end_shared(run, collection, sink, &Err(stopped), None).await,
    }
}

/// Who is in the units.
async fn members(
    run: &Arc<Run>,
    units: &[Resource],
    ended: &Result<(), Stopped>,
) -> CollectionReport {
    let scope = [("contextType", &context_type::ADMINISTRATIVE_UNIT)];
    let target = Target::new(Entity::ContextMembers, &scope, "entra:unitMembers:all");
    let collection = Collection::start(run, "unit members", PERMISSION);
    let sink: Sink<ContextMember> = run.sink(target);
    if units.is_empty() && ended.is_err() {
        return end_shared(run, collection, &sink, ended, None).await;
    }
    let list = ChildList {
        of: "administrative unit",
        version: Version::V1,
        address: members_address,
        map: map_member,
        estimate: 2.0,
        has_windows: false,
    };
    let reader = Arc::new(ChildReader::new(list, collection, sink));
    let shared = reader.clone();
    let parents = units.iter().filter_map(parent).collect();
    let feed = Feed::of(run, "administrative units", parents, ended.is_ok()).await;
    let is_whole = if let Ok(feed) = feed {
        let tasks = run.config.tuning.in_flight;
        let read = move |run: Arc<Run>, units: Vec<Parent>| {
            let reader = shared.clone();
            async move { read_members(&run, &reader, &units).await }
        };
        feed.read(run, tasks, read, || reader.land()).await
    } else {
        drop(shared);
        false
    };
    match Arc::try_unwrap(reader) {
        Ok(reader) => reader.finish(run, is_whole, None).await,
        // A task still holds it; the session expires unharmed.
        Err(_) => super::collection::skipped("unit members", "a reader did not end"),
    }
}

fn parent(unit: &Resource) -> Option<Parent> {
    let is_hidden = |visibility: &str| visibility.eq_ignore_ascii_case("HiddenMembership");
    Some(Parent {
        id: unit.id?,
        name: Some(unit.display_name.clone()),
        has_hidden_members: unit.visibility.as_deref().is_some_and(is_hidden),
    })
}

async fn read_members(run: &Run, reader: &ChildReader<ContextMember>, units: &[Parent]) {
    reader.read(run, units).await;
    let hidden: Vec<&Parent> = units
        .iter()
        .filter(|unit| unit.has_hidden_members)
        .collect();
    if !hidden.is_empty() && run.graph.has_permission(HIDDEN_PERMISSION).await != Some(true) {
        for unit in hidden {
            let reason = "its membership is hidden from this application";
            reader.doubt(unit, reason, HIDDEN_PERMISSION);
        }
    }
}
