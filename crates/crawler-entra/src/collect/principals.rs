//! Users and guests, and the lanes of service principals, managed identities and agents.
//!
//! One list of Graph brings several types. Each type is a scope of its own, so that what is not read never touches another.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, Completeness, Entity, IngestAnswer, TypeName,
    records::{Principal, principal_type},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    changed_principals::{Kind, changed_principals},
    collection::{Collection, Ending, Run, close, commit, hint_at},
    list::{Landed, List, Reader, number, read_list},
};
use crate::{
    delta::{Endpoint, Way, find_way},
    graph::{GraphError, Version},
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

/// One principal type out of a list.
pub(super) struct Lane {
    principal_type: TypeName,
    pub collection: Collection,
    pub sink: Sink<Principal>,
}

impl Lane {
    fn new(
        run: &Run,
        name: &'static str,
        permission: &'static str,
        principal_type: TypeName,
        source_filter: &str,
    ) -> Self {
        let scope = [("principalType", &principal_type)];
        let target = Target::new(Entity::Principals, &scope, source_filter);
        Self {
            collection: Collection::start(run, name, permission),
            sink: run.sink(target),
            principal_type,
        }
    }

    /// Ends the scope after some of its objects were read again: they are as they are now, and nothing is said about others.
    pub async fn end_changes(
        &self,
        run: &Run,
        ended: &Result<(), Stopped>,
    ) -> (IngestAnswer, Result<(), Stopped>) {
        let closed = match ended {
            Ok(()) => commit(run, &self.sink, Completeness::default()).await,
            Err(stopped) => close(run, &self.sink, Err(stopped)).await,
        };
        match closed {
            Ok(answer) => (answer, Ok(())),
            Err(stopped) => (IngestAnswer::default(), Err(stopped)),
        }
    }
}

/// Users and guests.
pub(crate) async fn users(run: Arc<Run>) -> Vec<CollectionReport> {
    const PERMISSION: &str = "User.Read.All";
    let lane = |name, kind| Lane::new(&run, name, PERMISSION, kind, "entra:users:all");
    let lanes = vec![
        lane("users", principal_type::USER),
        lane("guests", principal_type::EXTERNAL_USER),
    ];
    let custom = &run.config.custom_user_attributes;
    let select = select_list(mapping::USER_PROPERTIES, custom);
    let endpoint = Endpoint {
        name: "users",
        select: format!("{select},manager"),
        seen_with: String::new(),
        collections: vec!["users", "guests"],
        of_objects: 2,
    };
    let query = format!("$select={select}&$expand=manager($select=id)");
    let mut reports = full_or_changed(&run, &endpoint, &query, mapping::user, lanes).await;
    if !custom.is_empty() {
        for report in &mut reports {
            hint_at(report, "--custom-user-attributes");
        }
    }
    reports
}

/// The names of the collections of service principals.
pub(crate) const NAMES_OF_SERVICE_PRINCIPALS: &[&str] =
    &["service principals", "managed identities", "agents"];

/// The lanes of service principals, managed identities and agents.
pub(super) fn lanes_of_service_principals(run: &Run, permission: &'static str) -> Vec<Lane> {
    let lane = |name, kind| Lane::new(run, name, permission, kind, "entra:servicePrincipals:all");
    vec![
        lane("service principals", principal_type::SERVICE_PRINCIPAL),
        lane("managed identities", principal_type::MANAGED_IDENTITY),
        lane("agents", principal_type::AI_AGENT),
    ]
}

/// Service principals as principals only.
pub(super) async fn only_service_principals(
    run: &Run,
    permission: &'static str,
) -> Vec<CollectionReport> {
    let lanes = lanes_of_service_principals(run, permission);
    let select = select_list(mapping::SERVICE_PRINCIPAL_PROPERTIES, &[]);
    let endpoint = Endpoint {
        name: "servicePrincipals",
        select: select.clone(),
        seen_with: String::new(),
        collections: NAMES_OF_SERVICE_PRINCIPALS.to_vec(),
        of_objects: 3,
    };
    let query = format!("$select={select}");
    full_or_changed(run, &endpoint, &query, mapping::service_principal, lanes).await
}

/// Reads everything, or what changed. `query` is what an object is asked for, in the list and by itself.
async fn full_or_changed(
    run: &Run,
    endpoint: &Endpoint,
    query: &str,
    map: fn(Value) -> Option<Principal>,
    lanes: Vec<Lane>,
) -> Vec<CollectionReport> {
    match find_way(run, endpoint, &lanes[0].collection.meter).await {
        Ok(Way::Full) => {
            let page_size = run.config.tuning.page_size;
            let relative = format!("{}?{query}&$top={page_size}", endpoint.name);
            principals(run, &relative, map, lanes).await
        }
        Ok(Way::Changes(changes)) => {
            // A name says nothing about the type. One of the scopes stands for all.
            let scope = [("principalType", &lanes[0].principal_type)];
            let removals = Target::new(Entity::Principals, &scope, "").of_changes();
            let kind = Kind {
                name: endpoint.name,
                query,
                map,
                removals,
            };
            changed_principals(run, kind, &changes, lanes).await
        }
        Err(stopped) => finish(run, lanes, Err(&stopped)).await,
    }
}

/// The `$select` with further properties, each once.
pub(super) fn select_list(properties: &[&str], further: &[String]) -> String {
    let mut names: Vec<&str> = properties.to_vec();
    for name in further {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    names.join(",")
}

/// Sorts the objects of a list into the lanes of their types.
struct Sorter<'a> {
    lanes: &'a [Lane],
    map: fn(Value) -> Option<Principal>,
    seen: HashSet<Uuid>,
    unreadable: u64,
}

impl Reader for Sorter<'_> {
    async fn take(&mut self, objects: Vec<Value>) -> Result<(), Stopped> {
        let new = self.new_principals(objects);
        push_to_lanes(self.lanes, new).await
    }

    fn restart(&mut self) {
        self.seen.clear();
        self.unreadable = 0;
        self.lanes.iter().for_each(|lane| lane.collection.restart());
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        let mut sessions = Vec::new();
        for lane in self.lanes {
            sessions.extend(lane.sink.land().await?);
        }
        let read: Vec<u64> = self
            .lanes
            .iter()
            .map(|lane| lane.collection.read())
            .collect();
        Ok(Some(Landed {
            state: json!({"read": read, "unreadable": self.unreadable}),
            sessions,
            entries: Vec::new(),
        }))
    }

    fn go_on(&mut self, state: &Value) {
        self.unreadable = number(&state["unreadable"]);
        for (place, lane) in self.lanes.iter().enumerate() {
            lane.collection.add(number(&state["read"][place]));
        }
    }
}

