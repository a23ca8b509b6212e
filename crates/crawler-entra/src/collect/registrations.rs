//! Application registrations, their owners, and the identities of other issuers that they trust.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CheckpointEntry, CollectionReport, Entity,
    records::{Resource, ResourceAssignment, assignment_type, resource_type},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    children::{ChildList, ChildReader, Sweep, read_unswept, sweep},
    collection::{Collection, Ending, Run, as_it_was},
    feed::{Feed, Feeder, Parent, feed},
    list::{Landed, List, Reader, number, read_list},
    principals::select_list,
    shelf::Shelf,
};
use crate::{
    delta::{Endpoint, Way, find_way},
    graph::{GraphError, Version},
    mapping::{self, Mapped, Object},
    sink::Target,
    stopping::Stopped,
};

const PERMISSION: &str = "Application.Read.All";

fn owners_address(registration: Uuid, page_size: u32) -> String {
    format!("/applications/{registration}/owners?$select=id&$top={page_size}")
}

/// At most twenty for each, so no page size is asked for.
fn credentials_address(registration: Uuid, _page_size: u32) -> String {
    format!(
        "/applications/{registration}/federatedIdentityCredentials?$select={}",
        mapping::FEDERATED_CREDENTIAL_PROPERTIES
    )
}

fn map_owner(registration: &Parent, value: Value) -> Mapped<ResourceAssignment> {
    mapping::owner(
        registration.id,
        resource_type::ENTRA_APP_REGISTRATION,
        value,
    )
    .into()
}

fn map_credential(registration: &Parent, value: Value) -> Mapped<Resource> {
    mapping::federated_credential(registration.id, value).into()
}

/// What hangs on registrations.
struct Readers {
    owners: Option<ChildReader<ResourceAssignment>>,
    credentials: Option<ChildReader<Resource>>,
}

impl Readers {
    fn new(run: &Run, with_resources: bool, with_links: bool) -> Self {
        let owners = with_links.then(|| {
            let scope = [
                ("assignmentType", &assignment_type::OWNER),
                ("resourceType", &resource_type::ENTRA_APP_REGISTRATION),
            ];
            let filter = "entra:applications:owners";
            let target = Target::new(Entity::ResourceAssignments, &scope, filter);
            let list = ChildList {
                of: "app registration",
                version: Version::V1,
                address: owners_address,
                map: map_owner,
                estimate: 1.0,
                has_windows: false,
            };
            let collection = Collection::start(run, "app registration owners", PERMISSION);
            ChildReader::new(list, collection, run.sink(target))
        });
        let credentials = with_resources.then(|| {
            let scope = [("resourceType", &resource_type::ENTRA_FEDERATED_CREDENTIAL)];
            let filter = "entra:applications:federatedIdentityCredentials";
            let target = Target::new(Entity::Resources, &scope, filter);
            let list = ChildList {
                of: "app registration",
                version: Version::V1,
                address: credentials_address,
                map: map_credential,
                estimate: 1.0,
                has_windows: false,
            };
            let collection = Collection::start(run, "federated credentials", PERMISSION);
            // The register does not know whose a credential is: with one registration unread, none can be removed.
            ChildReader::new(list, collection, run.sink(target)).rows_known_by(|_| None)
        });
        Self {
            owners,
            credentials,
        }
    }

    async fn read(&self, run: &Run, parents: &[Parent]) {
        let owners = async {
            if let Some(owners) = &self.owners {
                owners.read(run, parents).await;
            }
        };
        let credentials = async {
            if let Some(credentials) = &self.credentials {
                credentials.read(run, parents).await;
            }
        };
        tokio::join!(owners, credentials);
    }

    async fn land(&self) -> Result<Vec<CheckpointEntry>, Stopped> {
        let mut entries = Vec::new();
        if let Some(owners) = &self.owners {
            entries.extend(owners.land().await?);
        }
        if let Some(credentials) = &self.credentials {
            entries.extend(credentials.land().await?);
        }
        Ok(entries)
    }

