//! Entitlement management: each list is a collection of its own, so that one that fails leaves the others alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use chrono::{TimeDelta, Utc};
use contract::{
    CollectionReport, CollectionStatus, Completeness, Entity,
    records::{Resource, ResourceRelationship, assignment_type, relationship_type, resource_type},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    children::{ChildList, ChildReader},
    collection::{Collection, Ending, Run, commit},
    feed::{Feed, Parent},
    list::{List, read_all},
    records::{history_list, record_list, send_whole, window_list},
};
use crate::{
    graph::{GraphError, Version},
    mapping::{self, Content, Mapped},
    sink::{Sink, Target},
    stopping::Stopped,
};

const PERMISSION: &str = "EntitlementManagement.Read.All";
const ROOT: &str = "identityGovernance/entitlementManagement";
/// Larger pages have ended in gateway timeouts.
const LARGEST_PAGE: u32 = 500;
/// No limits are published; few at once have proved safe.
const IN_FLIGHT: usize = 3;

/// The collections that are read here.
pub(crate) const NAMES_OF_ENTITLEMENTS: &[&str] = &[
    "catalogs",
    "access packages",
    "package contents",
    "package sites",
    "assignment policies",
    "package assignments",
    "assignment requests",
    "governance roles",
    "governance role assignments",
];

/// Reads catalogs, packages with what they give, policies, assignments, requests, and who administers all this.
pub(crate) async fn entitlements(run: Arc<Run>) -> Vec<CollectionReport> {
    let (catalogs, packages, policies, assignments, requests, roles) = tokio::join!(
        catalogs(&run),
        packages(&run),
        policies(&run),
        assignments(&run),
        requests(&run),
        governance_roles(&run),
    );
    let mut reports = vec![catalogs];
    reports.extend(packages);
    reports.extend([policies, assignments, requests]);
    reports.extend(roles);
    reports
}

fn page_size(run: &Run) -> u32 {
    run.config.tuning.page_size.min(LARGEST_PAGE)
}

async fn catalogs(run: &Run) -> CollectionReport {
    let collection = Collection::start(run, "catalogs", PERMISSION);
    let target = Target::new(Entity::GovernanceCatalogs, &[], "entra:catalogs:all");
    let select = mapping::CATALOG_PROPERTIES.join(",");
    let relative = format!("{ROOT}/catalogs?$select={select}&$top={}", page_size(run));
    let map = |value| mapping::catalog(value).into();
    record_list(run, collection, &run.sink(target), &relative, map, || None).await
}

/// The packages, and when all are known, what they give.
async fn packages(run: &Arc<Run>) -> Vec<CollectionReport> {
    let collection = Collection::start(run, "access packages", PERMISSION);
    let scope = [("resourceType", &resource_type::BUSINESS_ROLE)];
    let target = Target::new(Entity::Resources, &scope, "entra:accessPackages:all");
    let select = mapping::PACKAGE_PROPERTIES.join(",");
    let relative = format!(
        "{ROOT}/accessPackages?$select={select}&$expand=catalog&$top={}",
        page_size(run)
    );
    let (packages, read) = read_packages(run, &collection, &relative).await;
    let parents = packages.values().map(parent).collect();
    let packages: Vec<Resource> = packages.into_values().collect();
    let sink = run.sink(target);
    let report = send_whole(run, collection, &sink, (&packages, read), None).await;
    let contents = contents(run, &report, parents).await;
    std::iter::once(report).chain(contents).collect()
}

/// All packages, and how their reading ended. They are read as a whole, because what they give is asked of each of them: a
/// package that is not known here would count as one that gives nothing.
async fn read_packages(
    run: &Run,
    collection: &Collection,
    relative: &str,
) -> (BTreeMap<Uuid, Resource>, Result<(), Stopped>) {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut packages = BTreeMap::new();
    let mut ended = Ok(());
    let map = |value| mapping::access_package(value).and_then(|one| Some((one.id?, one)));
    match read_all(run, collection, list, map).await {
        Ok(all) => {
            for one in all {
                match one {
                    Some((id, package)) => {
                        packages.insert(id, package);
                    }
                    None => ended = Err(GraphError::LimitedObjects.into()),
                }
            }
        }
        Err(error) => ended = Err(error.into()),
    }
    (packages, ended)
}

fn parent(package: &Resource) -> Parent {
    Parent {
        id: package.id.unwrap_or(Uuid::nil()),
        name: Some(package.display_name.clone()),
        has_hidden_members: false,
    }
}

/// What the contents of packages told beside the relationships.
#[derive(Default)]
struct Found {
    sites: BTreeMap<Uuid, Resource>,
    /// Entries of origin systems whose resources have no id.
    unknown: u64,
    unknown_systems: BTreeSet<String>,
}

