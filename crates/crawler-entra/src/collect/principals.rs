//! Users and guests; service principals, managed identities and agents.
//!
//! One list of Graph brings several types. Each type is a scope of its own, so that what is not read never touches another.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, CollectionStatus, Entity, TypeName,
    records::{Principal, principal_type},
};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    collection::{Collection, Ending, Run, close, hint_at},
    list::{List, Reader, read_list},
    people::People,
};
use crate::{
    graph::{GraphError, ListEvent, Meter, Page, Version},
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

/// One principal type out of a list.
struct Lane {
    principal_type: TypeName,
    collection: Collection,
    sink: Sink<Sent>,
}

/// A principal on its way to the register.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Sent {
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
    let relative = format!(
        "users?$select={select}&$expand=manager($select=id)&$top={}",
        run.config.tuning.page_size
    );
    let asked = is_merged.then(|| select.split(',').map(str::to_owned).collect());
    let people = Some(People::of(&run));
    let mut reports = principals(&run, &relative, mapping::user, lanes, (people, asked)).await;
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

/// Properties that are guarded by a permission of their own, are asked for, and are refused; with that permission.
async fn refused_properties(run: &Run, names: &[String]) -> Vec<(&'static str, &'static str)> {
    let meter = Meter::default();
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

/// Service principals, managed identities and agents.
pub(crate) async fn service_principals(run: Arc<Run>) -> Vec<CollectionReport> {
    const PERMISSION: &str = "Application.Read.All";
    let lane = |name, kind| {
        let filter = "entra:servicePrincipals:all";
        Lane::new(&run, name, PERMISSION, kind, filter, false)
    };
    let lanes = vec![
        lane("service principals", principal_type::SERVICE_PRINCIPAL),
        lane("managed identities", principal_type::MANAGED_IDENTITY),
        lane("agents", principal_type::AI_AGENT),
    ];
    let select = select_list(mapping::SERVICE_PRINCIPAL_PROPERTIES, &[]);
    let relative = format!(
        "servicePrincipals?$select={select}&$top={}",
        run.config.tuning.page_size
    );
    let map = mapping::service_principal;
    principals(&run, &relative, map, lanes, (None, None)).await
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
    /// What else is made of them.
    people: Option<People>,
    /// The properties that were asked for, where all others are to stay as they are.
    asked: Option<Vec<String>>,
    seen: HashSet<Uuid>,
    unreadable: u64,
}

impl Reader for Sorter<'_> {
    async fn take(&mut self, event: ListEvent) -> Result<(), Stopped> {
        let ListEvent::Page(values) = event else {
            self.seen.clear();
            self.unreadable = 0;
            self.lanes.iter().for_each(|lane| lane.collection.restart());
            if let Some(people) = &mut self.people {
                people.restart();
            }
            return Ok(());
        };
        let sorted = self.sort(values);
        for (lane, records) in self.lanes.iter().zip(sorted) {
            if let Some(people) = &mut self.people {
                people.take(&records).await?;
            }
            let records = sent(records, self.asked.as_deref());
            lane.sink.push_all(&records).await?;
            lane.collection.add(records.len() as u64);
        }
        Ok(())
    }
}

impl Sorter<'_> {
    fn sort(&mut self, values: Vec<Value>) -> Vec<Vec<Principal>> {
        let mut sorted: Vec<Vec<Principal>> = self.lanes.iter().map(|_| Vec::new()).collect();
        for value in values {
            let Some(principal) = (self.map)(value) else {
                self.unreadable += 1;
                continue;
            };
            if principal.id.is_some_and(|id| !self.seen.insert(id)) {
                continue;
            }
            let is_for =
                |lane: &Lane| principal.principal_type.as_ref() == Some(&lane.principal_type);
            // The mapping knows no type without a lane; should it ever, the first lane keeps the principal.
            let lane = self.lanes.iter().position(is_for).unwrap_or(0);
            sorted[lane].push(principal);
        }
        sorted
    }
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

async fn principals(
    run: &Run,
    relative: &str,
    map: fn(Value) -> Option<Principal>,
    lanes: Vec<Lane>,
    (people, asked): (Option<People>, Option<Vec<String>>),
) -> Vec<CollectionReport> {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut sorter = Sorter {
        lanes: &lanes,
        map,
        people,
        asked,
        seen: HashSet::new(),
        unreadable: 0,
    };
    // The first lane pays for the requests of the shared list.
    let read = read_list(run, &lanes[0].collection, list, &mut sorter).await;
    let ended = match read {
        Ok(()) if sorter.unreadable > 0 => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    };
    let people = sorter.people;
    let (ended, mut reports) = finish(run, lanes, ended).await;
    if let Some(people) = people {
        reports.extend(people.finish(run, &ended).await);
    }
    reports
}

/// Ends all lanes of a list. All of them land before the first commits: a principal that changed its type must be seen
/// under the new one before the old scope looks for what is missing.
async fn finish(
    run: &Run,
    lanes: Vec<Lane>,
    mut ended: Result<(), Stopped>,
) -> (Result<(), Stopped>, Vec<CollectionReport>) {
    if ended.is_ok() {
        for lane in &lanes {
            if ended.is_ok() {
                ended = lane.sink.flush().await;
            }
        }
    }
    let had_begun = lanes.iter().any(|lane| lane.collection.read() > 0);
    let closed = join_all(
        lanes
            .iter()
            .map(|lane| close(run, &lane.sink, ended.as_ref())),
    )
    .await;
    let reports = lanes
        .into_iter()
        .zip(closed)
        .map(|(lane, closed)| {
            let permission = lane.collection.permission();
            let ending = match (&ended, closed) {
                (_, Err(stopped)) => Ending::stopped(&stopped, true, permission),
                (Ok(()), Ok(answer)) => Ending::complete(answer),
                (Err(stopped), Ok(answer)) => Ending {
                    answer,
                    ..Ending::stopped(stopped, had_begun, permission)
                },
            };
            lane.collection.finish(ending)
        })
        .collect();
    (ended, reports)
}
