//! PIM for Groups: who may activate membership or ownership of a group, and who is active, since when and until when.
//!
//! Graph lists both for one group at a time only, and which groups take part is known to the beta API alone. Where that list
//! is not to be had, the groups that can take part are asked one by one.

use std::{collections::HashMap, sync::Arc};

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
    groups::{GroupsFound, MAX_PIM_CANDIDATES},
    list::{List, read_all},
};
use crate::{
    graph::{GraphError, Version},
    mapping::{self, Mapped, Object},
    sink::Target,
};

const ELIGIBILITY_PERMISSION: &str = "PrivilegedEligibilitySchedule.Read.AzureADGroup";
const ASSIGNMENT_PERMISSION: &str = "PrivilegedAssignmentSchedule.Read.AzureADGroup";
/// PIM publishes no limits; few at once have proved safe.
const IN_FLIGHT: usize = 3;
const DISCOVERY_PERMISSION: &str = "PrivilegedAccess.Read.AzureADGroup";
const ROOT: &str = "/identityGovernance/privilegedAccess/group";

fn eligibility_address(group: Uuid, _page_size: u32) -> String {
    format!(
        "{ROOT}/eligibilityScheduleInstances?$filter=groupId%20eq%20'{group}'&$expand=principal"
    )
}

fn assignment_address(group: Uuid, _page_size: u32) -> String {
    format!(
        "{ROOT}/assignmentScheduleInstances?$filter=groupId%20eq%20'{group}'&$expand=principal,activatedUsing"
    )
}

fn map_eligibility(_group: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::pim_group_eligibility(value)
}

fn map_assignment(_group: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::pim_group_assignment(value)
}

/// The groups to ask.
struct Candidates {
    groups: Vec<Parent>,
    /// These are all there are.
    is_complete: bool,
    message: Option<String>,
}

/// The readers of what PIM keeps for a group.
struct Readers {
    eligible: ChildReader<ResourceAssignment>,
    active: ChildReader<ResourceAssignment>,
}

/// Reads who may be, and who is, a member or owner of groups in PIM; `found` brings the groups of the tenant once they are
/// known.
pub(crate) async fn pim_groups(
    run: Arc<Run>,
    found: oneshot::Receiver<GroupsFound>,
) -> Vec<CollectionReport> {
    let eligible = Collection::start(&run, "group eligibility", ELIGIBILITY_PERMISSION);
    let active = Collection::start(&run, "group schedules", ASSIGNMENT_PERMISSION);
    let candidates = match candidates(&run, &eligible, found).await {
        Ok(candidates) => candidates,
        Err(error) => {
            let stopped = error.into();
            let ending = || Ending::stopped(&stopped, false, DISCOVERY_PERMISSION);
            return vec![eligible.finish(ending()), active.finish(ending())];
        }
    };
    let is_complete = candidates.is_complete;
    let readers = Arc::new(Readers {
        eligible: reader(
            &run,
            eligible,
            &assignment_type::ELIGIBLE,
            (eligibility_address, map_eligibility),
            is_complete,
        ),
        active: reader(
            &run,
            active,
            &assignment_type::SCHEDULED,
            (assignment_address, map_assignment),
            is_complete,
        ),
    });
    let is_complete = read_groups(&run, &readers, &candidates).await;
    match Arc::try_unwrap(readers) {
        Ok(Readers { eligible, active }) => {
            let message = candidates.message;
            let (eligible, active) = tokio::join!(
                eligible.finish(&run, is_complete, message.clone()),
                active.finish(&run, is_complete, message),
            );
            vec![eligible, active]
        }
        Err(readers) => {
            let reason = "a reader of PIM's groups did not end";
            readers.eligible.collection().say(reason.to_owned());
            vec![super::collection::crashed(reason)]
        }
    }
}

/// Reads what PIM keeps for all candidates; false when some of it may be missing.
async fn read_groups(run: &Arc<Run>, readers: &Arc<Readers>, candidates: &Candidates) -> bool {
    let groups = candidates.groups.clone();
    let Ok(feed) = Feed::of(run, "PIM groups", groups, candidates.is_complete).await else {
        return false;
    };
    let shared = readers.clone();
    let tasks = run.config.tuning.in_flight.min(IN_FLIGHT);
    let read = move |run: Arc<Run>, groups: Vec<Parent>| {
        let readers = shared.clone();
        async move {
            tokio::join!(
                readers.eligible.read(&run, &groups),
                readers.active.read(&run, &groups)
            );
        }
    };
    let land = async || {
        let (eligible, active) = tokio::try_join!(readers.eligible.land(), readers.active.land())?;
        Ok([eligible, active].concat())
    };
    feed.read(run, tasks, read, land).await
}

/// The address of a group's list.
type Address = fn(Uuid, u32) -> String;
/// A record out of an object of that list.
type Mapping = fn(&Parent, Value) -> Mapped<ResourceAssignment>;

/// The reader of one kind of assignment, with its scope.
fn reader(
    run: &Run,
    collection: Collection,
    kind: &contract::TypeName,
    (address, map): (Address, Mapping),
    is_complete: bool,
) -> ChildReader<ResourceAssignment> {
    let list = ChildList {
        of: "group",
        version: Version::V1,
        address,
        map,
        estimate: 1.0,
        has_windows: true,
    };
    ChildReader::new(list, collection, run.sink(target(kind, is_complete)))
}

fn target(kind: &contract::TypeName, is_complete: bool) -> Target {
    let scope = [
        ("assignmentType", kind),
        ("resourceType", &resource_type::ENTRA_GROUP),
    ];
    let filter = if is_complete {
        "entra:pimGroups:onboarded"
    } else {
        "entra:pimGroups:roleAssignable"
    };
    Target::new(Entity::ResourceAssignments, &scope, filter)
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
    let id_of = |value| Object::read(value).map(|(id, _)| id);
    let discovered = read_all(run, collection, list, id_of).await;
    // Names, and whom to ask when discovery says nothing.
    let found = found.await.unwrap_or_default();
    let onboarded = match discovered {
        Ok(onboarded) => onboarded,
        Err(error) if error.is_lasting_absence() && found.has_candidates() => {
            return Ok(candidates_among(
                found,
                &format!("which groups take part is not known ({error})"),
            ));
        }
        Err(error) => return Err(error),
    };
    if onboarded.is_empty() && !found.role_assignable.is_empty() {
        return Ok(candidates_among(
            found,
            "Graph names no group that takes part",
        ));
    }
    let names: HashMap<Uuid, Option<String>> = found
        .role_assignable
        .into_iter()
        .chain(found.may_be_in_pim)
        .map(|group| (group.id, group.name))
        .collect();
    let name_of = |id: Uuid| names.get(&id).cloned().flatten();
    let arrived = onboarded.len();
    let groups: Vec<Parent> = onboarded
        .into_iter()
        .flatten()
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

/// Whom to ask when PIM does not say which groups take part: all groups that can, those that can hold directory roles first.
/// In a tenant with very many only the latter are asked, and nothing is removed.
fn candidates_among(found: GroupsFound, why: &str) -> Candidates {
    let is_complete = found.is_whole && found.may_be_in_pim.len() <= MAX_PIM_CANDIDATES;
    let mut groups = found.role_assignable;
    let message = if is_complete {
        groups.extend(found.may_be_in_pim);
        format!("{why}; every group that can take part was asked")
    } else {
        format!("{why}; only role-assignable groups were asked and nothing was removed")
    };
    Candidates {
        groups,
        is_complete,
        message: Some(message),
    }
}
