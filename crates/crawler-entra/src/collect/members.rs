//! Group members and owners, read while the list of groups is still coming in.
//!
//! The beta API is used on purpose: version 1.0 leaves service principals out of both lists without saying so.

use std::sync::Arc;

use contract::{
    CheckpointEntry, CollectionReport, Entity,
    records::{ResourceAssignment, assignment_type, resource_type},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    children::{ChildList, ChildReader, Sweep, read_rest, read_unswept},
    collection::{Collection, Run},
    feed::{Feed, Parent},
};
use crate::{
    graph::Version,
    mapping::{self, GroupLink, Mapped},
    sink::Target,
    stopping::Stopped,
};

const PERMISSION: &str = "GroupMember.Read.All";
/// What shows hidden memberships.
pub(super) const HIDDEN_PERMISSION: &str = "Member.Read.Hidden";

/// Unlike the lists of version 1.0, expanding shows service principals.
const MEMBERS_OF_ALL: Sweep = Sweep {
    list: "groups",
    relation: "members",
    select: "id",
    has_kinds: true,
};
/// On its own, because Graph expands one relation of many objects at a time.
const OWNERS_OF_ALL: Sweep = Sweep {
    relation: "owners",
    ..MEMBERS_OF_ALL
};

fn members_address(group: Uuid, page_size: u32) -> String {
    format!("/groups/{group}/members?$select=id&$top={page_size}")
}

fn owners_address(group: Uuid, page_size: u32) -> String {
    format!("/groups/{group}/owners?$select=id&$top={page_size}")
}

fn map_member(group: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::group_link(group.id, GroupLink::Member, value).into()
}

fn map_owner(group: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::group_link(group.id, GroupLink::Owner, value).into()
}

struct Readers {
    members: ChildReader<ResourceAssignment>,
    owners: ChildReader<ResourceAssignment>,
}

/// Reads members and owners of the groups that `groups` brings.
pub(super) async fn group_links(run: Arc<Run>, groups: Feed) -> Vec<CollectionReport> {
    let readers = Readers {
        members: reader(&run, GroupLink::Member),
        owners: reader(&run, GroupLink::Owner),
    };
    if run.config.sweeps {
        Box::pin(sweep_links(run, groups, readers)).await
    } else {
        Box::pin(read_links(run, groups, readers)).await
    }
}

/// Reads members and owners by a sweep each, and the lists of those groups that the sweeps do not settle.
async fn sweep_links(run: Arc<Run>, groups: Feed, readers: Readers) -> Vec<CollectionReport> {
    let (members, owners, (groups, is_whole)) = tokio::join!(
        readers.members.sweep(&run, MEMBERS_OF_ALL),
        readers.owners.sweep(&run, OWNERS_OF_ALL),
        groups.all(),
    );
    let sees_hidden = run.graph.has_permission(HIDDEN_PERMISSION).await == Some(true);
    // Those that may hide some are named where they are read by themselves.
    let without_members = groups
        .iter()
        .filter(|group| !members.has(group.id) || (group.has_hidden_members && !sees_hidden));
    let readers = Arc::new(readers);
    let of_members = readers.clone();
    let read_members = move |run: Arc<Run>, groups: Vec<Parent>| {
        let readers = of_members.clone();
        async move { readers.read_members(&run, &groups).await }
    };
    let land_members = || readers.members.land();
    let (members_whole, owners_whole) = tokio::join!(
        read_rest(
            &run,
            "group members",
            (without_members, is_whole),
            read_members,
            land_members
        ),
        read_unswept(
            &run,
            &readers,
            |readers| Some(&readers.owners),
            &owners,
            (&groups, is_whole)
        ),
    );
    // As in `read_links`.
    let Some(readers) = Arc::into_inner(readers) else {
        return Vec::new();
    };
    Box::pin(readers.finish(&run, members_whole, owners_whole)).await
}

/// Reads members and owners of some groups. `read_or_gone` are these and those that are gone: nothing is said about others.
pub(super) async fn changed_group_links(
    run: Arc<Run>,
    groups: Feed,
    read_or_gone: Vec<Uuid>,
) -> Vec<CollectionReport> {
    let readers = Readers {
        members: reader(&run, GroupLink::Member).of_only(read_or_gone.clone()),
        owners: reader(&run, GroupLink::Owner).of_only(read_or_gone),
    };
    Box::pin(read_links(run, groups, readers)).await
}

async fn read_links(run: Arc<Run>, groups: Feed, readers: Readers) -> Vec<CollectionReport> {
    let readers = Arc::new(readers);
    let tasks = run.config.tuning.in_flight;
    let shared = readers.clone();
    let read = move |run: Arc<Run>, groups: Vec<Parent>| {
        let readers = shared.clone();
        async move { readers.read(&run, &groups).await }
    };
    let is_whole = groups.read(&run, tasks, read, || readers.land()).await;
    // Every task gave its share back, so this is the last one; should one not have, the sessions expire unharmed.
    let Some(readers) = Arc::into_inner(readers) else {
        return Vec::new();
    };
    Box::pin(readers.finish(&run, is_whole, is_whole)).await
}

/// The reader of one kind of link, with its scope.
fn reader(run: &Run, link: GroupLink) -> ChildReader<ResourceAssignment> {
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
            of: "group",
            version: Version::Beta,
            address: members_address,
            map: map_member,
            estimate: 2.0,
            has_windows: false,
        },
        GroupLink::Owner => ChildList {
            of: "group",
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

impl Readers {
    async fn land(&self) -> Result<Vec<CheckpointEntry>, Stopped> {
        let (members, owners) = tokio::try_join!(self.members.land(), self.owners.land())?;
        Ok([members, owners].concat())
    }

    async fn finish(
        self,
        run: &Run,
        members_whole: bool,
        owners_whole: bool,
    ) -> Vec<CollectionReport> {
        let (members, owners) = tokio::join!(
            self.members.finish(run, members_whole, None),
            self.owners.finish(run, owners_whole, None),
        );
        vec![members, owners]
    }

    async fn read(&self, run: &Run, groups: &[Parent]) {
        tokio::join!(
            self.read_members(run, groups),
            self.owners.read(run, groups)
        );
    }

    async fn read_members(&self, run: &Run, groups: &[Parent]) {
        self.members.read(run, groups).await;
        let hidden: Vec<&Parent> = groups.iter().filter(|g| g.has_hidden_members).collect();
        if !hidden.is_empty() && run.graph.has_permission(HIDDEN_PERMISSION).await != Some(true) {
            for group in hidden {
                let reason = "its membership is hidden from this application";
                self.members.doubt(group, reason, HIDDEN_PERMISSION);
            }
        }
    }
}
