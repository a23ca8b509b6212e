//! Who holds the roles of applications, who owns them, who answers for agents: read while the list of service principals
//! is still coming in.

use std::sync::Arc;

use contract::{
    CollectionReport, Entity, TypeName,
    records::{ResourceAssignment, assignment_type, resource_type},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    super::{
        children::{ChildList, ChildReader, Sweep, read_rest, read_unswept, sweep},
        collection::{Collection, Run},
        feed::{Feed, Feeder, Parent, feed_of_list_read_again},
    },
    PERMISSION,
    roles::Known,
};
use crate::{
    graph::Version,
    mapping::{self, Mapped},
    sink::Target,
    stopping::Stopped,
};

const AGENT_PERMISSION: &str = "AgentIdentity.Read.All";

/// Counted, because Graph shows nothing past the first 999 assignments to those who do not ask its index.
fn assigned_to_address(application: Uuid, page_size: u32) -> String {
    format!(
        "/servicePrincipals/{application}/appRoleAssignedTo?$select={}&$count=true&$top={page_size}",
        mapping::APP_ROLE_ASSIGNMENT_PROPERTIES
    )
}

fn owners_address(application: Uuid, page_size: u32) -> String {
    format!("/servicePrincipals/{application}/owners?$select=id&$top={page_size}")
}

fn sponsors_address(agent: Uuid, page_size: u32) -> String {
    format!(
        "/servicePrincipals/{agent}/microsoft.graph.agentIdentity/sponsors?$select=id&$top={page_size}"
    )
}

fn map_assigned(application: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::app_role_assignment(application.id, value).into()
}

fn map_owner(application: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::owner(application.id, resource_type::ENTRA_APPLICATION, value).into()
}

fn map_sponsor(agent: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::sponsor(agent.id, value).into()
}

/// The address of a parent's list.
type Address = fn(Uuid, u32) -> String;
/// A record out of an object of that list.
type Mapping = fn(&Parent, Value) -> Mapped<ResourceAssignment>;

/// Where service principals are fed to those who read what hangs on them.
pub(super) struct Feeders {
    all: Feeder,
    agents: Feeder,
}

impl Feeders {
    pub fn push(&mut self, parent: Parent, is_agent: bool) {
        if is_agent {
            self.agents.push(parent.clone());
        }
        self.all.push(parent);
    }

    pub async fn pass_full(&mut self) {
        tokio::join!(self.all.pass_full(), self.agents.pass_full());
    }

    pub async fn end(self, is_whole: bool) {
        tokio::join!(self.all.end(is_whole), self.agents.end(is_whole));
    }
}

const ASSIGNED_OF_ALL: Sweep = Sweep {
    list: "servicePrincipals",
    relation: "appRoleAssignedTo",
    select: mapping::APP_ROLE_ASSIGNMENT_PROPERTIES,
    has_kinds: false,
};
const OWNERS_OF_ALL: Sweep = Sweep {
    list: "servicePrincipals",
    relation: "owners",
    select: "id",
    has_kinds: true,
};

/// The readers of role holders and owners.
struct Readers {
    assigned: ChildReader<ResourceAssignment>,
    owners: ChildReader<ResourceAssignment>,
}

/// The links of service principals, to be read.
pub(super) struct Links {
    known: Arc<Known>,
    readers: Arc<Readers>,
    sponsors: Arc<ChildReader<ResourceAssignment>>,
    all: Feed,
    agents: Feed,
}

/// The same after reading, with what the feeds told about the list of service principals.
pub(super) struct LinksRead {
    /// Absent when a reader did not give its share back.
    readers: Option<Readers>,
    sponsors: Option<ChildReader<ResourceAssignment>>,
    knows_all: bool,
    knows_agents: bool,
}

impl Links {
    pub fn new(run: &Run, known: &Arc<Known>) -> (Self, Feeders) {
        let (seen, held) = (known.clone(), known.clone());
        let assigned = reader(
            run,
            ("app role assignments", PERMISSION),
            (&assignment_type::DIRECT, &resource_type::ENTRA_APP_ROLE),
            (assigned_to_address, map_assigned),
            "entra:appRoleAssignedTo:all",
        )
        .rows_known_by(move |application| seen.roles_of(application))
        .observed_by(move |application, record| {
            held.note_held(application.id, record.resource_id);
        });
        let application = &resource_type::ENTRA_APPLICATION;
        let owners = reader(
            run,
            ("application owners", PERMISSION),
            (&assignment_type::OWNER, application),
            (owners_address, map_owner),
            "entra:servicePrincipals:owners",
        );
        let sponsors = reader(
            run,
            ("agent sponsors", AGENT_PERMISSION),
            (&assignment_type::SPONSOR, application),
            (sponsors_address, map_sponsor),
            "entra:agentIdentities:sponsors",
        );
        let (all_feeder, all) = feed_of_list_read_again(run, "service principals");
        let (agent_feeder, agents) = feed_of_list_read_again(run, "agents");
        let links = Self {
            known: known.clone(),
            readers: Arc::new(Readers { assigned, owners }),
            sponsors: Arc::new(sponsors),
            all,
            agents,
        };
        let feeders = Feeders {
            all: all_feeder,
            agents: agent_feeder,
        };
        (links, feeders)
    }

