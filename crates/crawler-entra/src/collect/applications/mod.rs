//! Service principals: as principals, as applications with the roles that they offer, and as parents of those who hold
//! these roles, own the applications or answer for the agents. One list of Graph brings them all.

mod links;
mod roles;

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, Entity,
    records::{Resource, resource_type},
};
use serde_json::Value;
use uuid::Uuid;

use self::{
    links::{Feeders, Links},
    roles::{Known, RoleShelves},
};
use super::{
    collection::{Collection, Ending, Run, as_it_was},
    feed::Parent,
    list::{Landed, List, Reader, read_list},
    principals::{
        Lane, NAMES_OF_SERVICE_PRINCIPALS, changed_service_principals, finish, flush,
        lanes_of_service_principals, push_to_lanes, select_list,
    },
    shelf::Shelf,
};
use crate::{
    delta::{Endpoint, Way, find_way},
    graph::{GraphError, Version},
    mapping::{self, ApplicationParts},
    sink::Target,
    stopping::Stopped,
};

const PERMISSION: &str = "Application.Read.All";

/// App roles make service principals fat: where whole pages take Graph too long, no more than these are asked for at a time.
const SHORT_PAGE: u32 = 300;

/// The names of the collections that the list fills, by what is wanted.
pub(crate) const NAMES_OF_APPLICATIONS: &[&str] =
    &["applications", "app roles", "roles of applications"];
pub(crate) const NAMES_OF_APPLICATION_LINKS: &[&str] = &[
    "app role assignments",
    "application owners",
    "agent sponsors",
];

/// What is to become of the service principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub principals: bool,
    /// Applications and their roles.
    pub resources: bool,
    /// Who holds the roles, who owns the applications, who answers for agents.
    pub links: bool,
}

/// The scopes that the list fills itself.
struct Shelves {
    lanes: Vec<Lane>,
    applications: Option<(Shelf<Resource>, RoleShelves)>,
    /// Pays for the requests when the list is a means to an end only.
    spare: Option<Collection>,
}

impl Shelves {
    fn new(run: &Run, wanted: Wanted) -> Self {
        let applications = wanted.resources.then(|| {
            let scope = [("resourceType", &resource_type::ENTRA_APPLICATION)];
            let target = Target::new(Entity::Resources, &scope, "entra:servicePrincipals:all");
            (
                Shelf::new(run, "applications", PERMISSION, target),
                RoleShelves::new(run, PERMISSION),
            )
        });
        let is_spare = !wanted.principals && !wanted.resources;
        Self {
            lanes: if wanted.principals {
                lanes_of_service_principals(run, PERMISSION)
            } else {
                Vec::new()
            },
            applications,
            spare: is_spare
                .then(|| Collection::start(run, "list of service principals", PERMISSION)),
        }
    }

    /// Nothing is read.
    fn left_as_they_were(mut self, endpoint: &Endpoint) -> Vec<CollectionReport> {
        let lane = (!self.lanes.is_empty()).then(|| self.lanes.remove(0).collection);
        let shelf = self.applications.map(|(shelf, _)| shelf.collection);
        let payer = lane.or(shelf).or(self.spare);
        payer.map_or_else(Vec::new, |payer| as_it_was(endpoint, payer))
    }

    /// The collection that pays for the list.
    fn payer(&self) -> Option<&Collection> {
        let lane = self.lanes.first().map(|lane| &lane.collection);
        let shelf = self.applications.as_ref();
        lane.or(shelf.map(|(shelf, _)| &shelf.collection))
            .or(self.spare.as_ref())
    }
}

/// Reads the service principals and what hangs on them.
pub(crate) async fn applications(run: Arc<Run>, wanted: Wanted) -> Vec<CollectionReport> {
    let is_followed = wanted.principals && !wanted.resources && !wanted.links;
    if is_followed && let Some(reports) = changed_service_principals(&run, PERMISSION).await {
        return reports;
    }
    let known = Arc::new(Known::new(&run, wanted.resources));
    let shelves = Shelves::new(&run, wanted);
    let endpoint = endpoint(wanted);
    let begun = match shelves.payer() {
        // Above, it was not found worth while.
        Some(payer) if !is_followed => find_way(&run, &endpoint, &payer.meter).await,
        _ => Ok(Way::Full),
    };
    if let Ok(Way::Changes(_)) = begun {
        return shelves.left_as_they_were(&endpoint);
    }
    let (links, feeders) = if wanted.links {
        let (links, feeders) = Links::new(&run, &known);
        (Some(links), Some(feeders))
    } else {
        (None, None)
    };
    let reading_links = async {
        match links {
            Some(links) => Some(links.read(&run).await),
            None => None,
        }
    };
    let (ended, links) = tokio::join!(
        async {
            begun?;
            read_service_principals(&run, wanted, &shelves, &known, feeders).await
        },
        reading_links,
    );
    let knows_default_access = links.as_ref().map(links::LinksRead::know_default_access);
    let mut reports = Box::pin(end_shelves(
        &run,
        shelves,
        ended.as_ref(),
        &known,
        knows_default_access,
    ))
    .await;
    if let Some(links) = links {
        reports.extend(links.end(&run, &ended, known.is_empty()).await);
    }
    reports
}

