//! PIM for Groups.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::objects::ObjectView;
use super::paging::{LARGEST_PAGE, Paging};
use super::property::{Entity, Filter, Property, render, select, shown};
use super::wire::{maybe_time, time, varied_id};
use super::{Call, Route, get};
use crate::model::{GroupAssignment, GroupEligibility, Link, MemberKind};
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
        "/identityGovernance/privilegedAccess/group/assignmentScheduleInstances",
        permissions::GROUP_ASSIGNMENTS,
        1,
        assignment_instances,
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

impl Entity for GroupAssignment {
    const NAME: &'static str = "privilegedAccessGroupAssignmentScheduleInstance";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |held| json!(held.id)),
        shown("groupId", |held| varied_id(held.group_id)),
        shown("principalId", |held| varied_id(held.principal_id)),
        shown("accessId", |held| json!(held.access.as_str())),
        shown("memberType", |_| json!("Direct")),
        shown("assignmentType", |held| {
            json!(held.assignment_type.as_str().to_ascii_lowercase())
        }),
        shown("startDateTime", |held| maybe_time(held.start)),
        shown("endDateTime", |held| maybe_time(held.end)),
        shown("assignmentScheduleId", |held| json!(held.schedule_id)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.privilegedAccessGroupAssignmentScheduleInstance"
    }
}

/// Something between a principal and a group, in PIM.
trait Held: Entity {
    fn key(&self) -> &str;
    fn group(&self) -> Uuid;
    fn principal(&self) -> Link;
    /// The eligibility that was activated; nothing where there is no such relation.
    fn activated_using(&self) -> Option<&str> {
        None
    }
}

impl Held for GroupEligibility {
    fn key(&self) -> &str {
        &self.id
    }
    fn group(&self) -> Uuid {
        self.group_id
    }
    fn principal(&self) -> Link {
        Link {
            id: self.principal_id,
            kind: self.principal_kind,
        }
    }
}

impl Held for GroupAssignment {
    fn key(&self) -> &str {
        &self.id
    }
    fn group(&self) -> Uuid {
        self.group_id
    }
    fn principal(&self) -> Link {
        Link {
            id: self.principal_id,
            kind: self.principal_kind,
        }
    }
    fn activated_using(&self) -> Option<&str> {
        self.activated_using.as_deref()
    }
}

/// What can be expanded.
#[derive(Clone, Copy, PartialEq)]
enum Relation {
    Principal,
    Group,
    ActivatedUsing,
}

/// `$expand=principal`, `$expand=group`, `$expand=activatedUsing`.
struct Expansion<'a>(Vec<(Relation, ObjectView<'a>)>);

impl<'a> Expansion<'a> {
    fn of(call: &'a Call<'a>) -> Result<Self, GraphError> {
        let views = call
            .query
            .expands()?
            .into_iter()
            .map(|expand| match expand.name.as_str() {
                "principal" => Ok((Relation::Principal, ObjectView::new(call, expand.select)?)),
                "group" => Ok((Relation::Group, ObjectView::new(call, expand.select)?)),
                "activatedUsing" => Ok((Relation::ActivatedUsing, ObjectView::new(call, None)?)),
                other => Err(GraphError::bad_request(format!(
                    "Parsing OData Select and Expand failed: '{other}' cannot be expanded."
                ))),
            });
        views.collect::<Result<_, _>>().map(Self)
    }

    fn add(&self, held: &impl Held, object: &mut Map<String, Value>) {
        for (relation, view) in &self.0 {
            let group = Link {
                id: held.group(),
                kind: MemberKind::Group,
            };
            let (name, value) = match relation {
                Relation::Principal => ("principal", view.link(held.principal())),
                Relation::Group => ("group", view.link(group)),
                Relation::ActivatedUsing => (
                    "activatedUsing",
                    held.activated_using()
                        .map_or(Value::Null, |id| json!({"id": id})),
                ),
            };
            object.insert(name.to_owned(), value);
        }
    }
}

fn eligibility_instances(call: &Call<'_>) -> Result<Body, GraphError> {
    let tenant = call.tenant;
    let context = "identityGovernance/privilegedAccess/group/eligibilityScheduleInstances";
    held(call, context, |group| match group {
        Some(group) => Box::new(tenant.eligibilities_of_group(group)),
        None => Box::new(tenant.group_eligibilities.values()),
    })
}

fn assignment_instances(call: &Call<'_>) -> Result<Body, GraphError> {
    let governance = &call.tenant.governance;
    let context = "identityGovernance/privilegedAccess/group/assignmentScheduleInstances";
    held(call, context, |group| match group {
        Some(group) => Box::new(governance.assignments_of_group(group)),
        None => Box::new(governance.group_assignments.values()),
    })
}

/// Lists what hangs between principals and groups: of one group, or of one principal.
fn held<'a, T: Held>(
    call: &Call<'_>,
    context: &str,
    candidates: impl FnOnce(Option<Uuid>) -> Box<dyn Iterator<Item = &'a T> + 'a>,
) -> Result<Body, GraphError> {
    let filter = Filter::<T>::parse(call.query.get("$filter"), call.version, call.is_eventual)?;
    let group = filter.required("groupId").map(str::to_owned);
    if group.is_none() && filter.required("principalId").is_none() {
        let message =
            "The required filters are missing: either groupId or principalId must be specified.";
        return Err(GraphError::new(400, "MissingParameters", message));
    }
    let selection = select::<T>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let expansion = Expansion::of(call)?;
    let group = group
        .map(|group| Uuid::parse_str(&group).map_err(|_| GraphError::not_found(&group)))
        .transpose()?;
    let after = paging.after().map(str::to_owned);
    let held = candidates(group)
        .filter(|held| {
            after
                .as_ref()
                .is_none_or(|after| held.key() > after.as_str())
        })
        .filter(|held| filter.matches(held));
    let page = paging.page(
        call,
        context,
        held,
        |held| held.key().to_owned(),
        |held| {
            let mut object = render(*held, &selection);
            expansion.add(*held, &mut object);
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
