//! Delta functions: what changed in a collection since a token was given out.
//!
//! A token stands for the state of the tenant its holder has seen, held as a shared
//! snapshot, so any change surfaces however it was made. A round compares two
//! snapshots and is planned as a whole when it begins ([`Chain`]); its pages are
//! rendered from the plan when they are asked for, so the same page can be read
//! again. A collection gets its delta by an implementation of [`DeltaFamily`] and a
//! line in [`ROUTES`].

pub(crate) mod book;
mod compare;
mod families;
mod plan;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::book::{Chain, DeltaToken};
use self::plan::{Content, End, Entry};
use super::objects::ObjectView;
use super::property::{Entity, Property, Selection, render, select};
use super::wire::varied_id;
use super::{Call, Route, get};
use crate::model::{
    AdministrativeUnit, Application, Group, Link, PermissionGrant, ServicePrincipal, Tenant, User,
};
use crate::options::DeltaExpiry;
use crate::permissions::{self, Grants};
use crate::server::answer::{Body, GraphError};

/// Must come before the tables that know `/users/{id}` and its like. The cloud in China has
/// no changes of administrative units; it is not simulated.
pub(crate) const ROUTES: &[Route] = &[
    get("/users/delta", permissions::USERS, 2, delta::<User>),
    get("/groups/delta", permissions::GROUPS, 1, delta::<Group>),
    get(
        "/servicePrincipals/delta",
        permissions::APPLICATIONS,
        1,
        delta::<ServicePrincipal>,
    ),
    get(
        "/applications/delta",
        permissions::APPLICATIONS,
        2,
        delta::<Application>,
    ),
    get(
        "/oauth2PermissionGrants/delta",
        permissions::GRANTS,
        2,
        delta::<PermissionGrant>,
    ),
    get(
        "/directory/administrativeUnits/delta",
        permissions::ADMINISTRATIVE_UNITS,
        1,
        delta::<AdministrativeUnit>,
    ),
];

/// The most ids a `$filter` of a delta may name.
const LARGEST_FILTER: usize = 50;

/// A collection that tells what changed in it.
pub(crate) trait DeltaFamily: Entity + PartialEq {
    /// What its objects are known by.
    type Key: Ord + Clone + Display + FromStr;
    /// Name of the collection in `@odata.context`.
    const COLLECTION: &'static str;
    /// Relations that `$select` may name.
    const RELATIONS: &'static [Relation<Self>] = &[];
    /// The case of the letters of a key means nothing, as in ids that are GUIDs.
    const IGNORES_CASE: bool = true;
    /// Properties that can be selected elsewhere but are neither shown nor tracked.
    const UNTRACKED: &'static [&'static str] = &[];

    /// The objects.
    fn objects(tenant: &Tenant) -> &BTreeMap<Self::Key, Self>;

    /// Whether a deleted object waits in the recycle bin, where the tenant has one.
    fn is_restorable(_tenant: &Tenant, _key: &Self::Key) -> Option<bool> {
        None
    }

    /// Renders one object; unset properties are left out afterwards.
    fn rendered(
        &self,
        selection: &[&'static Property<Self>],
        _everything: bool,
    ) -> Map<String, Value> {
        render(self, selection)
    }
}

/// The links of one object, ascending by id.
type Links<T> = for<'a> fn(&'a Tenant, &T) -> Cow<'a, [Link]>;

/// A relation whose changes come as `name@delta`.
pub(crate) struct Relation<T: 'static> {
    name: &'static str,
    links: Links<T>,
    /// Ends that the tenant knows by id and type alone, such as devices; ascending.
    others: fn(&Tenant, &T) -> Vec<Other>,
    is_hidden: fn(&T, &Grants) -> bool,
}

/// An object that is known by its id and its `@odata.type` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) id: Uuid,
    pub(crate) odata_type: &'static str,
}

impl<T> Relation<T> {
    pub(crate) const fn new(name: &'static str, links: Links<T>) -> Self {
        Self {
            name,
            links,
            others: |_, _| Vec::new(),
            is_hidden: |_, _| false,
        }
    }

    /// With ends that are no users, groups or service principals.
    pub(crate) const fn with_others(mut self, others: fn(&Tenant, &T) -> Vec<Other>) -> Self {
        self.others = others;
        self
    }

    /// Shown only to callers for whom this says no.
    pub(crate) const fn hidden_if(mut self, is_hidden: fn(&T, &Grants) -> bool) -> Self {
        self.is_hidden = is_hidden;
        self
    }
}

/// What a chain of delta requests watches; fixed by its first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) collection: &'static str,
    pub(crate) names: Option<Vec<String>>,
    /// Keys, when `$filter` names some.
    pub(crate) ids: Option<BTreeSet<String>>,
}