    /// Commits and reports. When the list of registrations could not even begin, there was nothing to read.
    async fn end(
        self,
        run: &Run,
        refused: Option<&Stopped>,
        is_whole: bool,
    ) -> Vec<CollectionReport> {
        let mut reports = Vec::new();
        if let Some(owners) = self.owners {
            reports.push(match refused {
                Some(stopped) => owners.give_up(stopped, PERMISSION).await,
                None => Box::pin(owners.finish(run, is_whole, None)).await,
            });
        }
        if let Some(credentials) = self.credentials {
            reports.push(match refused {
                Some(stopped) => credentials.give_up(stopped, PERMISSION).await,
                None => Box::pin(credentials.finish(run, is_whole, None)).await,
            });
        }
        reports
    }
}

/// The reading of the list.
struct RegistrationReader<'a> {
    collection: &'a Collection,
    shelf: Option<&'a Shelf<Resource>>,
    feeder: Feeder,
    seen: HashSet<Uuid>,
    unreadable: u64,
}

/// Reads the registrations (with resources), their owners (with links) and federated credentials (with resources).
pub(crate) async fn registrations(
    run: Arc<Run>,
    with_resources: bool,
    with_links: bool,
) -> Vec<CollectionReport> {
    let scope = [("resourceType", &resource_type::ENTRA_APP_REGISTRATION)];
    let target = Target::new(Entity::Resources, &scope, "entra:applications:all");
    let shelf = with_resources.then(|| Shelf::new(&run, "app registrations", PERMISSION, target));
    let spare = shelf
        .is_none()
        .then(|| Collection::start(&run, "list of app registrations", PERMISSION));
    // Either one or the other pays for the list.
    let payer = (shelf.as_ref().map(|shelf| &shelf.collection)).or(spare.as_ref());
    let endpoint = endpoint(with_resources, with_links);
    let begun = match payer {
        Some(payer) => find_way(&run, &endpoint, &payer.meter).await,
        None => Ok(Way::Full),
    };
    if let Ok(Way::Changes(_)) = begun {
        let payer = shelf.map(|shelf| shelf.collection).or(spare);
        return payer.map_or_else(Vec::new, |payer| as_it_was(&endpoint, payer));
    }
    let readers = Arc::new(Readers::new(&run, with_resources, with_links));
    let (feeder, parents) = feed(&run, "app registrations");
    let reading = async {
        match (payer, begun) {
            (Some(payer), Ok(_)) => read_registrations(&run, payer, shelf.as_ref(), feeder).await,
            (_, Err(stopped)) => {
                feeder.end(false).await;
                (Err(stopped), true)
            }
            (None, Ok(_)) => (Ok(()), true),
        }
    };
    let ((ended, is_empty), is_whole) =
        tokio::join!(reading, read_children(&run, parents, readers.clone()));
    let mut reports = Vec::new();
    if let Some(shelf) = shelf {
        reports.push(shelf.end(&run, ended.as_ref()).await);
    }
    if let (Some(spare), Err(stopped)) = (spare, &ended) {
        let ending = Ending::stopped(stopped, spare.read() > 0, PERMISSION);
        reports.push(spare.finish(ending));
    }
    // Every task gave its share back, so this is the last one; should one not have, the sessions expire unharmed.
    if let Some(readers) = Arc::into_inner(readers) {
        let refused = ended.as_ref().err().filter(|_| is_empty);
        reports.extend(readers.end(&run, refused, is_whole).await);
    }
    reports
}

/// What tells of changes.
fn endpoint(with_resources: bool, with_links: bool) -> Endpoint {
    let (mut collections, mut untold) = (Vec::new(), Vec::new());
    let mut watched = select_list(registration_properties(with_resources), &[]);
    if with_resources {
        collections.push("app registrations");
    }
    if with_links {
        collections.push("app registration owners");
        watched.push_str(",owners");
    }
    if with_resources {
        collections.push("federated credentials");
        untold.push("federated credentials");
    }
    Endpoint {
        name: "applications",
        select: watched,
        collections,
        untold,
        is_read_whole: true,
        ..Endpoint::default()
    }
}

fn registration_properties(with_resources: bool) -> &'static [&'static str] {
    if with_resources {
        mapping::REGISTRATION_PROPERTIES
    } else {
        mapping::REGISTRATION_NAMES
    }
}

const OWNERS_OF_ALL: Sweep = Sweep {
    list: "applications",
    relation: "owners",
    select: "id",
    has_kinds: true,
};
const CREDENTIALS_OF_ALL: Sweep = Sweep {
    list: "applications",
    relation: "federatedIdentityCredentials",
    select: mapping::FEDERATED_CREDENTIAL_PROPERTIES,
    has_kinds: false,
};