    pub async fn read(self, run: &Arc<Run>) -> LinksRead {
        let (readers, sponsors) = (self.readers.clone(), self.sponsors.clone());
        let known = self.known;
        let read_sponsors = move |run: Arc<Run>, parents: Vec<Parent>| {
            let sponsors = sponsors.clone();
            async move { sponsors.read(&run, &parents).await }
        };
        let land_sponsors = || self.sponsors.land();
        let reading = async {
            if run.config.sweeps {
                Box::pin(sweep_all(run, self.all, readers, known)).await
            } else {
                read_all(run, self.all, readers, known).await
            }
        };
        let (knows_all, knows_agents) = tokio::join!(
            reading,
            self.agents.read(run, 1, read_sponsors, land_sponsors),
        );
        LinksRead {
            readers: Arc::into_inner(self.readers),
            sponsors: Arc::into_inner(self.sponsors),
            knows_all,
            knows_agents,
        }
    }
}

/// Reads who holds roles and who owns, service principal by service principal. True when nothing is missing.
async fn read_all(run: &Arc<Run>, all: Feed, readers: Arc<Readers>, known: Arc<Known>) -> bool {
    let tasks = run.config.tuning.in_flight;
    let shared = readers.clone();
    let read = move |run: Arc<Run>, parents: Vec<Parent>| {
        let readers = shared.clone();
        async move {
            tokio::join!(
                readers.assigned.read(&run, &parents),
                readers.owners.read(&run, &parents)
            );
        }
    };
    let land = async || {
        let (assigned, owners) = tokio::try_join!(readers.assigned.land(), readers.owners.land())?;
        Ok([assigned, owners, known.unsaved()].concat())
    };
    all.read(run, tasks, read, land).await
}

/// The same by a sweep each, and by themselves where the sweeps do not settle it.
async fn sweep_all(run: &Arc<Run>, all: Feed, readers: Arc<Readers>, known: Arc<Known>) -> bool {
    let (assigned, owners, (parents, is_whole)) = tokio::join!(
        sweep(run, &*readers, |all| Some(&all.assigned), ASSIGNED_OF_ALL),
        sweep(run, &*readers, |all| Some(&all.owners), OWNERS_OF_ALL),
        all.all(),
    );
    let not_assigned = parents.iter().filter(|parent| !assigned.has(parent.id));
    let of_assigned = readers.clone();
    let read_assigned = move |run: Arc<Run>, parents: Vec<Parent>| {
        let readers = of_assigned.clone();
        async move { readers.assigned.read(&run, &parents).await }
    };
    let land_assigned = async || {
        let landed = readers.assigned.land().await?;
        Ok([landed, known.unsaved()].concat())
    };
    let name = "app role assignments";
    let (knows_assigned, knows_owners) = tokio::join!(
        read_rest(
            run,
            name,
            (not_assigned, is_whole),
            read_assigned,
            land_assigned
        ),
        read_unswept(
            run,
            &readers,
            |all| Some(&all.owners),
            &owners,
            (&parents, is_whole)
        ),
    );
    knows_assigned && knows_owners
}

/// A reader with its scope.
fn reader(
    run: &Run,
    (name, permission): (&'static str, &'static str),
    (assignment, resource): (&TypeName, &TypeName),
    (address, map): (Address, Mapping),
    filter: &str,
) -> ChildReader<ResourceAssignment> {
    let scope = [("assignmentType", assignment), ("resourceType", resource)];
    let target = Target::new(Entity::ResourceAssignments, &scope, filter);
    let list = ChildList {
        of: "service principal",
        version: Version::V1,
        address,
        map,
        estimate: 1.0,
        has_windows: false,
    };
    ChildReader::new(
        list,
        Collection::start(run, name, permission),
        run.sink(target),
    )
}

impl LinksRead {
    /// Is it known of every application whether anybody holds default access to it?
    pub fn know_default_access(&self) -> bool {
        let assigned = self.readers.as_ref().map(|readers| &readers.assigned);
        self.knows_all && assigned.is_some_and(ChildReader::has_read_all)
    }

    /// Commits and reports. When the list of service principals could not even begin, there was nothing to read.
    pub async fn end(
        self,
        run: &Run,
        listed: &Result<(), Stopped>,
        is_without_parents: bool,
    ) -> Vec<CollectionReport> {
        let refused = listed.as_ref().err().filter(|_| is_without_parents);
        let finish = async |reader: ChildReader<ResourceAssignment>, is_whole: bool| match refused {
            Some(stopped) => reader.give_up(stopped, PERMISSION).await,
            None => reader.finish(run, is_whole, None).await,
        };
        let mut reports = Vec::new();
        if let Some(readers) = self.readers {
            let (assigned, owners) = tokio::join!(
                Box::pin(finish(readers.assigned, self.knows_all)),
                Box::pin(finish(readers.owners, self.knows_all)),
            );
            reports.extend([assigned, owners]);
        }
        if let Some(sponsors) = self.sponsors {
            reports.push(Box::pin(finish(sponsors, self.knows_agents)).await);
        }
        reports
    }
}