/// The selection of a scope, resolved for its type.
pub(crate) struct View<T: DeltaFamily> {
    properties: Selection<T>,
    relations: Vec<&'static Relation<T>>,
    everything: bool,
}

impl<T: DeltaFamily> View<T> {
    fn new(call: &Call<'_>, scope: &Scope) -> Result<Self, GraphError> {
        let relation = |name: &str| T::RELATIONS.iter().find(|known| known.name == name);
        let names = scope.names.as_ref();
        let relations = names
            .into_iter()
            .flatten()
            .filter_map(|name| relation(name))
            .collect();
        let plain: Option<Vec<String>> = names.map(|names| {
            names
                .iter()
                .filter(|name| relation(name).is_none())
                .cloned()
                .collect()
        });
        let mut properties = select::<T>(plain.as_deref(), call.version, call.grants)?;
        properties.retain(|property| !T::UNTRACKED.contains(&property.name));
        Ok(Self {
            properties,
            relations,
            everything: names.is_none(),
        })
    }

    /// The properties of an object that are set.
    fn set_properties(&self, object: &T) -> Map<String, Value> {
        let mut map = object.rendered(&self.properties, self.everything);
        map.retain(|_, value| !value.is_null());
        map
    }
}

fn delta<T: DeltaFamily>(call: &Call<'_>) -> Result<Body, GraphError> {
    for option in ["$top", "$expand"] {
        if call.query.get(option).is_some() {
            return Err(GraphError::unsupported(format!(
                "The query option '{option}' is not supported for delta queries."
            )));
        }
    }
    if let Some(token) = call.query.get("$skiptoken") {
        let (chain, page) = call.deltas.page(token, T::COLLECTION)?;
        return answer::<T>(call, &chain, page);
    }
    let token = call.query.get("$deltatoken").unwrap_or_default();
    if token.is_empty() {
        let scope = scope_of::<T>(call)?;
        return begin::<T>(call, scope, None);
    }
    if token.eq_ignore_ascii_case("latest") {
        let scope = scope_of::<T>(call)?;
        View::<T>::new(call, &scope)?;
        let token = call
            .deltas
            .issue(scope.clone(), call.snapshot, call.snapshot, None);
        let mut page = empty_page(call, &scope);
        page["@odata.deltaLink"] = call.link(&format!("$deltatoken={token}")).into();
        return Ok(Body::Json(page));
    }
    let token = call
        .deltas
        .token(token, T::COLLECTION)
        .map_err(|lost| refusal(call, lost))?;
    let given = scope_of::<T>(call)?;
    let differs = (given.names.is_some() && given.names != token.scope.names)
        || (given.ids.is_some() && given.ids != token.scope.ids);
    if differs {
        return Err(GraphError::bad_request(
            "The delta token was given out for other query options.",
        ));
    }
    begin::<T>(call, token.scope.clone(), Some(&token))
}

/// Why a delta token cannot be used.
#[derive(Clone, Copy)]
pub(crate) enum LostToken {
    Expired(DeltaExpiry),
    Invalid,
}

fn refusal(call: &Call<'_>, lost: LostToken) -> GraphError {
    match lost {
        LostToken::Invalid => {
            GraphError::bad_request("Badly formed token: the delta token is invalid.")
        }
        LostToken::Expired(DeltaExpiry::Gone) => {
            let mut error = GraphError::new(
                410,
                "resyncRequired",
                "Resync required. Replace any local items with the server's version.",
            );
            error.headers.push(("Location", call.link("$deltatoken=")));
            error
        }
        LostToken::Expired(DeltaExpiry::SyncStateNotFound) => GraphError::new(
            400,
            "syncStateNotFound",
            "The sync state generation is not found; sync from the beginning.",
        ),
    }
}

fn scope_of<T: DeltaFamily>(call: &Call<'_>) -> Result<Scope, GraphError> {
    Ok(Scope {
        collection: T::COLLECTION,
        names: call.query.select(),
        ids: call
            .query
            .get("$filter")
            .map(|filter| filtered_ids(filter, T::IGNORES_CASE))
            .transpose()?,
    })
}

/// `id eq 'a' or id eq 'b'`, the only filter of a delta.
fn filtered_ids(filter: &str, ignores_case: bool) -> Result<BTreeSet<String>, GraphError> {
    let ids: Option<BTreeSet<String>> = filter
        .split(" or ")
        .map(|clause| {
            let literal = clause.trim().strip_prefix("id eq ")?.trim();
            let id = literal.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(if ignores_case {
                id.to_lowercase()
            } else {
                id.to_owned()
            })
        })
        .collect();
    ids.filter(|ids| ids.len() <= LARGEST_FILTER)
        .ok_or_else(|| {
            GraphError::unsupported("Unsupported or invalid query filter clause specified.")
        })
}

