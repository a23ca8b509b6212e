//! Groups: posted as resources, and fed to those who read their members while the list is still being read.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{Resource, resource_type},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    changed_groups::{Groups, changed_groups},
    collection::{Collection, Ending, Run, close, hint_at},
    feed::{Feeder, Parent, feed},
    list::{Landed, List, Reader, read_list},
    members::group_links,
    principals::select_list,
};
use crate::{
    delta::{Endpoint, Way, find_way},
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

/// How the groups are asked for.
fn selection(run: &Run, is_posted: bool) -> String {
    if is_posted {
        select_list(
            mapping::GROUP_PROPERTIES,
            &run.config.custom_group_attributes,
        )
    } else {
        select_list(mapping::GROUP_NAMES, &[])
    }
}

/// Reads the groups with their members and owners: all of them, or those that changed.
pub(crate) async fn groups_and_links(
    run: Arc<Run>,
    plan: GroupPlan,
    found: oneshot::Sender<GroupsFound>,
) -> Vec<CollectionReport> {
    let select = selection(&run, plan.is_posted);
    let collection = start(&run, plan.is_posted);
    let mut collections = Vec::new();
    let mut watched = select.clone();
    if plan.is_posted {
        collections.push("groups");
    }
    if plan.with_links {
        collections.extend(["group members", "group owners"]);
        watched.push_str(",members,owners");
    }
    let endpoint = Endpoint {
        name: "groups",
        select: watched,
        of_objects: usize::from(plan.is_posted),
        collections,
        ..Endpoint::default()
    };
    match find_way(&run, &endpoint, &collection.meter).await {
        Ok(Way::Full) => Box::pin(in_full(run, plan, collection, found)).await,
        Ok(Way::Changes(changes)) => {
            let groups = Groups {
                collection,
                target: plan.is_posted.then(target),
                select: &select,
                with_links: plan.with_links,
            };
            let names = async {
                // PIM needs to know groups that did not change, too.
                if plan.for_pim {
                    let collection = start(&run, false);
                    let listed = groups_in_full(run.clone(), collection, false, None).await;
                    let _ = found.send(listed.1);
                }
            };
            let (reports, ()) = tokio::join!(changed_groups(&run, groups, &changes), names);
            reports
        }
        Err(stopped) => {
            let ending = Ending::stopped(&stopped, false, collection.permission());
            vec![collection.finish(ending)]
        }
    }
}

/// What is wanted of groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupPlan {
    pub is_posted: bool,
    pub with_links: bool,
    /// PIM waits for what the list tells.
    pub for_pim: bool,
}

/// The list, and members and owners while it is read. What an earlier attempt finished is not read again.
async fn in_full(
    run: Arc<Run>,
    plan: GroupPlan,
    collection: Collection,
    found: oneshot::Sender<GroupsFound>,
) -> Vec<CollectionReport> {
    let names = ["group members", "group owners"];
    let finished: Option<Vec<CollectionReport>> =
        names.iter().map(|name| run.journal.report(name)).collect();
    let (feeder, feed) = feed(&run, "groups");
    let feeder = plan.with_links.then_some(feeder);
    let list = async {
        let (report, groups_found) =
            groups_in_full(run.clone(), collection, plan.is_posted, feeder).await;
        // Without PIM nobody waits for it.
        let _ = found.send(groups_found);
        report
    };
    let links = async {
        match finished {
            _ if !plan.with_links => Vec::new(),
            Some(finished) => {
                drop(feed);
                finished
            }
            None => group_links(run.clone(), feed).await,
        }
    };
    let (list, links) = tokio::join!(list, links);
    list.into_iter().chain(links).collect()
}

fn target() -> Target {
    let scope = [("resourceType", &resource_type::ENTRA_GROUP)];
    Target::new(Entity::Resources, &scope, "entra:groups:all")
}

fn start(run: &Run, is_posted: bool) -> Collection {
    let name = if is_posted {
        "groups"
    } else {
        "list of groups"
    };
    Collection::start(run, name, "GroupMember.Read.All")
}

/// Reads the groups. Posts them if that is planned, feeds them to `feeder` if anybody listens.
async fn groups_in_full(
    run: Arc<Run>,
    collection: Collection,
    is_posted: bool,
    feeder: Option<Feeder>,
) -> (Option<CollectionReport>, GroupsFound) {
    let sink: Option<Sink<Resource>> = is_posted.then(|| run.sink(target()));
    let custom = &run.config.custom_group_attributes;
    let relative = format!(
        "groups?$select={}&$top={}",
        selection(&run, is_posted),
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

/// A group as the parent of its members and owners.
pub(super) fn parent_of(group: &Resource) -> Option<Parent> {
    let is_hidden = |visibility: &str| visibility.eq_ignore_ascii_case("HiddenMembership");
    Some(Parent {
        id: group.id?,
        name: Some(group.display_name.clone()),
        has_hidden_members: group.visibility.as_deref().is_some_and(is_hidden),
    })
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
            let Some(parent) = parent_of(&group).filter(|parent| self.seen.insert(parent.id))
            else {
                continue;
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