/// Reads what hangs on registrations by a sweep each, and by themselves those that the sweeps do not settle.
async fn sweep_children(run: &Arc<Run>, parents: Feed, readers: Arc<Readers>) -> bool {
    let (owners, credentials, (parents, is_whole)) = tokio::join!(
        sweep(run, &*readers, |all| all.owners.as_ref(), OWNERS_OF_ALL),
        sweep(
            run,
            &*readers,
            |all| all.credentials.as_ref(),
            CREDENTIALS_OF_ALL
        ),
        parents.all(),
    );
    let parents = (parents.as_slice(), is_whole);
    let (knows_owners, knows_credentials) = tokio::join!(
        read_unswept(run, &readers, |all| all.owners.as_ref(), &owners, parents),
        read_unswept(
            run,
            &readers,
            |all| all.credentials.as_ref(),
            &credentials,
            parents
        ),
    );
    knows_owners && knows_credentials
}

async fn read_children(run: &Arc<Run>, parents: Feed, readers: Arc<Readers>) -> bool {
    if run.config.sweeps {
        return Box::pin(sweep_children(run, parents, readers)).await;
    }
    let tasks = run.config.tuning.in_flight;
    let shared = readers.clone();
    let read = move |run: Arc<Run>, parents: Vec<Parent>| {
        let readers = shared.clone();
        async move { readers.read(&run, &parents).await }
    };
    parents.read(run, tasks, read, || readers.land()).await
}

/// Reads the list; tells how it ended and whether it brought nothing at all.
async fn read_registrations(
    run: &Run,
    collection: &Collection,
    shelf: Option<&Shelf<Resource>>,
    feeder: Feeder,
) -> (Result<(), Stopped>, bool) {
    let properties = registration_properties(shelf.is_some());
    let relative = format!(
        "applications?$select={}&$top={}",
        select_list(properties, &[]),
        run.config.tuning.page_size
    );
    let list = List {
        version: Version::V1,
        relative: &relative,
    };
    let mut reader = RegistrationReader {
        collection,
        shelf,
        feeder,
        seen: HashSet::new(),
        unreadable: 0,
    };
    let read = read_list(run, collection, list, &mut reader).await;
    let ended = match read {
        Ok(()) if reader.unreadable > 0 => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    };
    reader.feeder.end(ended.is_ok()).await;
    (ended, collection.read() == 0)
}

impl Reader for RegistrationReader<'_> {
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        let (mut records, mut found) = (Vec::new(), 0);
        for value in values {
            let Some((parent, record)) = self.read_one(value) else {
                self.unreadable += 1;
                continue;
            };
            if self.seen.insert(parent.id) {
                self.feeder.push(parent);
                found += 1;
                records.extend(record);
            }
        }
        match self.shelf {
            Some(shelf) => shelf.put(&records).await?,
            None => self.collection.add(found),
        }
        Ok(())
    }

    fn restart(&mut self) {
        // What was sent and fed is not sent and fed again, so `seen` stays.
        self.unreadable = 0;
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        let session = match self.shelf {
            Some(shelf) => shelf.land().await?,
            None => None,
        };
        Ok(Some(Landed {
            state: json!({"read": self.collection.read(), "unreadable": self.unreadable}),
            sessions: session.into_iter().collect(),
            entries: self.feeder.entries(),
        }))
    }

    fn go_on(&mut self, state: &Value) {
        self.unreadable = number(&state["unreadable"]);
        self.collection.add(number(&state["read"]));
    }

    async fn landed(&mut self) {
        self.feeder.pass_full().await;
    }
}

impl RegistrationReader<'_> {
    fn read_one(&self, value: Value) -> Option<(Parent, Option<Resource>)> {
        let (id, name, record) = if self.shelf.is_some() {
            let record = mapping::registration(value)?;
            (record.id?, Some(record.display_name.clone()), Some(record))
        } else {
            let (id, mut object) = Object::read(value)?;
            (id, object.text("displayName"), None)
        };
        let parent = Parent {
            id,
            name,
            has_hidden_members: false,
        };
        Some((parent, record))
    }
}
