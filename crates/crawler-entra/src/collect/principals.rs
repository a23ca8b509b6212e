//! Users and guests, and the lanes of service principals, managed identities and agents.
//!
//! One list of Graph brings several types. Each type is a scope of its own, so that what is not read never touches another.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, CollectionStatus, Completeness, Entity, IngestAnswer, TypeName,
    records::{Principal, principal_type},
};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    changed_principals::{Kind, changed_principals},
    collection::{Collection, Ending, Run, close, commit, hint_at, unread},
    list::{Landed, List, Reader, read_list},
    people::People,
};
use crate::{
    delta::{Change, Endpoint, Way, find_way},
    graph::{GraphError, Page, Version},
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

/// One principal type out of a list.
pub(super) struct Lane {
    principal_type: TypeName,
    pub collection: Collection,
    pub sink: Sink<Sent>,
}

/// A principal on its way to the register.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Sent {
    /// All that there is: what is absent is cleared.
    Whole(Box<Principal>),
    /// What was asked for, with nulls where nothing is: all else stays.
    Asked(Value),
}

impl Lane {
    fn new(
        run: &Run,
        name: &'static str,
        permission: &'static str,
        principal_type: TypeName,
        source_filter: &str,
        is_merged: bool,
    ) -> Self {
        let scope = [("principalType", &principal_type)];
        let target = Target::new(Entity::Principals, &scope, source_filter).merged(is_merged);
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

/// The permission to read users.
pub(super) const PERMISSION: &str = "User.Read.All";

/// Users and guests, and what is made of them.
pub(crate) async fn users(run: Arc<Run>) -> Vec<CollectionReport> {
    let mut custom = further_properties(&run);
    let refused = refused_properties(&run, &custom).await;
    custom.retain(|name| !refused.iter().any(|(refused, _)| refused == name));
    let is_merged = !refused.is_empty();
    let lane = |name, kind| {
        let filter = "entra:users:all";
        Lane::new(&run, name, PERMISSION, kind, filter, is_merged)
    };
    let lanes = vec![
        lane("users", principal_type::USER),
        lane("guests", principal_type::EXTERNAL_USER),
    ];
    let select = select_list(mapping::USER_PROPERTIES, &custom);
    let query = format!("$select={select}&$expand=manager($select=id)");
    let endpoint = endpoint_of_users(&run, format!("{select},manager"), &custom);
    let way = if is_merged {
        Ok(Way::Full)
    } else {
        find_way(&run, &endpoint, &lanes[0].collection.meter).await
    };
    let mut reports = match way {
        Ok(Way::Full) => {
            let relative = format!("users?{query}&$top={}", run.config.tuning.page_size);
            let asked = is_merged.then(|| select.split(',').map(str::to_owned).collect());
            read_users(&run, &relative, lanes, asked).await
        }
        Ok(Way::Changes(changes)) => {
            let mut reports = changed(&run, "users", &query, mapping::user, &changes, lanes).await;
            // Where people are made of users, nothing changed; the others' lines say that nobody wants any.
            let people = unread(&endpoint).into_iter().skip(endpoint.of_objects);
            reports.extend(people);
            reports.extend(People::unwanted(&run));
            reports
        }
        Err(stopped) => finish(&run, lanes, Err(&stopped)).await,
    };
    for report in reports.iter_mut().take(2) {
        say_refused(report, &refused);
    }
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
    let lane = |name, kind| {
        let filter = "entra:servicePrincipals:all";
        Lane::new(run, name, permission, kind, filter, false)
    };
    vec![
        lane("service principals", principal_type::SERVICE_PRINCIPAL),
        lane("managed identities", principal_type::MANAGED_IDENTITY),
        lane("agents", principal_type::AI_AGENT),
    ]
}

/// What tells of changes. What is made of users is known when all of them are, so that any change has them all read.
fn endpoint_of_users(run: &Run, select: String, custom: &[String]) -> Endpoint {
    let people = People::names(run);
    let guarded = mapping::GUARDED_USER_PROPERTIES;
    let is_untold = |name: &String| guarded.iter().any(|(guarded, _)| guarded == name);
    Endpoint {
        name: "users",
        select,
        seen_with: People::question(run),
        is_read_whole: !people.is_empty(),
        collections: ["users", "guests"].into_iter().chain(people).collect(),
        of_objects: 2,
        has_untold_properties: custom.iter().any(is_untold),
        ..Endpoint::default()
    }
}

/// Reads only the service principals that changed, where that can be told. `None`: all are to be read.
pub(super) async fn changed_service_principals(
    run: &Run,
    permission: &'static str,
) -> Option<Vec<CollectionReport>> {
    let select = select_list(mapping::SERVICE_PRINCIPAL_PROPERTIES, &[]);
    let endpoint = Endpoint {
        name: "servicePrincipals",
        select: select.clone(),
        collections: NAMES_OF_SERVICE_PRINCIPALS.to_vec(),
        of_objects: 3,
        ..Endpoint::default()
    };
    let meter = run.graph.ledger.meter(NAMES_OF_SERVICE_PRINCIPALS[0]);
    match find_way(run, &endpoint, &meter).await {
        Ok(Way::Full) => None,
        Ok(Way::Changes(changes)) => {
            let lanes = lanes_of_service_principals(run, permission);
            let query = format!("$select={select}");
            let map = mapping::service_principal;
            Some(changed(run, endpoint.name, &query, map, &changes, lanes).await)
        }
        Err(stopped) => {
            let lanes = lanes_of_service_principals(run, permission);
            Some(finish(run, lanes, Err(&stopped)).await)
        }
    }
}

/// Reads what changed. `query` is what an object is asked for, in the list and by itself.
async fn changed(
    run: &Run,
    name: &'static str,
    query: &str,
    map: fn(Value) -> Option<Principal>,
    changes: &[Change],
    lanes: Vec<Lane>,
) -> Vec<CollectionReport> {
    // A name says nothing about the type. One of the scopes stands for all.
    let scope = [("principalType", &lanes[0].principal_type)];
    let removals = Target::new(Entity::Principals, &scope, "").of_changes();
    let kind = Kind {
        name,
        query,
        map,
        removals,
    };
    changed_principals(run, kind, changes, lanes).await
}

/// Properties that are guarded by a permission of their own, are asked for, and are refused; with that permission.
async fn refused_properties(run: &Run, names: &[String]) -> Vec<(&'static str, &'static str)> {
    let meter = run.graph.ledger.meter("users");
    let mut refused = Vec::new();
    for (property, permission) in mapping::GUARDED_USER_PROPERTIES {
        if !names.iter().any(|name| name == property) {
            continue;
        }
        let probe = format!("users?$select=id,{property}&$top=1");
        let answer: Result<Page, GraphError> = run.graph.get(Version::V1, &probe, &meter).await;
        if let Err(GraphError::Forbidden { .. }) = answer {
            refused.push((property, permission));
        }
    }
    refused
}

/// What may not be read stays as it was, and as that is known of no user in full, none is removed.
fn say_refused(report: &mut CollectionReport, refused: &[(&'static str, &'static str)]) {
    let Some((property, permission)) = refused.first() else {
        return;
    };
    if report.status == CollectionStatus::Complete {
        report.status = CollectionStatus::Partial;
        report.missing_permission = Some((*permission).to_owned());
        report.message = Some(format!(
            "{property} may not be read: its values stay as they were, and nothing was removed"
        ));
    }
}

/// Properties of users that are asked for because the configuration names them.
pub(super) fn further_properties(run: &Run) -> Vec<String> {
    let mut names = run.config.custom_user_attributes.clone();
    if let Some(filter) = &run.config.identity_filter {
        let asked = filter.properties().into_iter();
        // The manager is expanded.
        names.extend(asked.filter(|name| *name != "manager").map(str::to_owned));
    }
    names
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

/// Sorts users into the lanes of their types.
struct Sorter<'a> {
    lanes: &'a [Lane],
    /// What else is made of them.
    people: People,
    /// The properties that were asked for, where all others are to stay as they are.
    asked: Option<Vec<String>>,
    seen: HashSet<Uuid>,
    unreadable: u64,
}

impl Reader for Sorter<'_> {
    async fn take(&mut self, objects: Vec<Value>) -> Result<(), Stopped> {
        let new = self.new_principals(objects);
        for (lane, principals) in self.lanes.iter().zip(sorted(self.lanes, new)) {
            self.people.take(&principals).await?;
            let records = sent(principals, self.asked.as_deref());
            lane.sink.push_all(&records).await?;
            lane.collection.add(records.len() as u64);
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.seen.clear();
        self.unreadable = 0;
        self.lanes.iter().for_each(|lane| lane.collection.restart());
        self.people.restart();
    }

    /// What people and departments there are is known when all users are, so every attempt reads the whole list.
    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}
}

impl Sorter<'_> {
    fn new_principals(&mut self, values: Vec<Value>) -> Vec<Principal> {
        let mut new = Vec::with_capacity(values.len());
        for value in values {
            match mapping::user(value) {
                Some(one) if one.id.is_some_and(|id| !self.seen.insert(id)) => {}
                Some(one) => new.push(one),
                None => self.unreadable += 1,
            }
        }
        new
    }
}