impl Sorter<'_> {
    fn new_principals(&mut self, values: Vec<Value>) -> Vec<Principal> {
        let mut new = Vec::with_capacity(values.len());
        for value in values {
            match (self.map)(value) {
                Some(one) if one.id.is_some_and(|id| !self.seen.insert(id)) => {}
                Some(one) => new.push(one),
                None => self.unreadable += 1,
            }
        }
        new
    }
}

/// Sends each principal to the lane of its type.
pub(super) async fn push_to_lanes(
    lanes: &[Lane],
    principals: Vec<Principal>,
) -> Result<(), Stopped> {
    let mut sorted: Vec<Vec<Principal>> = lanes.iter().map(|_| Vec::new()).collect();
    for principal in principals {
        let is_for = |lane: &Lane| principal.principal_type.as_ref() == Some(&lane.principal_type);
        // The mapping knows no type without a lane; should it ever, the first lane keeps the principal.
        let lane = lanes.iter().position(is_for).unwrap_or(0);
        if let Some(records) = sorted.get_mut(lane) {
            records.push(principal);
        }
    }
    for (lane, records) in lanes.iter().zip(sorted) {
        lane.sink.push_all(&records).await?;
        lane.collection.add(records.len() as u64);
    }
    Ok(())
}

async fn principals(
    run: &Run,
    relative: &str,
    map: fn(Value) -> Option<Principal>,
    lanes: Vec<Lane>,
) -> Vec<CollectionReport> {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut sorter = Sorter {
        lanes: &lanes,
        map,
        seen: HashSet::new(),
        unreadable: 0,
    };
    // The first lane pays for the requests of the shared list.
    let read = read_list(run, &lanes[0].collection, list, &mut sorter).await;
    let ended = match read {
        Ok(()) if sorter.unreadable > 0 => Err(Stopped::Source(GraphError::LimitedObjects)),
        Ok(()) => flush(&lanes).await,
        read => read,
    };
    finish(run, lanes, ended.as_ref()).await
}

/// Waits until all lanes have landed, before the first commits: a principal that changed its type must be seen under the
/// new one before the old scope looks for what is missing.
pub(super) async fn flush(lanes: &[Lane]) -> Result<(), Stopped> {
    for lane in lanes {
        lane.sink.flush().await?;
    }
    Ok(())
}

/// Ends all lanes of a list; a list that was read to its end has been [flushed](flush).
pub(super) async fn finish(
    run: &Run,
    lanes: Vec<Lane>,
    ended: Result<&(), &Stopped>,
) -> Vec<CollectionReport> {
    let had_begun = lanes.iter().any(|lane| lane.collection.read() > 0);
    let closed = join_all(lanes.iter().map(|lane| close(run, &lane.sink, ended))).await;
    lanes
        .into_iter()
        .zip(closed)
        .map(|(lane, closed)| {
            let permission = lane.collection.permission();
            let ending = match (ended, closed) {
                (_, Err(stopped)) => Ending::stopped(&stopped, true, permission),
                (Ok(()), Ok(answer)) => Ending::complete(answer),
                (Err(stopped), Ok(answer)) => Ending {
                    answer,
                    ..Ending::stopped(stopped, had_begun, permission)
                },
            };
            lane.collection.finish(ending)
        })
        .collect()
}