/// Plans a round and answers its first page.
fn begin<T: DeltaFamily>(
    call: &Call<'_>,
    scope: Scope,
    token: Option<&DeltaToken>,
) -> Result<Body, GraphError> {
    let view = View::<T>::new(call, &scope)?;
    let options = call.deltas.options();
    // With replication delay a round shows what was there when the last one began.
    let to = token
        .filter(|_| options.replication_delay)
        .map_or(call.snapshot, |token| &token.seen);
    let from = token.map(|token| &token.shown);
    let entries = compare::changes(call, &view, &scope, from.map(|from| &**from), to);
    let before = token.and_then(|token| token.before.as_deref());
    let repeated = before.map_or(Vec::new(), |before| {
        compare::changes(call, &view, &scope, Some(before), to)
    });
    let serial = call.deltas.next_serial();
    let pages = plan::pages(entries, repeated, from.is_none(), serial, &options);
    let chain = call.deltas.keep(Chain {
        serial,
        scope,
        from: from.cloned(),
        to: to.clone(),
        seen: call.snapshot.clone(),
        prefers_minimal: call.prefers_minimal,
        pages,
    });
    answer::<T>(call, &chain, 0)
}

fn empty_page(call: &Call<'_>, scope: &Scope) -> Value {
    let context = match &scope.names {
        Some(names) => format!("{}({})", scope.collection, names.join(",")),
        None => scope.collection.to_owned(),
    };
    json!({"@odata.context": call.context(&context), "value": []})
}

/// Renders one page of a planned round.
fn answer<T: DeltaFamily>(
    call: &Call<'_>,
    chain: &Chain,
    number: usize,
) -> Result<Body, GraphError> {
    // Permissions are looked at anew: they may have changed since the round began.
    let view = View::<T>::new(call, &chain.scope)?;
    let ends = ObjectView::new(call, Some(vec!["id".to_owned()]))?;
    let entries = chain
        .pages
        .get(number)
        .ok_or_else(|| GraphError::bad_request("The specified page token value is invalid."))?;
    let value: Vec<Value> = entries
        .iter()
        .filter_map(|entry| rendered(chain, &view, &ends, entry))
        .collect();
    let mut page = empty_page(call, &chain.scope);
    page["value"] = Value::Array(value);
    if number + 1 < chain.pages.len() {
        let token = book::page_token(chain, number + 1);
        page["@odata.nextLink"] = call.link(&format!("$skiptoken={token}")).into();
    } else {
        let token = call.deltas.issue(
            chain.scope.clone(),
            &chain.to,
            &chain.seen,
            chain.from.clone(),
        );
        page["@odata.deltaLink"] = call.link(&format!("$deltatoken={token}")).into();
    }
    Ok(Body::Json(page))
}

fn rendered<T: DeltaFamily>(
    chain: &Chain,
    view: &View<T>,
    ends: &ObjectView<'_>,
    entry: &Entry,
) -> Option<Value> {
    let links = match &entry.content {
        Content::Removed(reason) => {
            return Some(json!({"id": entry.key, "@removed": {"reason": reason}}));
        }
        Content::Shown(links) => links,
    };
    let key = T::Key::from_str(&entry.key).ok()?;
    let object = T::objects(&chain.to).get(&key)?;
    let old = chain
        .from
        .as_ref()
        .and_then(|from| T::objects(from).get(&key))
        .map(|old| view.set_properties(old));
    let mut map = view.set_properties(object);
    if let Some(old) = old {
        // What was set and no longer is comes as null; what never was is left out.
        for name in old.keys() {
            map.entry(name).or_insert(Value::Null);
        }
        if chain.prefers_minimal {
            map.retain(|name, value| name.starts_with('@') || old.get(name) != Some(&*value));
        }
    }
    map.insert("id".to_owned(), id_of(object, &entry.key));
    for (name, changes) in links {
        let items: Vec<Value> = changes
            .iter()
            .map(|change| {
                let mut item = match change.end {
                    End::Known(link) => ends.link(link),
                    End::Other(other) => {
                        json!({"@odata.type": other.odata_type, "id": varied_id(other.id)})
                    }
                };
                if change.is_removed {
                    item["@removed"] = json!({"reason": "deleted"});
                }
                item
            })
            .collect();
        map.insert(format!("{name}@delta"), Value::Array(items));
    }
    Some(Value::Object(map))
}

/// The id as lists show it.
fn id_of<T: Entity>(object: &T, key: &str) -> Value {
    T::PROPERTIES
        .iter()
        .find(|property| property.name == "id")
        .map_or_else(|| key.into(), |property| (property.get)(object))
}