/// What tells of changes. Which applications give default access shows in what hangs on all of them together, so that any
/// change has them all read; and who holds a role is not told at all.
fn endpoint(wanted: Wanted) -> Endpoint {
    let mut watched = select_list(&properties(wanted), &[]);
    let (mut collections, mut untold) = (Vec::new(), Vec::new());
    if wanted.principals {
        collections.extend(NAMES_OF_SERVICE_PRINCIPALS);
    }
    if wanted.resources {
        collections.extend(NAMES_OF_APPLICATIONS);
    }
    if wanted.links {
        watched.push_str(",owners");
        collections.extend(NAMES_OF_APPLICATION_LINKS);
        untold.extend(["app role assignments", "agent sponsors"]);
    }
    Endpoint {
        name: "servicePrincipals",
        select: watched,
        of_objects: 3 * usize::from(wanted.principals),
        collections,
        untold,
        is_read_whole: true,
        ..Endpoint::default()
    }
}

/// What the list is asked for.
fn properties(wanted: Wanted) -> Vec<&'static str> {
    let mut properties = mapping::SERVICE_PRINCIPAL_PROPERTIES.to_vec();
    if wanted.resources {
        properties.push(mapping::SERVICE_PRINCIPAL_APP_ROLES);
    }
    properties
}

async fn read_service_principals(
    run: &Run,
    wanted: Wanted,
    shelves: &Shelves,
    known: &Known,
    feeders: Option<Feeders>,
) -> Result<(), Stopped> {
    let mut reader = PrincipalReader {
        wanted,
        shelves,
        known,
        feeders,
        seen: HashSet::new(),
        unreadable: 0,
    };
    let read = match shelves.payer() {
        Some(payer) => read_pages(run, payer, &mut reader).await,
        None => Ok(()),
    };
    let ended = match read {
        Ok(()) if reader.unreadable > 0 => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    };
    if let Some(feeders) = reader.feeders {
        feeders.end(ended.is_ok()).await;
    }
    ended?;
    flush(&shelves.lanes).await
}

/// Reads the list in pages as large as Graph manages.
async fn read_pages(
    run: &Run,
    payer: &Collection,
    reader: &mut PrincipalReader<'_>,
) -> Result<(), Stopped> {
    let select = select_list(&properties(reader.wanted), &[]);
    let relative = |top: u32| format!("servicePrincipals?$select={select}&$top={top}");
    let list = |relative| List {
        version: Version::V1,
        relative,
    };
    let largest = run.config.tuning.page_size;
    match read_list(run, payer, list(&relative(largest)), reader).await {
        Err(Stopped::Source(GraphError::Unanswered { .. })) if largest > SHORT_PAGE => {
            reader.restart();
            read_list(run, payer, list(&relative(SHORT_PAGE)), reader).await
        }
        read => read,
    }
}

/// The reading of the list.
struct PrincipalReader<'a> {
    wanted: Wanted,
    shelves: &'a Shelves,
    known: &'a Known,
    feeders: Option<Feeders>,
    seen: HashSet<Uuid>,
    unreadable: u64,
}

impl Reader for PrincipalReader<'_> {
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        let parts = self.new_ones(values);
        let (mut principals, mut applications) = (Vec::new(), Vec::new());
        let mut roles = Vec::new();
        for one in parts {
            self.known.add(&one);
            self.feed(&one);
            principals.push(one.principal);
            applications.push(one.application);
            roles.extend(one.roles);
        }
        if self.wanted.principals {
            push_to_lanes(&self.shelves.lanes, principals).await?;
        }
        if let Some((shelf, role_shelves)) = &self.shelves.applications {
            shelf.put(&applications).await?;
            role_shelves.put(roles).await?;
        }
        if let Some(spare) = &self.shelves.spare {
            spare.add(applications.len() as u64);
        }
        Ok(())
    }

    fn restart(&mut self) {
        // What was sent and fed is not sent and fed again, so `seen` stays.
        self.unreadable = 0;
    }

    /// Which roles an application has must be known when its assignments are committed, so every attempt reads the whole list.
    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}

    async fn landed(&mut self) {
        if let Some(feeders) = &mut self.feeders {
            feeders.pass_full().await;
        }
    }
}

impl PrincipalReader<'_> {
    fn new_ones(&mut self, values: Vec<Value>) -> Vec<ApplicationParts> {
        let mut new = Vec::with_capacity(values.len());
        for value in values {
            match mapping::application_parts(value, self.wanted.resources) {
                Some(one) if self.seen.insert(one.id) => new.push(one),
                Some(_) => {}
                None => self.unreadable += 1,
            }
        }
        new
    }

    fn feed(&mut self, one: &ApplicationParts) {
        if let Some(feeders) = &mut self.feeders {
            let parent = Parent {
                id: one.id,
                name: Some(one.principal.display_name.clone()),
                has_hidden_members: false,
            };
            feeders.push(parent, one.is_agent());
        }
    }
}

/// Ends the scopes that the list fills. `knows_default_access`: absent when nobody was to look.
async fn end_shelves(
    run: &Run,
    shelves: Shelves,
    ended: Result<&(), &Stopped>,
    known: &Known,
    knows_default_access: Option<bool>,
) -> Vec<CollectionReport> {
    let mut reports = finish(run, shelves.lanes, ended).await;
    if let Some((applications, roles)) = shelves.applications {
        reports.push(applications.end(run, ended).await);
        reports.extend(roles.end(run, ended, known, knows_default_access).await);
    }
    if let (Some(spare), Err(stopped)) = (shelves.spare, ended) {
        let ending = Ending::stopped(stopped, spare.read() > 0, PERMISSION);
        reports.push(spare.finish(ending));
    }
    reports
}
