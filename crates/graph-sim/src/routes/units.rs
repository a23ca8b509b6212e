//! `/directory/administrativeUnits` and the recycle bin.

use serde_json::{Value, json};
use uuid::Uuid;

use super::objects::ObjectView;
use super::paging::{LARGEST_PAGE, Paging, behind};
use super::property::{Entity, Filter, Property, on_request, render, select, shown};
use super::wire::{id, text, time, varied_id};
use super::{Call, Route, get};
use crate::model::{AdministrativeUnit, DeletedUser, Link};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/directory/administrativeUnits",
        permissions::ADMINISTRATIVE_UNITS,
        1,
        list,
    ),
    get(
        "/directory/administrativeUnits/{id}",
        permissions::ADMINISTRATIVE_UNITS,
        1,
        single,
    ),
    get(
        "/directory/administrativeUnits/{id}/members",
        permissions::ADMINISTRATIVE_UNITS,
        3,
        members,
    ),
    get(
        "/directory/deletedItems/microsoft.graph.user",
        permissions::USERS,
        2,
        deleted_users,
    ),
];

impl Entity for AdministrativeUnit {
    const NAME: &'static str = "administrativeUnit";
    const PROPERTIES: &'static [Property<Self>] = PROPERTIES;
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.administrativeUnit"
    }
}

const PROPERTIES: &[Property<AdministrativeUnit>] = &[
    shown("id", |unit| varied_id(unit.id)),
    shown("deletedDateTime", |_| Value::Null),
    shown("displayName", |unit| json!(unit.display_name)),
    shown("description", |unit| text(unit.description.as_ref())),
    shown("visibility", |unit| text(unit.visibility.as_ref())),
    shown("membershipType", |unit| {
        let kind = unit.membership_rule.as_ref().map(|_| "Dynamic");
        json!(kind.unwrap_or("Assigned"))
    }),
    shown("membershipRule", |unit| text(unit.membership_rule.as_ref())),
    shown("membershipRuleProcessingState", |unit| {
        json!(unit.membership_rule.as_ref().map(|_| "On"))
    }),
    shown("isMemberManagementRestricted", |unit| {
        json!(unit.is_member_management_restricted)
    }),
];

fn list(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection =
        select::<AdministrativeUnit>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let filter = call.query.get("$filter");
    let filter = Filter::<AdministrativeUnit>::parse(filter, call.version, call.is_eventual)?;
    let units = behind(&call.tenant.administrative_units, paging.after_id()?)
        .filter(|unit| filter.matches(unit));
    Ok(Body::Json(paging.page(
        call,
        "administrativeUnits",
        units,
        |unit| unit.id.to_string(),
        |unit| Value::Object(render(*unit, &selection)),
    )))
}

fn find<'a>(call: &Call<'a>) -> Result<&'a AdministrativeUnit, GraphError> {
    let tenant = call.tenant;
    tenant
        .administrative_units
        .get(&call.id(0)?)
        .ok_or_else(|| GraphError::not_found(call.parameters[0]))
}

fn single(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection =
        select::<AdministrativeUnit>(call.query.select().as_deref(), call.version, call.grants)?;
    let mut object = render(find(call)?, &selection);
    let context = call.context("administrativeUnits/$entity");
    object.insert("@odata.context".to_owned(), context.into());
    Ok(Body::Json(Value::Object(object)))
}

/// A member of a unit: devices are known by their ids alone.
enum Member {
    Link(Link),
    Device(Uuid),
}

impl Member {
    fn id(&self) -> Uuid {
        match self {
            Self::Link(link) => link.id,
            Self::Device(id) => *id,
        }
    }
}

fn members(call: &Call<'_>) -> Result<Body, GraphError> {
    let unit = find(call)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let view = ObjectView::new(call, call.query.select())?;
    let is_hidden = unit.hides_members() && !call.grants.has_any(permissions::HIDDEN_MEMBERS);
    let mut all: Vec<Member> = Vec::new();
    if !is_hidden {
        let after = paging.after_id()?;
        let links = call.tenant.unit_members.after(unit.id, after);
        all.extend(links.iter().map(|link| Member::Link(*link)));
        let devices = unit.devices.iter().filter(|id| Some(**id) > after);
        all.extend(devices.map(|id| Member::Device(*id)));
        all.sort_unstable_by_key(Member::id);
    }
    Ok(Body::Json(paging.page(
        call,
        &view.context(),
        all.into_iter(),
        |member| member.id().to_string(),
        |member| match member {
            Member::Link(link) => view.link(*link),
            Member::Device(device) => {
                json!({"@odata.type": "#microsoft.graph.device", "id": varied_id(*device)})
            }
        },
    )))
}

impl Entity for DeletedUser {
    const NAME: &'static str = "user";
    const PROPERTIES: &'static [Property<Self>] = DELETED;
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.user"
    }
}

const DELETED: &[Property<DeletedUser>] = &[
    shown("id", |user| id(user.id)),
    shown("displayName", |user| json!(user.display_name)),
    shown("userPrincipalName", |user| {
        json!(format!("{}{}", user.id.simple(), user.user_principal_name))
    }),
    shown("mail", |user| text(user.mail.as_ref())),
    on_request("deletedDateTime", |user| time(user.deleted)),
    on_request("userType", |user| json!(user.user_type)),
    on_request("employeeId", |user| text(user.employee_id.as_ref())),
];

fn deleted_users(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection =
        select::<DeletedUser>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let users = behind(&call.tenant.deleted_users, paging.after_id()?);
    Ok(Body::Json(paging.page(
        call,
        "directoryObjects",
        users,
        |user| user.id.to_string(),
        |user| Value::Object(render(*user, &selection)),
    )))
}
