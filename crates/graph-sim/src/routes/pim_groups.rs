//! PIM for Groups.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::objects::ObjectView;
use super::paging::{LARGEST_PAGE, Paging};
use super::property::{Entity, Filter, Property, render, select, shown};
use super::wire::{maybe_time, time, varied_id};
use super::{Call, Route, get};
use crate::model::{GroupEligibility, Link, MemberKind};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances",
        permissions::GROUP_ELIGIBILITY,
        1,
        eligibility_instances,
    )
    .needs_p2(),
    get(
        "/identityGovernance/privilegedAccess/group/resources",
        permissions::PIM_GROUPS,
        1,
        resources,
    )
    .beta_only()
    .needs_p2(),
];

impl Entity for GroupEligibility {
    const NAME: &'static str = "privilegedAccessGroupEligibilityScheduleInstance";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |held| json!(held.id)),
        shown("groupId", |held| varied_id(held.group_id)),
        shown("principalId", |held| varied_id(held.principal_id)),
        shown("accessId", |held| json!(held.access.as_str())),
        // The wire has a capital where the metadata has none.
        shown("memberType", |_| json!("Direct")),
        shown("startDateTime", |held| time(held.start)),
        shown("endDateTime", |held| maybe_time(held.end)),
        shown("eligibilityScheduleId", |held| json!(held.schedule_id)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.privilegedAccessGroupEligibilityScheduleInstance"
    }
}

/// `$expand=principal` and `$expand=group`.
struct Expansion<'a>(Vec<(bool, ObjectView<'a>)>);

impl<'a> Expansion<'a> {
    fn of(call: &'a Call<'a>) -> Result<Self, GraphError> {
        let views = call
            .query
            .expands()?
            .into_iter()
            .map(|expand| match expand.name.as_str() {
                "principal" => Ok((true, ObjectView::new(call, expand.select)?)),
                "group" => Ok((false, ObjectView::new(call, expand.select)?)),
                other => Err(GraphError::bad_request(format!(
                    "Parsing OData Select and Expand failed: '{other}' cannot be expanded."
                ))),
            });
        views.collect::<Result<_, _>>().map(Self)
    }

    fn add(&self, held: &GroupEligibility, object: &mut Map<String, Value>) {
        for (is_principal, view) in &self.0 {
            let (name, link) = if *is_principal {
                (
                    "principal",
                    Link {
                        id: held.principal_id,
                        kind: held.principal_kind,
                    },
                )
            } else {
                (
                    "group",
                    Link {
                        id: held.group_id,
                        kind: MemberKind::Group,
                    },
                )
            };
            object.insert(name.to_owned(), view.link(link));
        }
    }
}

fn eligibility_instances(call: &Call<'_>) -> Result<Body, GraphError> {
    let filter = Filter::<GroupEligibility>::parse(
        call.query.get("$filter"),
        call.version,
        call.is_eventual,
    )?;
    let group = filter.required("groupId").map(str::to_owned);
    if group.is_none() && filter.required("principalId").is_none() {
        let message =
            "The required filters are missing: either groupId or principalId must be specified.";
        return Err(GraphError::new(400, "MissingParameters", message));
    }
    let selection =
        select::<GroupEligibility>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let expansion = Expansion::of(call)?;
    let candidates: Box<dyn Iterator<Item = &GroupEligibility>> = match group {
        Some(group) => {
            let group = Uuid::parse_str(&group).map_err(|_| GraphError::not_found(&group))?;
            Box::new(call.tenant.eligibilities_of_group(group))
        }
        None => Box::new(call.tenant.group_eligibilities.values()),
    };
    let after = paging.after().map(str::to_owned);
    let held = candidates
        .filter(|held| after.as_ref().is_none_or(|after| held.id > *after))
        .filter(|held| filter.matches(held));
    let context = "identityGovernance/privilegedAccess/group/eligibilityScheduleInstances";
    let page = paging.page(
        call,
        context,
        held,
        |held| held.id.clone(),
        |held| {
            let mut object = render(*held, &selection);
            expansion.add(held, &mut object);
            Value::Object(object)
        },
    );
    Ok(Body::Json(page))
}

fn resources(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let after = paging.after_id()?;
    let groups = call
        .tenant
        .pim_groups
        .iter()
        .copied()
        .filter(|id| after.is_none_or(|after| *id > after));
    let context = "identityGovernance/privilegedAccess/group/resources";
    let page = paging.page(
        call,
        context,
        groups,
        Uuid::to_string,
        |id| json!({"id": varied_id(*id)}),
    );
    Ok(Body::Json(page))
}
