//! Groups: posted as resources, and fed to those who read their members while the list is still being read.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{Resource, resource_type},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    collection::{Collection, Ending, Run, close, hint_at},
    feed::{Feeder, Parent},
    list::{Landed, List, Reader, read_list},
    principals::select_list,
};
use crate::{
    graph::{GraphError, Version},
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

/// What the list of groups told.
#[derive(Debug, Default)]
pub(crate) struct GroupsFound {
    /// Groups that can hold directory roles: the most likely ones to be in PIM.
    pub role_assignable: Vec<Parent>,
    /// Other groups that PIM can manage; of very many, one more than are asked one by one.
    pub may_be_in_pim: Vec<Parent>,
    /// These are all: the list was read to its end, and all of it here.
    pub is_whole: bool,
}

/// Groups that are asked one by one when PIM does not say which take part: two lists each, twenty to a batch.
pub(super) const MAX_PIM_CANDIDATES: usize = 2_000;

impl GroupsFound {
    pub fn has_candidates(&self) -> bool {
        !self.role_assignable.is_empty() || !self.may_be_in_pim.is_empty()
    }
}

/// What the reader of the list must know to go on.
#[derive(Serialize, Deserialize)]
struct State {
    read: u64,
    unreadable: u64,
    role_assignable: Vec<Parent>,
    may_be_in_pim: Vec<Parent>,
}

/// The reading of the list.
struct GroupReader<'a> {
    collection: &'a Collection,
    sink: Option<&'a Sink<Resource>>,
    feeder: Option<Feeder>,
    seen: HashSet<Uuid>,
    unreadable: u64,
    found: GroupsFound,
}

/// Reads the groups. Posts them if that is planned, feeds them to `feeder` if anybody listens.
pub(crate) async fn groups(
    run: Arc<Run>,
    is_posted: bool,
    feeder: Option<Feeder>,
) -> (Option<CollectionReport>, GroupsFound) {
    let scope = [("resourceType", &resource_type::ENTRA_GROUP)];
    let target = Target::new(Entity::Resources, &scope, "entra:groups:all");
    let sink: Option<Sink<Resource>> = is_posted.then(|| run.sink(target));
    let name = if is_posted {
        "groups"
    } else {
        "list of groups"
    };
    let collection = Collection::start(&run, name, "GroupMember.Read.All");
    let custom = &run.config.custom_group_attributes;
    let select = if is_posted {
        select_list(mapping::GROUP_PROPERTIES, custom)
    } else {
        select_list(mapping::GROUP_NAMES, &[])
    };
    let relative = format!(
        "groups?$select={select}&$top={}",
        run.config.tuning.page_size
    );
    let list = List {
        version: Version::V1,
        relative: &relative,
    };
    let mut reader = GroupReader {
        collection: &collection,
        sink: sink.as_ref(),
        feeder,
        seen: HashSet::new(),
        unreadable: 0,
        found: GroupsFound::default(),
    };
    let read = read_list(&run, &collection, list, &mut reader).await;
    let ended = match read {
        Ok(()) if reader.unreadable > 0 => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    };
    let GroupReader {
        mut found,
        feeder,
        seen,
        ..
    } = reader;
    // Groups that were counted and are not known here were read by somebody else.
    found.is_whole = ended.is_ok() && seen.len() as u64 == collection.read();
    if let Some(feeder) = feeder {
        feeder.end(ended.is_ok()).await;
    }
    let report = finish(&run, collection, sink.as_ref(), ended).await;
    let report = report.map(|mut report| {
        if !custom.is_empty() {
            hint_at(&mut report, "--custom-group-attributes");
        }
        report
    });
    (report, found)
}

impl Reader for GroupReader<'_> {
    async fn take(&mut self, objects: Vec<Value>) -> Result<(), Stopped> {
        let resources = self.new_groups(objects);
        if let Some(sink) = self.sink {
            sink.push_all(&resources).await?;
        }
        self.collection.add(resources.len() as u64);
        Ok(())
    }

    fn restart(&mut self) {
        // Groups that were fed already are not fed again, so `seen` stays.
        self.unreadable = 0;
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        let session = match self.sink {
            Some(sink) => sink.land().await?,
            None => None,
        };
        let state = State {
            read: self.collection.read(),
            unreadable: self.unreadable,
            role_assignable: self.found.role_assignable.clone(),
            may_be_in_pim: self.found.may_be_in_pim.clone(),
        };
        let entries = match &mut self.feeder {
            Some(feeder) => feeder.entries(),
            None => Vec::new(),
        };
        Ok(Some(Landed {
            state: serde_json::to_value(state).expect("numbers and texts are JSON"),
            sessions: session.into_iter().collect(),
            entries,
        }))
    }

    fn go_on(&mut self, state: &Value) {
        match State::deserialize(state) {
            Ok(state) => {
                self.unreadable = state.unreadable;
                self.found.role_assignable = state.role_assignable;
                self.found.may_be_in_pim = state.may_be_in_pim;
                self.collection.add(state.read);
            }
            // Not known in full, then.
            Err(_) => self.unreadable = 1,
        }
    }

    async fn landed(&mut self) {
        if let Some(feeder) = &mut self.feeder {
            feeder.pass_full().await;
        }
    }
}

impl GroupReader<'_> {
    fn new_groups(&mut self, values: Vec<Value>) -> Vec<Resource> {
        let mut resources = Vec::new();
        for value in values {
            let Some(group) = mapping::group(value) else {
                self.unreadable += 1;
                continue;
            };
            let Some(id) = group.id.filter(|id| self.seen.insert(*id)) else {
                continue;
            };
            let is_hidden = |v: &str| v.eq_ignore_ascii_case("HiddenMembership");
            let parent = Parent {
                id,
                name: Some(group.display_name.clone()),
                has_hidden_members: group.visibility.as_deref().is_some_and(is_hidden),
            };
            if group.is_assignable_to_role == Some(true) {
                self.found.role_assignable.push(parent.clone());
            } else if self.found.may_be_in_pim.len() <= MAX_PIM_CANDIDATES
                && mapping::can_be_in_pim(&group)
            {
                self.found.may_be_in_pim.push(parent.clone());
            }
            if let Some(feeder) = &mut self.feeder {
                feeder.push(parent);
            }
            resources.push(group);
        }
        resources
    }
}

async fn finish(
    run: &Run,
    collection: Collection,
    sink: Option<&Sink<Resource>>,
    ended: Result<(), Stopped>,
) -> Option<CollectionReport> {
    let had_begun = collection.read() > 0;
    let permission = collection.permission();
    let ending = match (ended, sink) {
        // The list was a means to an end; its report line says "not asked for" elsewhere.
        (Ok(()), None) => return None,
        (Err(stopped), None) => Ending::stopped(&stopped, had_begun, permission),
        (ended, Some(sink)) => {
            let closed = close(run, sink, ended.as_ref()).await;
            Ending::of(ended.as_ref(), closed, had_begun, permission)
        }
    };
    Some(collection.finish(ending))
}
