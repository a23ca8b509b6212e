//! Conditional access policies and named locations; users in the recycle bin.

use std::{collections::HashSet, sync::Arc};

use contract::{
    CollectionReport, Entity, TypeName,
    records::{Context, ContextMember, Resource, context_type, resource_type},
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    collection::{Collection, Run, end_shared},
    list::{Landed, List, Reader, number, read_list},
};
use crate::{
    graph::{GraphError, Version},
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

const PERMISSION: &str = "Policy.Read.All";

/// Conditional access policies and named locations.
pub(crate) async fn conditional_access(run: Arc<Run>) -> Vec<CollectionReport> {
    let policies = resources(
        &run,
        "conditional access policies",
        resource_type::ENTRA_CONDITIONAL_ACCESS_POLICY,
        "identity/conditionalAccess/policies",
        mapping::conditional_access_policy,
    );
    let locations = resources(
        &run,
        "named locations",
        resource_type::ENTRA_NAMED_LOCATION,
        "identity/conditionalAccess/namedLocations",
        mapping::named_location,
    );
    let (policies, locations) = tokio::join!(policies, locations);
    vec![policies, locations]
}

async fn resources(
    run: &Run,
    name: &'static str,
    resource_type: TypeName,
    relative: &str,
    map: fn(Value) -> Option<Resource>,
) -> CollectionReport {
    let filter = format!("entra:{relative}:all");
    let target = Target::new(
        Entity::Resources,
        &[("resourceType", &resource_type)],
        &filter,
    );
    let collection = Collection::start(run, name, PERMISSION);
    let sink: Sink<Resource> = run.sink(target);
    let ended = read(run, &collection, &sink, relative, map, |one| one.id).await;
    end_shared(run, collection, &sink, &ended, None).await
}

/// Users in the recycle bin: who was deleted, and when.
pub(crate) async fn deleted_users(run: Arc<Run>) -> Vec<CollectionReport> {
    let scope = [("contextType", &context_type::DELETED_USERS)];
    let target = |entity| Target::new(entity, &scope, "entra:deletedUsers:all");
    let bin = mapping::deleted_users_id(run.tenant_id);
    let members = Collection::start(&run, "deleted users", super::principals::PERMISSION);
    let members_sink: Sink<ContextMember> = run.sink(target(Entity::ContextMembers));
    let relative = format!(
        "directory/deletedItems/microsoft.graph.user?$select={}&$top={}",
        mapping::DELETED_USER_PROPERTIES.join(","),
        run.config.tuning.page_size
    );
    let map = |value| mapping::deleted_user(bin, value);
    let ended = read(&run, &members, &members_sink, &relative, map, |one| {
        one.member_id
    })
    .await;
    let bin = Context {
        id: Some(bin),
        variant: Some("synced".to_owned()),
        target_type: Some("Principal".to_owned()),
        ..Context::new(context_type::DELETED_USERS, "Deleted users")
    };
    let collection = Collection::start(&run, "recycle bin", super::principals::PERMISSION);
    let sink: Sink<Context> = run.sink(target(Entity::Contexts));
    let mut posted = Ok(());
    if ended.is_ok() {
        posted = sink.push_all(std::slice::from_ref(&bin)).await;
        collection.add(1);
    }
    let about_bin = if posted.is_err() { &posted } else { &ended };
    let bin = end_shared(&run, collection, &sink, about_bin, None).await;
    let users = end_shared(&run, members, &members_sink, &ended, None).await;
    vec![bin, users]
}

/// Reads a list into a scope, each object once.
async fn read<R: Serialize + Send + Sync>(
    run: &Run,
    collection: &Collection,
    sink: &Sink<R>,
    relative: &str,
    map: impl Fn(Value) -> Option<R> + Send + Sync,
    id: fn(&R) -> Option<Uuid>,
) -> Result<(), Stopped> {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut reader = ObjectReader {
        collection,
        sink,
        map: &map,
        id,
        seen: HashSet::new(),
        has_unreadable: false,
    };
    read_list(run, collection, list, &mut reader).await?;
    if reader.has_unreadable {
        return Err(GraphError::LimitedObjects.into());
    }
    Ok(())
}

/// Sends objects as they come.
struct ObjectReader<'a, R, F> {
    collection: &'a Collection,
    sink: &'a Sink<R>,
    map: &'a F,
    id: fn(&R) -> Option<Uuid>,
    seen: HashSet<Uuid>,
    has_unreadable: bool,
}

impl<R, F> Reader for ObjectReader<'_, R, F>
where
    R: Serialize + Send + Sync,
    F: Fn(Value) -> Option<R> + Send + Sync,
{
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        let mut records = Vec::with_capacity(values.len());
        for value in values {
            match (self.map)(value) {
                Some(record) if (self.id)(&record).is_some_and(|id| self.seen.insert(id)) => {
                    records.push(record);
                }
                Some(_) => {}
                None => self.has_unreadable = true,
            }
        }
        self.sink.push_all(&records).await?;
        self.collection.add(records.len() as u64);
        Ok(())
    }

    fn restart(&mut self) {
        self.seen.clear();
        self.has_unreadable = false;
        self.collection.restart();
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        let session = self.sink.land().await?;
        let unreadable = u64::from(self.has_unreadable);
        Ok(Some(Landed {
            state: json!({"read": self.collection.read(), "unreadable": unreadable}),
            sessions: session.into_iter().collect(),
            entries: Vec::new(),
        }))
    }

    fn go_on(&mut self, state: &Value) {
        self.has_unreadable = number(&state["unreadable"]) > 0;
        self.collection.add(number(&state["read"]));
    }
}