/// The principals of each lane.
fn sorted(lanes: &[Lane], principals: Vec<Principal>) -> Vec<Vec<Principal>> {
    let mut sorted: Vec<Vec<Principal>> = lanes.iter().map(|_| Vec::new()).collect();
    for principal in principals {
        let is_for = |lane: &Lane| principal.principal_type.as_ref() == Some(&lane.principal_type);
        // The mapping knows no type without a lane; should it ever, the first lane keeps the principal.
        let lane = lanes.iter().position(is_for).unwrap_or(0);
        if let Some(records) = sorted.get_mut(lane) {
            records.push(principal);
        }
    }
    sorted
}

/// Sends each principal to the lane of its type.
pub(super) async fn push_to_lanes(
    lanes: &[Lane],
    principals: Vec<Principal>,
) -> Result<(), Stopped> {
    for (lane, principals) in lanes.iter().zip(sorted(lanes, principals)) {
        let records = sent(principals, None);
        lane.sink.push_all(&records).await?;
        lane.collection.add(records.len() as u64);
    }
    Ok(())
}

/// Principals as they are sent: whole, or, with the names of what was asked for, that only.
fn sent(principals: Vec<Principal>, asked: Option<&[String]>) -> Vec<Sent> {
    let whole = |principal| Sent::Whole(Box::new(principal));
    let Some(asked) = asked else {
        return principals.into_iter().map(whole).collect();
    };
    principals
        .into_iter()
        .filter_map(|principal| mapping::with_nulls(&principal, asked).map(Sent::Asked))
        .collect()
}

async fn read_users(
    run: &Run,
    relative: &str,
    lanes: Vec<Lane>,
    asked: Option<Vec<String>>,
) -> Vec<CollectionReport> {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut sorter = Sorter {
        lanes: &lanes,
        people: People::of(run),
        asked,
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
    let people = sorter.people;
    let mut reports = finish(run, lanes, ended.as_ref()).await;
    reports.extend(people.finish(run, &ended).await);
    reports
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
            let ending = Ending::of(ended, closed, had_begun, permission);
            lane.collection.finish(ending)
        })
        .collect()
}
