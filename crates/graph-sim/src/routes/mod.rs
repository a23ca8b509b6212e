//! The routes of Graph, one module per family. A family is a table of [`Route`]s;
//! adding one means writing its module and naming its table in [`tables`].

mod access_reviews;
mod app_access;
mod applications;
mod attributes;
pub(crate) mod delta;
mod entitlement;
mod groups;
mod objects;
mod organization;
mod paging;
mod pim_groups;
mod policies;
mod property;
mod roles;
mod service_principals;
mod units;
mod users;
mod wire;

use std::sync::Arc;

use serde_json::Value;

use crate::application::OwnApplication;
use crate::model::Tenant;
use crate::permissions::Grants;
use crate::server::answer::{Body, GraphError};
use crate::server::query::Query;

/// Which of Graph's two versions is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    Beta,
}

impl Version {
    pub(crate) fn parse(segment: &str) -> Option<Self> {
        match segment {
            "v1.0" => Some(Self::V1),
            "beta" => Some(Self::Beta),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1.0",
            Self::Beta => "beta",
        }
    }
}

/// Everything a handler may look at.
pub(crate) struct Call<'a> {
    pub(crate) tenant: &'a Tenant,
    /// The application that asks.
    pub(crate) application: OwnApplication<'a>,
    /// The same, to be kept.
    pub(crate) snapshot: &'a Arc<Tenant>,
    pub(crate) deltas: &'a delta::book::DeltaBook,
    pub(crate) grants: &'a Grants,
    pub(crate) version: Version,
    /// Origin of the simulator.
    pub(crate) base_url: &'a str,
    /// Path after the version, as sent.
    pub(crate) path: &'a str,
    /// What stands in place of the template's `{…}`.
    pub(crate) parameters: Vec<&'a str>,
    pub(crate) query: &'a Query,
    pub(crate) body: Option<&'a Value>,
    /// `ConsistencyLevel: eventual` was sent.
    pub(crate) is_eventual: bool,
    /// `Prefer: return=minimal` was sent.
    pub(crate) prefers_minimal: bool,
    /// The tenant has Entra ID P1.
    pub(crate) p1_licensed: bool,
    /// The tenant has Entra ID P2.
    pub(crate) p2_licensed: bool,
    /// Sign-in activity comes for 120 users at a time only.
    pub(crate) short_activity_pages: bool,
}

impl Call<'_> {
    fn context(&self, what: &str) -> String {
        format!(
            "{}/{}/$metadata#{what}",
            self.base_url,
            self.version.as_str()
        )
    }

    fn link(&self, query: &str) -> String {
        format!(
            "{}/{}{}?{query}",
            self.base_url,
            self.version.as_str(),
            self.path
        )
    }

    /// The object id at the given place of the path; what is no id is not found.
    fn id(&self, place: usize) -> Result<uuid::Uuid, GraphError> {
        let text = self.parameters[place];
        uuid::Uuid::parse_str(text).map_err(|_| GraphError::not_found(text))
    }
}

type Handler = fn(&Call<'_>) -> Result<Body, GraphError>;

/// One route: what it is called, what it costs, who may use it, what it does.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) template: &'static str,
    pub(crate) permissions: &'static [&'static str],
    /// Resource units before modifiers.
    pub(crate) units: u32,
    pub(crate) beta_only: bool,
    pub(crate) needs_p2: bool,
    pub(crate) handler: Handler,
}

const fn get(
    template: &'static str,
    permissions: &'static [&'static str],
    units: u32,
    handler: Handler,
) -> Route {
    Route {
        method: "GET",
        template,
        permissions,
        units,
        beta_only: false,
        needs_p2: false,
        handler,
    }
}

impl Route {
    const fn post(mut self) -> Self {
        self.method = "POST";
        self
    }

    const fn beta_only(mut self) -> Self {
        self.beta_only = true;
        self
    }

    const fn needs_p2(mut self) -> Self {
        self.needs_p2 = true;
        self
    }

