//! Delegated grants: what applications may do on behalf of users. One list of the tenant, never one per application.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use contract::{
    CollectionReport, Entity,
    records::{
        ResourceAssignment, ResourceRelationship, assignment_type, relationship_type, resource_type,
    },
};
use serde_json::Value;

use super::{
    collection::{Run, as_it_was},
    list::{Landed, List, Reader, read_list},
    seen::{Print, Prints},
    shelf::Shelf,
};
use crate::{
    delta::{Endpoint, Way, find_way},
    graph::{GraphError, Version},
    mapping::{self, Grant, Mapped, Row},
    sink::Target,
    stopping::Stopped,
};

const PERMISSION: &str = "Directory.Read.All";

/// The scopes that grants go to.
struct Shelves {
    of_users: Shelf<ResourceAssignment>,
    of_all: Shelf<ResourceRelationship>,
}

impl Shelves {
    fn new(run: &Run) -> Self {
        let filter = "entra:oauth2PermissionGrants:all";
        let scope = [
            ("assignmentType", &assignment_type::OAUTH2_GRANT),
            ("resourceType", &resource_type::ENTRA_APPLICATION),
        ];
        let of_users = Target::new(Entity::ResourceAssignments, &scope, filter);
        let scope = [("relationshipType", &relationship_type::DELEGATES_SCOPE)];
        let of_all = Target::new(Entity::ResourceRelationships, &scope, filter);
        Self {
            of_users: Shelf::new(run, "delegated grants", PERMISSION, of_users),
            of_all: Shelf::new(run, "tenant-wide grants", PERMISSION, of_all),
        }
    }
}

struct GrantReader<'a> {
    shelves: &'a Shelves,
    prints: Prints,
    /// The grant that brought each row.
    seen: HashMap<Print, Print>,
    unreadable: u64,
}

/// Reads the tenant's delegated grants.
pub(crate) async fn grants(run: Arc<Run>) -> Vec<CollectionReport> {
    let shelves = Shelves::new(&run);
    let endpoint = Endpoint {
        name: "oauth2PermissionGrants",
        select: mapping::GRANT_PROPERTIES.to_owned(),
        collections: vec!["delegated grants", "tenant-wide grants"],
        is_read_whole: true,
        ..Endpoint::default()
    };
    // The first shelf pays for the requests of the shared list.
    let payer = &shelves.of_users.collection;
    let mut ended = match find_way(&run, &endpoint, &payer.meter).await {
        Ok(Way::Full) => read(&run, &shelves).await,
        Ok(Way::Changes(_)) => return as_it_was(&endpoint, shelves.of_users.collection),
        Err(stopped) => Err(stopped),
    };
    // Both land before either commits: a grant of one user can have become one of all.
    if ended.is_ok() {
        ended = shelves.of_users.flush().await;
    }
    if ended.is_ok() {
        ended = shelves.of_all.flush().await;
    }
    let (of_users, of_all) = tokio::join!(
        shelves.of_users.end(&run, ended.as_ref()),
        shelves.of_all.end(&run, ended.as_ref()),
    );
    vec![of_users, of_all]
}

async fn read(run: &Run, shelves: &Shelves) -> Result<(), Stopped> {
    let relative = format!(
        "oauth2PermissionGrants?$select={}&$top={}",
        mapping::GRANT_PROPERTIES,
        run.config.tuning.page_size
    );
    let list = List {
        version: Version::V1,
        relative: &relative,
    };
    let mut reader = GrantReader {
        shelves,
        prints: Prints::default(),
        seen: HashMap::new(),
        unreadable: 0,
    };
    match read_list(run, &shelves.of_users.collection, list, &mut reader).await {
        Ok(()) if reader.unreadable > 0 => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    }
}

impl Reader for GrantReader<'_> {
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        let (mut of_users, mut of_all) = (Vec::new(), Vec::new());
        for value in values {
            match mapping::grant(value) {
                Mapped::Record(grant) => match *grant {
                    Grant::OfUser(record) => of_users.extend(self.of_user(*record)),
                    Grant::OfAll(record) => of_all.extend(self.of_all(*record)),
                },
                Mapped::Echo => {}
                Mapped::Unreadable => self.unreadable += 1,
            }
        }
        self.shelves.of_users.put(&of_users).await?;
        self.shelves.of_all.put(&of_all).await
    }

    fn restart(&mut self) {
        // What was sent is not sent again, so `seen` stays.
        self.unreadable = 0;
    }

    /// Twins are told apart by what came before, so every attempt reads the whole list.
    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}
}

/// What a grant is among those that were read before.
enum Standing {
    New,
    /// Another grant has the same client, resource and user. Graph has one at most; should it ever have two, they must
    /// not overwrite each other.
    Twin,
    Repeated,
}

impl GrantReader<'_> {
    /// `key` has client, resource and user of the grant.
    fn standing(&mut self, key: &impl Hash, id: &str) -> Standing {
        let id = self.prints.of(id);
        match self.seen.entry(self.prints.of(key)) {
            Entry::Vacant(place) => {
                place.insert(id);
                Standing::New
            }
            Entry::Occupied(known) if *known.get() == id => Standing::Repeated,
            Entry::Occupied(_) => Standing::Twin,
        }
    }

    fn of_user(&mut self, mut record: ResourceAssignment) -> Option<ResourceAssignment> {
        let id = record.source_id.clone()?;
        match self.standing(&record.row_key(), &id) {
            Standing::New => Some(record),
            Standing::Twin => {
                let scope = record.role_scope.unwrap_or_default();
                record.role_scope = Some(format!("{scope}/{id}"));
                Some(record)
            }
            Standing::Repeated => None,
        }
    }

    fn of_all(&mut self, mut record: ResourceRelationship) -> Option<ResourceRelationship> {
        let id = record.source_id.clone()?;
        match self.standing(&record.row_key(), &id) {
            Standing::New => Some(record),
            Standing::Twin => {
                record.role_name = Some(id);
                Some(record)
            }
            Standing::Repeated => None,
        }
    }
}
