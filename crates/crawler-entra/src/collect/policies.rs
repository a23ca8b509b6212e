//! Conditional access policies and named locations; users in the recycle bin.

use std::sync::Arc;

use contract::{
    CollectionReport, Entity, TypeName,
    records::{Context, ContextMember, Resource, context_type, resource_type},
};
use serde_json::Value;

use super::{
    collection::{Collection, Run, end_shared},
    records::read_records,
};
use crate::{
    mapping,
    sink::{Sink, Target},
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
    let ended = read_records(run, &collection, &sink, relative, |value| map(value).into()).await;
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
    let map = |value| mapping::deleted_user(bin, value).into();
    let ended = read_records(&run, &members, &members_sink, &relative, map).await;
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