impl Found {
    fn site(&mut self, site: Resource) {
        let Some(id) = site.id else { return };
        match self.sites.get(&id) {
            // Packages may know it by several names; which one is shown must not depend on the order of packages.
            Some(known) if known.display_name <= site.display_name => {}
            _ => {
                self.sites.insert(id, site);
            }
        }
    }

    fn message(&self) -> Option<String> {
        let systems: Vec<&str> = self.unknown_systems.iter().map(String::as_str).collect();
        (self.unknown > 0).then(|| {
            format!(
                "{} entries point into systems that are not read here ({}) and were left out",
                self.unknown,
                systems.join(", ")
            )
        })
    }
}

fn contents_address(package: Uuid, page_size: u32) -> String {
    // The list, and not an expansion of the package: an expansion may stop at twenty without a word.
    let top = page_size.min(LARGEST_PAGE);
    format!("/{ROOT}/accessPackages/{package}/resourceRoleScopes?$expand=role,scope&$top={top}")
}

fn map_content(
    found: &Mutex<Found>,
    package: &Parent,
    value: Value,
) -> Mapped<ResourceRelationship> {
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    match mapping::package_content(package.id, value) {
        Content::Gives(record, site) => {
            if let Some(site) = site {
                found.site(*site);
            }
            Mapped::Record(record)
        }
        Content::Unknown(system) => {
            found.unknown += 1;
            found.unknown_systems.insert(system);
            Mapped::Echo
        }
        Content::Unreadable => Mapped::Unreadable,
    }
}

async fn contents(
    run: &Arc<Run>,
    packages: &CollectionReport,
    parents: Vec<Parent>,
) -> [CollectionReport; 2] {
    let collection = Collection::start(run, "package contents", PERMISSION);
    if is_not_to_be_had(packages) {
        let sites = Collection::start(run, "package sites", PERMISSION);
        return [collection, sites].map(|one| one.finish(like(packages)));
    }
    let scope = [("relationshipType", &relationship_type::CONTAINS)];
    let target = Target::new(
        Entity::ResourceRelationships,
        &scope,
        "entra:packageContents:all",
    );
    let list = ChildList {
        of: "access package",
        version: Version::V1,
        address: contents_address,
        map: |_, _| Mapped::Unreadable,
        estimate: 1.0,
        has_windows: false,
    };
    let found: Arc<Mutex<Found>> = Arc::default();
    let shared = found.clone();
    let reader = ChildReader::new(list, collection, run.sink(target))
        .mapped_by(move |package, value| map_content(&shared, package, value));
    let reader = Arc::new(reader);
    let is_whole = packages.status == CollectionStatus::Complete;
    let known = parents.len();
    let asked = Arc::new(AtomicUsize::new(0));
    let shared = (reader.clone(), asked.clone());
    // The sites are known when all packages have told, so every attempt of the run asks all of them.
    let read = move |run: Arc<Run>, packages: Vec<Parent>| {
        let (reader, asked) = shared.clone();
        async move {
            asked.fetch_add(packages.len(), Ordering::Relaxed);
            reader.read(&run, &packages).await;
        }
    };
    let all_read = Feed::unremembered(parents, is_whole)
        .read(run, IN_FLIGHT, read, async || Ok(Vec::new()))
        .await;
    let mut found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    let message = found.message();
    let contents = match Arc::try_unwrap(reader) {
        Ok(reader) => reader.finish(run, all_read, message).await,
        Err(_) => super::collection::crashed("a reader of package contents did not end"),
    };
    let sites = std::mem::take(&mut found.sites).into_values().collect();
    // Sites of a package that was not asked here are not known here.
    let all_asked = asked.load(Ordering::Relaxed) == known;
    let sites = sites_found(run, sites, &contents, all_asked).await;
    [contents, sites]
}

/// Sites are known from the packages that give access to them, and from nowhere else.
async fn sites_found(
    run: &Run,
    sites: Vec<Resource>,
    contents: &CollectionReport,
    all_asked: bool,
) -> CollectionReport {
    let collection = Collection::start(run, "package sites", PERMISSION);
    if is_not_to_be_had(contents) || run.cancel.is_cancelled() {
        return collection.finish(like(contents));
    }
    let scope = [("resourceType", &mapping::SHAREPOINT_SITE)];
    let target = Target::new(Entity::Resources, &scope, "entra:packageSites:all");
    let sink: Sink<Resource> = run.sink(target);
    let is_whole = all_asked && contents.status == CollectionStatus::Complete;
    let sent = sink.push_all(&sites).await;
    let committed = match sent {
        Ok(()) => {
            collection.add(sites.len() as u64);
            let completeness = Completeness {
                complete: is_whole,
                ..Completeness::default()
            };
            commit(run, &sink, completeness).await
        }
        Err(stopped) => {
            sink.abandon().await;
            Err(stopped)
        }
    };
    let ending = match committed {
        Ok(answer) if is_whole => Ending::complete(answer),
        Ok(answer) => Ending {
            status: CollectionStatus::Partial,
            message: Some("not every package was read, so nothing was removed".to_owned()),
            ..Ending::complete(answer)
        },
        Err(stopped) => Ending::stopped(&stopped, true, PERMISSION),
    };
    collection.finish(ending)
}