    /// The price of a request in resource units. `getByIds` has its discount for
    /// `$select` in full: five become two.
    pub(crate) fn price(&self, query: &Query) -> u32 {
        let is_lookup = self.method == "POST";
        let mut price = i64::from(self.units);
        if query.get("$select").is_some() {
            price -= if is_lookup { 3 } else { 1 };
        }
        if query.get("$expand").is_some() {
            price += 1;
        }
        if matches!(query.top(), Ok(Some(size)) if size < 20) {
            price -= 1;
        }
        price.max(1) as u32
    }
}

fn tables() -> [&'static [Route]; 15] {
    [
        delta::ROUTES,
        users::ROUTES,
        groups::ROUTES,
        service_principals::ROUTES,
        applications::ROUTES,
        organization::ROUTES,
        roles::ROUTES,
        pim_groups::ROUTES,
        objects::ROUTES,
        app_access::ROUTES,
        entitlement::ROUTES,
        access_reviews::ROUTES,
        units::ROUTES,
        policies::ROUTES,
        attributes::ROUTES,
    ]
}

/// Finds the route of a path (without the version) and the path's parameters.
pub(crate) fn find<'a>(
    method: &str,
    version: Version,
    path: &'a str,
) -> Option<(&'static Route, Vec<&'a str>)> {
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .flat_map(split_key)
        .collect();
    tables()
        .into_iter()
        .flatten()
        .filter(|route| route.method == method && (!route.beta_only || version == Version::Beta))
        .find_map(|route| Some((route, match_template(route.template, &segments)?)))
}

/// `servicePrincipals(appId='…')` is two segments: the collection and the key.
fn split_key(segment: &str) -> impl Iterator<Item = &str> {
    let (name, key) = match segment.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')),
        None => (segment, None),
    };
    std::iter::once(name).chain(key.filter(|key| !key.is_empty()))
}

fn match_template<'a>(template: &str, segments: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut parameters = Vec::new();
    let mut rest = segments.iter();
    for expected in template.split('/').skip(1) {
        let actual = rest.next()?;
        if expected.starts_with('{') {
            parameters.push(*actual);
        } else if !expected.eq_ignore_ascii_case(actual) {
            return None;
        }
    }
    rest.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_without_regard_to_case() {
        let (route, parameters) =
            find("GET", Version::V1, "/Groups/ABC/members").expect("it exists");
        assert_eq!(route.template, "/groups/{id}/members");
        assert_eq!(parameters, ["ABC"]);
        assert!(find("GET", Version::V1, "/groups/ABC/nothing").is_none());
    }

    #[test]
    fn the_list_of_pim_groups_is_beta_only() {
        let path = "/identityGovernance/privilegedAccess/group/resources";
        assert!(find("GET", Version::V1, path).is_none());
        assert!(find("GET", Version::Beta, path).is_some());
    }

    #[test]
    fn prices_follow_the_list_and_never_fall_below_one() {
        let price = |method: &str, path: &str, query: &str| {
            let (route, _) = find(method, Version::V1, path).expect("it exists");
            route.price(&Query::parse(query))
        };
        assert_eq!(price("GET", "/groups/x/members", ""), 3);
        assert_eq!(price("GET", "/groups/x/members", "$select=id&$top=999"), 2);
        assert_eq!(price("GET", "/groups/x/members", "$select=id&$top=5"), 1);
        assert_eq!(price("GET", "/groups/x/transitiveMembers", ""), 5);
        assert_eq!(price("GET", "/users", "$expand=manager($select=id)"), 3);
        assert_eq!(price("GET", "/groups", "$select=id"), 1);
        assert_eq!(price("POST", "/directoryObjects/getByIds", ""), 5);
        assert_eq!(price("POST", "/directoryObjects/getByIds", "$select=id"), 2);
        assert_eq!(price("GET", "/subscribedSkus", ""), 3);
    }
}
