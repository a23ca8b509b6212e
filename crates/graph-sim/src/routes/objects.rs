//! Directory objects of mixed types: members, owners, principals, lookups by id.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::paging::{LARGEST_PAGE, Paging};
use super::property::{Entity, Selection, render, select, select_known};
use super::wire::varied_id;
use super::{Call, Route, get};
use crate::model::{Group, Link, LinkMap, MemberKind, ServicePrincipal, User};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[get(
    "/directoryObjects/getByIds",
    permissions::ANY_OBJECT,
    5,
    get_by_ids,
)
.post()];

/// `$expand` of a list stops here without saying so.
pub(crate) const EXPAND_LIMIT: usize = 20;
/// The most ids one lookup may ask for.
const LOOKUP_LIMIT: usize = 1_000;

/// Renders objects of any type with one `$select` for all.
pub(crate) struct ObjectView<'a> {
    call: &'a Call<'a>,
    names: Option<Vec<String>>,
    users: Selection<User>,
    groups: Selection<Group>,
    principals: Selection<ServicePrincipal>,
}

impl<'a> ObjectView<'a> {
    /// Fails when no type has one of the selected properties.
    pub(crate) fn new(call: &'a Call<'a>, names: Option<Vec<String>>) -> Result<Self, GraphError> {
        let (users, groups, principals) = match &names {
            None => (
                select(None, call.version, call.grants)?,
                select(None, call.version, call.grants)?,
                select(None, call.version, call.grants)?,
            ),
            Some(names) => (
                select_known::<User>(names, call.version),
                select_known::<Group>(names, call.version),
                select_known::<ServicePrincipal>(names, call.version),
            ),
        };
        for name in names.iter().flatten() {
            let known = users.iter().any(|property| property.name == name)
                || groups.iter().any(|property| property.name == name)
                || principals.iter().any(|property| property.name == name);
            if !known {
                return Err(GraphError::bad_request(format!(
                    "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type 'microsoft.graph.directoryObject'."
                )));
            }
        }
        Ok(Self {
            call,
            names,
            users,
            groups,
            principals,
        })
    }

    /// Renders what a link points at.
    pub(crate) fn link(&self, link: Link) -> Value {
        let tenant = self.call.tenant;
        match link.kind {
            MemberKind::User => self.object(
                link.id,
                tenant.users.get(&link.id),
                &self.users,
                permissions::USERS,
                "#microsoft.graph.user",
            ),
            MemberKind::Group => self.object(
                link.id,
                tenant.groups.get(&link.id),
                &self.groups,
                permissions::GROUPS,
                "#microsoft.graph.group",
            ),
            MemberKind::ServicePrincipal => self.object(
                link.id,
                tenant.service_principals.get(&link.id),
                &self.principals,
                permissions::APPLICATIONS,
                "#microsoft.graph.servicePrincipal",
            ),
        }
    }

    fn object<T: Entity>(
        &self,
        id: Uuid,
        object: Option<&T>,
        selection: &Selection<T>,
        needed: &[&str],
        fallback_type: &'static str,
    ) -> Value {
        let mut map = Map::new();
        let odata_type = object.map_or(fallback_type, T::odata_type);
        map.insert("@odata.type".to_owned(), odata_type.into());
        // What the caller may not read comes back as type and id alone; so does a
        // member that is found nowhere.
        let readable = object.filter(|_| self.call.grants.has_any(needed));
        match readable {
            Some(object) => map.extend(render(object, selection)),
            None => map.extend(
                selection
                    .iter()
                    .map(|property| (property.name.to_owned(), Value::Null)),
            ),
        }
        let wants_id = self
            .names
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == "id"));
        if wants_id || readable.is_none() {
            map.insert("id".to_owned(), varied_id(id));
        }
        Value::Object(map)
    }

    /// What follows `#` in the context of a list.
    pub(crate) fn context(&self) -> String {
        self.names.as_ref().map_or_else(
            || "directoryObjects".to_owned(),
            |names| format!("directoryObjects({})", names.join(",")),
        )
    }
}

/// A page of the links of one object. On v1.0, `hide_principals` leaves out
/// service principals, as Graph does for members and owners of groups.
pub(crate) fn link_page(
    call: &Call<'_>,
    links: &LinkMap,
    from: Uuid,
    hide_principals: bool,
) -> Result<Body, GraphError> {
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let view = ObjectView::new(call, call.query.select())?;
    let links = links.after(from, paging.after_id()?);
    let visible = links
        .iter()
        .copied()
        .filter(|link| !hide_principals || link.kind != MemberKind::ServicePrincipal);
    let page = paging.page(
        call,
        &view.context(),
        visible,
        |link| link.id.to_string(),
        |link| view.link(*link),
    );
    Ok(Body::Json(page))
}

/// The first links of one object, for `$expand`.
pub(crate) fn expanded(view: &ObjectView<'_>, links: &[Link]) -> Value {
    links
        .iter()
        .take(EXPAND_LIMIT)
        .map(|link| view.link(*link))
        .collect()
}

fn get_by_ids(call: &Call<'_>) -> Result<Body, GraphError> {
    let ids = call
        .body
        .and_then(|body| body.get("ids"))
        .and_then(Value::as_array)
        .ok_or_else(|| GraphError::bad_request("The parameter 'ids' is required."))?;
    if ids.len() > LOOKUP_LIMIT {
        return Err(GraphError::bad_request(format!(
            "Too many ids: {}. Max allowed: {LOOKUP_LIMIT}.",
            ids.len()
        )));
    }
    let types: Option<Vec<&str>> = call
        .body
        .and_then(|body| body.get("types"))
        .and_then(Value::as_array)
        .filter(|types| !types.is_empty())
        .map(|types| types.iter().filter_map(Value::as_str).collect());
    let view = ObjectView::new(call, call.query.select())?;
    let mut found = Vec::new();
    for id in ids {
        let id = id
            .as_str()
            .and_then(|text| Uuid::parse_str(text).ok())
            .ok_or_else(|| GraphError::bad_request(format!("Invalid object identifier {id}.")))?;
        let Some(link) = call.tenant.link_to(id) else {
            continue;
        };
        let name = match link.kind {
            MemberKind::User => "user",
            MemberKind::Group => "group",
            MemberKind::ServicePrincipal => "servicePrincipal",
        };
        let is_wanted = types.as_ref().is_none_or(|types| {
            types.iter().any(|wanted| {
                wanted.eq_ignore_ascii_case(name) || wanted.eq_ignore_ascii_case("directoryObject")
            })
        });
        if is_wanted {
            found.push(view.link(link));
        }
    }
    Ok(Body::Json(json!({
        "@odata.context": call.context(&view.context()),
        "value": found,
    })))
}