fn is_not_to_be_had(report: &CollectionReport) -> bool {
    matches!(
        report.status,
        CollectionStatus::Forbidden | CollectionStatus::Unlicensed | CollectionStatus::Unavailable
    )
}

/// The end of a collection that could not begin because of another one.
fn like(report: &CollectionReport) -> Ending {
    Ending {
        status: report.status,
        failures: report.failures.clone(),
        missing_permission: report.missing_permission.clone(),
        ..Ending::complete(contract::IngestAnswer::default())
    }
}

async fn policies(run: &Run) -> CollectionReport {
    let collection = Collection::start(run, "assignment policies", PERMISSION);
    let target = Target::new(Entity::AssignmentPolicies, &[], "entra:policies:all");
    // This list refuses `$top`.
    let relative = format!("{ROOT}/assignmentPolicies?$expand=accessPackage");
    let map = |value| mapping::assignment_policy(value).into();
    record_list(run, collection, &run.sink(target), &relative, map, || None).await
}

async fn assignments(run: &Run) -> CollectionReport {
    let collection = Collection::start(run, "package assignments", PERMISSION);
    let scope = [
        ("assignmentType", &assignment_type::GOVERNED),
        ("resourceType", &resource_type::BUSINESS_ROLE),
    ];
    let target = Target::new(
        Entity::ResourceAssignments,
        &scope,
        "entra:packageAssignments:delivered",
    );
    let relative = format!(
        "{ROOT}/assignments?$filter=state%20eq%20'Delivered'&$expand=target,accessPackage,assignmentPolicy&$top={}",
        page_size(run)
    );
    let waiting = AtomicU64::new(0);
    let map = |value| {
        if mapping::is_without_account(&value) {
            waiting.fetch_add(1, Ordering::Relaxed);
        }
        mapping::package_assignment(value)
    };
    let message = || {
        let waiting = waiting.load(Ordering::Relaxed);
        (waiting > 0).then(|| {
            format!("{waiting} assignments wait for their holder's account and were left out")
        })
    };
    window_list(run, collection, &run.sink(target), &relative, map, message).await
}

async fn requests(run: &Run) -> CollectionReport {
    let collection = Collection::start(run, "assignment requests", PERMISSION);
    let target = Target::new(Entity::AssignmentRequests, &[], "entra:requests:recent");
    let days = i64::from(run.config.request_window_days);
    let since = (Utc::now() - TimeDelta::days(days)).format("%Y-%m-%d");
    let relative = format!(
        "{ROOT}/assignmentRequests?$filter=createdDateTime%20ge%20{since}T00:00:00Z&$expand=requestor,accessPackage,assignment&$top={}",
        page_size(run)
    );
    let map = |value| mapping::assignment_request(value).into();
    // Older requests happened, too: they are only not asked for again.
    history_list(run, collection, &run.sink(target), &relative, map, || None).await
}

/// Roles in entitlement management and who holds them, in which catalog.
async fn governance_roles(run: &Run) -> [CollectionReport; 2] {
    let root = "roleManagement/entitlementManagement";
    let definitions = async {
        let collection = Collection::start(run, "governance roles", PERMISSION);
        let scope = [("resourceType", &mapping::GOVERNANCE_ROLE)];
        let target = Target::new(Entity::Resources, &scope, "entra:governanceRoles:all");
        let relative = format!("{root}/roleDefinitions");
        let map = |value| mapping::governance_role(value).into();
        record_list(run, collection, &run.sink(target), &relative, map, || None).await
    };
    let assignments = async {
        let collection = Collection::start(run, "governance role assignments", PERMISSION);
        let scope = [
            ("assignmentType", &assignment_type::DIRECT),
            ("resourceType", &mapping::GOVERNANCE_ROLE),
        ];
        let target = Target::new(
            Entity::ResourceAssignments,
            &scope,
            "entra:governanceRoleAssignments:all",
        );
        let relative = format!("{root}/roleAssignments?$expand=principal");
        let map = |value| mapping::governance_role_assignment(value).into();
        window_list(run, collection, &run.sink(target), &relative, map, || None).await
    };
    let (definitions, assignments) = tokio::join!(definitions, assignments);
    [definitions, assignments]
}
