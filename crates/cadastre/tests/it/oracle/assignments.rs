//! What memberships, ownerships, roles and eligibility become.

use std::collections::HashMap;

use graph_sim::{
    GroupAccess, MemberKind, Truth, TruthGroupEligibility, TruthRoleAssignment,
    TruthRoleEligibility,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Row, moment, objects::is_agent, row};

/// Knows which service principals are agents: assignments call those by another name.
pub(super) struct Holders(HashMap<Uuid, bool>);

impl Holders {
    pub(super) fn new(truth: &Truth) -> Self {
        let principals = truth.service_principals.iter();
        Self(principals.map(|one| (one.id, is_agent(one))).collect())
    }

    fn type_of(&self, (id, kind): (Uuid, MemberKind)) -> &'static str {
        match kind {
            MemberKind::User => "User",
            MemberKind::Group => "Group",
            MemberKind::ServicePrincipal if self.0.get(&id) == Some(&true) => "AIAgent",
            MemberKind::ServicePrincipal => "ServicePrincipal",
        }
    }

    pub(super) fn assignment(
        &self,
        (resource, resource_type, scope): (Uuid, &str, &str),
        holder: (Uuid, MemberKind),
        assignment_type: &str,
    ) -> Row {
        row(json!({
            "resource_id": resource,
            "principal_id": holder.0,
            "assignment_type": assignment_type,
            "role_scope": scope,
            "principal_type": self.type_of(holder),
            "resource_type": resource_type,
            "state": null,
            "start_date_time": null,
            "expiration_date_time": null,
            "policy_id": null,
            "source_id": null,
            "extended_attributes": {},
        }))
    }
}

/// Joins or replaces columns.
pub(super) fn with(mut row: Row, columns: Value) -> Row {
    if let Value::Object(columns) = columns {
        row.extend(columns);
    }
    row
}

pub(super) fn role_assignment(
    holders: &Holders,
    held: &TruthRoleAssignment,
    activated_using: Option<&String>,
) -> Row {
    let scope = held.directory_scope_id.as_str();
    let ends = (held.role_definition_id, "EntraDirectoryRole", scope);
    let row = holders.assignment(ends, (held.principal_id, held.principal_kind), "Direct");
    with(
        row,
        json!({
            "state": held.assignment_type.as_str(),
            "start_date_time": held.start.map(moment),
            "expiration_date_time": held.end.map(moment),
            "source_id": held.id,
            "extended_attributes": activated_using.map_or(json!({}), |id| json!({"activatedUsing": id})),
        }),
    )
}

pub(super) fn role_eligibility(holders: &Holders, held: &TruthRoleEligibility) -> Row {
    let scope = held.directory_scope_id.as_str();
    let ends = (held.role_definition_id, "EntraDirectoryRole", scope);
    let row = holders.assignment(ends, (held.principal_id, held.principal_kind), "Eligible");
    with(
        row,
        json!({
            "start_date_time": moment(held.start),
            "expiration_date_time": held.end.map(moment),
            "source_id": held.instance_id,
            "extended_attributes": {"roleEligibilityScheduleId": held.id},
        }),
    )
}

pub(super) fn group_eligibility(holders: &Holders, held: &TruthGroupEligibility) -> Row {
    let scope = match held.access {
        GroupAccess::Member => "/",
        GroupAccess::Owner => "/owner",
    };
    let ends = (held.group_id, "EntraGroup", scope);
    let row = holders.assignment(ends, (held.principal_id, held.principal_kind), "Eligible");
    with(
        row,
        json!({
            "start_date_time": moment(held.start),
            "expiration_date_time": held.end.map(moment),
            "source_id": held.id,
            "extended_attributes": {
                "accessId": held.access.as_str(),
                "eligibilityScheduleId": held.schedule_id,
            },
        }),
    )
}
