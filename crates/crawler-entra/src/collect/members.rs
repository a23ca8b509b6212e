//! Group members and owners, read while the list of groups is still coming in.
//!
//! The beta API is used on purpose: version 1.0 leaves service principals out of both lists without saying so.

use std::sync::Arc;

use contract::{
    CollectionReport, Entity,
    records::{ResourceAssignment, assignment_type, resource_type},
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use uuid::Uuid;

use super::{
    children::{ChildList, ChildReader},
    collection::{Collection, Run},
    groups::{GroupFeed, Parent},
};
use crate::{
    graph::Version,
    mapping::{self, GroupLink, Mapped},
    sink::Target,
};

const PERMISSION: &str = "GroupMember.Read.All";
const HIDDEN_PERMISSION: &str = "Member.Read.Hidden";

fn members_address(group: Uuid, page_size: u32) -> String {
    format!("/groups/{group}/members?$select=id&$top={page_size}")
}

fn owners_address(group: Uuid, page_size: u32) -> String {
    format!("/groups/{group}/owners?$select=id&$top={page_size}")
}

fn map_member(group: Uuid, value: Value) -> Mapped<ResourceAssignment> {
    mapping::group_link(group, GroupLink::Member, value).into()
}

fn map_owner(group: Uuid, value: Value) -> Mapped<ResourceAssignment> {
    mapping::group_link(group, GroupLink::Owner, value).into()
}

struct Readers {
    members: ChildReader,
    owners: ChildReader,
    feed: Mutex<Feed>,
}

struct Feed {
    groups: mpsc::Receiver<GroupFeed>,
    is_complete: bool,
}

/// Reads members and owners of the groups that `groups` brings.
pub(crate) async fn group_links(
    run: Arc<Run>,
    groups: mpsc::Receiver<GroupFeed>,
) -> Vec<CollectionReport> {
    let readers = Arc::new(Readers {
        members: reader(&run, GroupLink::Member),
        owners: reader(&run, GroupLink::Owner),
        feed: Mutex::new(Feed {
            groups,
            is_complete: false,
        }),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..run.config.tuning.in_flight.max(1) {
        tasks.spawn(read_some(run.clone(), readers.clone()));
    }
    let mut all_ran = true;
    while let Some(task) = tasks.join_next().await {
        all_ran &= task.is_ok();
    }
    // Every task gave its share back, so this is the last one; should one not have, the sessions expire unharmed.
    let Some(readers) = Arc::into_inner(readers) else {
        return Vec::new();
    };
    let is_complete = readers.feed.into_inner().is_complete && all_ran;
    let (members, owners) = tokio::join!(
        readers.members.finish(&run, is_complete, None),
        readers.owners.finish(&run, is_complete, None),
    );
    vec![members, owners]
}

/// The reader of one kind of link, with its scope.
fn reader(run: &Run, link: GroupLink) -> ChildReader {
    let (name, kind, filter) = match link {
        GroupLink::Member => (
            "group members",
            assignment_type::DIRECT,
            "entra:members:all",
        ),
        GroupLink::Owner => ("group owners", assignment_type::OWNER, "entra:owners:all"),
    };
    let scope = [
        ("assignmentType", &kind),
        ("resourceType", &resource_type::ENTRA_GROUP),
    ];
    let target = Target::new(Entity::ResourceAssignments, &scope, filter);
    let list = match link {
        GroupLink::Member => ChildList {
            version: Version::Beta,
            address: members_address,
            map: map_member,
            estimate: 2.0,
            has_windows: false,
        },
        GroupLink::Owner => ChildList {
            version: Version::Beta,
            address: owners_address,
            map: map_owner,
            estimate: 1.0,
            has_windows: false,
        },
    };
    ChildReader::new(
        list,
        Collection::start(run, name, PERMISSION),
        run.sink(target),
    )
}

/// One task of several: takes a batch of groups, reads them, takes the next.
async fn read_some(run: Arc<Run>, readers: Arc<Readers>) {
    let can_see_hidden = async || run.graph.has_permission(HIDDEN_PERMISSION).await == Some(true);
    while let Some(groups) = readers.next().await {
        tokio::join!(
            readers.members.read(&run, &groups),
            readers.owners.read(&run, &groups)
        );
        let hidden: Vec<&Parent> = groups.iter().filter(|g| g.has_hidden_members).collect();
        if !hidden.is_empty() && !can_see_hidden().await {
            for group in hidden {
                let reason = "its membership is hidden from this application";
                readers.members.doubt(group, reason, HIDDEN_PERMISSION);
            }
        }
    }
}

impl Readers {
    async fn next(&self) -> Option<Vec<Parent>> {
        let mut feed = self.feed.lock().await;
        match feed.groups.recv().await? {
            GroupFeed::Groups(groups) => Some(groups),
            GroupFeed::End => {
                feed.is_complete = true;
                None
            }
        }
    }
}
