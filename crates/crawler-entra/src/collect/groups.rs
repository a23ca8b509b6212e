//! Groups: posted as resources, and fed to those who read their members while the list is still being read.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{Resource, resource_type},
};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    collection::{Collection, Ending, Run, close, hint_at},
    list::{List, Reader, read_list},
    principals::select_list,
};
use crate::{
    graph::{GraphError, ListEvent, SubRequest, Version},
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

/// A group whose children are to be read.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub id: Uuid,
    pub name: Option<String>,
    /// Only somebody with a further permission sees its members.
    pub has_hidden_members: bool,
}

/// What the readers of members get.
#[derive(Debug)]
pub(crate) enum GroupFeed {
    /// As many groups as fit a batch.
    Groups(Vec<Parent>),
    /// The list of groups was read to its end. Without this it was not.
    End,
}

/// What the list of groups told.
#[derive(Debug, Default)]
pub(crate) struct GroupsFound {
    /// Groups that can hold directory roles: the most likely ones to be in PIM.
    pub role_assignable: Vec<Parent>,
}

/// The reading of the list.
struct GroupReader<'a> {
    collection: &'a Collection,
    sink: Option<&'a Sink<Resource>>,
    feed: Option<&'a mpsc::Sender<GroupFeed>>,
    seen: HashSet<Uuid>,
    unreadable: u64,
    found: GroupsFound,
    waiting: Vec<Parent>,
}

/// Reads the groups. Posts them if that is planned, feeds them to `feed` if anybody listens.
pub(crate) async fn groups(
    run: Arc<Run>,
    is_posted: bool,
    feed: Option<mpsc::Sender<GroupFeed>>,
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
        feed: feed.as_ref(),
        seen: HashSet::new(),
        unreadable: 0,
        found: GroupsFound::default(),
        waiting: Vec::new(),
    };
    let read = read_list(&run, &collection, list, &mut reader).await;
    let ended = match read {
        Ok(()) if reader.unreadable > 0 => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    };
    let GroupReader { found, waiting, .. } = reader;
    if let Some(feed) = feed {
        // A list that broke off leaves more than one batch.
        for batch in waiting.chunks(SubRequest::PER_BATCH) {
            send(&feed, batch.to_vec()).await;
        }
        if ended.is_ok() {
            // Nobody listens any more: then nobody needs to know.
            let _ = feed.send(GroupFeed::End).await;
        }
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
    async fn take(&mut self, event: ListEvent) -> Result<(), Stopped> {
        let ListEvent::Page(values) = event else {
            // Groups that were fed already are not fed again, so `seen` stays.
            self.unreadable = 0;
            return Ok(());
        };
        let resources = self.new_groups(values);
        if let Some(sink) = self.sink {
            sink.push_all(&resources).await?;
        }
        self.collection.add(resources.len() as u64);
        if let Some(feed) = self.feed {
            while self.waiting.len() >= SubRequest::PER_BATCH {
                let full = self.waiting.drain(..SubRequest::PER_BATCH).collect();
                send(feed, full).await;
            }
        }
        Ok(())
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
            }
            if self.feed.is_some() {
                self.waiting.push(parent);
            }
            resources.push(group);
        }
        resources
    }
}

/// Members readers that have gone away are no reason to stop the list.
async fn send(feed: &mpsc::Sender<GroupFeed>, parents: Vec<Parent>) {
    if !parents.is_empty() {
        let _ = feed.send(GroupFeed::Groups(parents)).await;
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
            match (ended, closed) {
                (_, Err(stopped)) => Ending::stopped(&stopped, true, permission),
                (Ok(()), Ok(answer)) => Ending::complete(answer),
                (Err(stopped), Ok(answer)) => Ending {
                    answer,
                    ..Ending::stopped(&stopped, had_begun, permission)
                },
            }
        }
    };
    Some(collection.finish(ending))
}
