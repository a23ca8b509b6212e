//! PIM for Groups: who may activate membership or ownership of a group.
//!
//! Graph lists eligibility for one group at a time only, and which groups take part is known to the beta API alone. Where
//! that list is not to be had, the groups that can hold directory roles are asked one by one and nothing is removed.

use std::sync::Arc;

use contract::{
    CollectionReport, Entity,
    records::{ResourceAssignment, assignment_type, resource_type},
};
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    children::{ChildList, ChildReader},
    collection::{Collection, Ending, Run},
    feed::{Feed, Parent},
    groups::GroupsFound,
    list::{List, read_all},
};
use crate::{
    graph::{GraphError, Version},
    mapping::{self, Mapped, Object},
    sink::Target,
};

const PERMISSION: &str = "PrivilegedEligibilitySchedule.Read.AzureADGroup";
/// PIM publishes no limits; few at once have proved safe.
const IN_FLIGHT: usize = 3;
const DISCOVERY_PERMISSION: &str = "PrivilegedAccess.Read.AzureADGroup";

fn address(group: Uuid, _page_size: u32) -> String {
    format!(
        "/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances?$filter=groupId%20eq%20'{group}'&$expand=principal"
    )
}

fn map(_group: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::pim_group_eligibility(value)
}

/// The groups to ask.
struct Candidates {
    groups: Vec<Parent>,
    /// These are all there are.
    is_complete: bool,
    message: Option<String>,
}

/// Reads eligibility for groups; `found` brings the groups that can hold directory roles once they are known.
pub(crate) async fn pim_groups(
    run: Arc<Run>,
    found: oneshot::Receiver<GroupsFound>,
) -> CollectionReport {
    let collection = Collection::start(&run, "group eligibility", PERMISSION);
    let candidates = match candidates(&run, &collection, found).await {
        Ok(candidates) => candidates,
        Err(error) => {
            let ending = Ending::stopped(&error.into(), false, DISCOVERY_PERMISSION);
            return collection.finish(ending);
        }
    };
    let reader = Arc::new(reader(&run, collection, candidates.is_complete));
    let is_complete = read_groups(&run, &reader, &candidates).await;
    match Arc::try_unwrap(reader) {
        Ok(reader) => reader.finish(&run, is_complete, candidates.message).await,
        Err(reader) => {
            reader
                .collection()
                .say("a reader of group eligibility did not end".to_owned());
            super::collection::skipped("group eligibility", "a reader did not end")
        }
    }
}

/// Reads the eligibility of all candidates; false when some may be missing.
async fn read_groups(
    run: &Arc<Run>,
    reader: &Arc<ChildReader<ResourceAssignment>>,
    candidates: &Candidates,
) -> bool {
    let groups = candidates.groups.clone();
    let Ok(feed) = Feed::of(run, "PIM groups", groups, candidates.is_complete).await else {
        return false;
    };
    let shared = reader.clone();
    let tasks = run.config.tuning.in_flight.min(IN_FLIGHT);
    feed.read(run, tasks, move |run, groups| {
        let reader = shared.clone();
        async move {
            reader.read(&run, &groups).await;
            reader.land().await
        }
    })
    .await
}

/// The reader, with its scope.
fn reader(run: &Run, collection: Collection, is_complete: bool) -> ChildReader<ResourceAssignment> {
    let scope = [
        ("assignmentType", &assignment_type::ELIGIBLE),
        ("resourceType", &resource_type::ENTRA_GROUP),
    ];
    let filter = if is_complete {
        "entra:pimGroups:onboarded"
    } else {
        "entra:pimGroups:roleAssignable"
    };
    let target = Target::new(Entity::ResourceAssignments, &scope, filter);
    let list = ChildList {
        of: "group",
        version: Version::V1,
        address,
        map,
        estimate: 1.0,
        has_windows: true,
    };
    ChildReader::new(list, collection, run.sink(target))
}

async fn candidates(
    run: &Run,
    collection: &Collection,
    found: oneshot::Receiver<GroupsFound>,
) -> Result<Candidates, GraphError> {
    let list = List {
        version: Version::Beta,
        relative: "identityGovernance/privilegedAccess/group/resources",
    };
    let discovered = read_all(run, collection, list).await;
    // Names, and whom to ask when discovery says nothing.
    let role_assignable = found.await.unwrap_or_default().role_assignable;
    let onboarded = match discovered {
        Ok(onboarded) => onboarded,
        Err(error) if error.is_lasting_absence() && !role_assignable.is_empty() => {
            return Ok(Candidates {
                groups: role_assignable,
                is_complete: false,
                message: Some(format!(
                    "which groups take part is not known ({error}); only role-assignable groups were asked and nothing was removed"
                )),
            });
        }
        Err(error) => return Err(error),
    };
    if onboarded.is_empty() && !role_assignable.is_empty() {
        return Ok(Candidates {
            groups: role_assignable,
            is_complete: false,
            message: Some(
                "Graph names no group that takes part; only role-assignable groups were asked and nothing was removed"
                    .to_owned(),
            ),
        });
    }
    let arrived = onboarded.len();
    let name_of = |id: Uuid| {
        let known = role_assignable.iter().find(|group| group.id == id);
        known.and_then(|group| group.name.clone())
    };
    let groups: Vec<Parent> = onboarded
        .into_iter()
        .filter_map(|value| Object::read(value).map(|(id, _)| id))
        .map(|id| Parent {
            id,
            name: name_of(id),
            has_hidden_members: false,
        })
        .collect();
    Ok(Candidates {
        is_complete: groups.len() == arrived,
        groups,
        message: None,
    })
}
