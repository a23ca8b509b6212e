//! Group members and owners, and eligibility for them.

use contract::records::{ResourceAssignment, assignment_type, resource_type};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Mapped, Object,
    role::{activated_using, capitalised, is_inherited},
};

/// How somebody belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GroupLink {
    Member,
    Owner,
}

/// The role scope that keeps eligibility for ownership apart from eligibility for membership: both may exist for the same
/// principal and group, and the key of an assignment has no other place for the difference.
pub(crate) const OWNER_SCOPE: &str = "/owner";

/// A member or owner of a group.
pub(crate) fn group_link(group: Uuid, link: GroupLink, value: Value) -> Option<ResourceAssignment> {
    let (principal, object) = Object::read(value)?;
    let mut record = ResourceAssignment::new(match link {
        GroupLink::Member => assignment_type::DIRECT,
        GroupLink::Owner => assignment_type::OWNER,
    });
    record.resource_id = Some(group);
    record.principal_id = Some(principal);
    record.principal_type = object.principal_kind();
    record.resource_type = Some(resource_type::ENTRA_GROUP);
    Some(record)
}

/// Eligibility for membership or ownership of a group. Eligibility that another group brings about is an echo.
pub(crate) fn pim_group_eligibility(value: Value) -> Mapped<ResourceAssignment> {
    match Object::without_id(value) {
        Some(object) if is_inherited(&object) => Mapped::Echo,
        Some(object) => Mapped::from(direct_eligibility(object)),
        None => Mapped::Unreadable,
    }
}

/// An active membership or ownership as PIM keeps it: since when, until when, and out of which eligibility. What another
/// group brings about is an echo.
///
/// The membership itself is among the group's members and counts there. This row only dates it, so it has a type of its own,
/// which gives nobody access.
pub(crate) fn pim_group_assignment(value: Value) -> Mapped<ResourceAssignment> {
    match Object::without_id(value) {
        Some(object) if is_inherited(&object) => Mapped::Echo,
        Some(object) => Mapped::from(active_assignment(object)),
        None => Mapped::Unreadable,
    }
}

fn active_assignment(mut object: Object) -> Option<ResourceAssignment> {
    let kind = object.text("assignmentType");
    let eligibility = activated_using(&mut object);
    if let Some(eligibility) = eligibility {
        object.add("activatedUsing", eligibility);
    } else {
        object.discard("activatedUsing");
    }
    let record = schedule_in_group(object, assignment_type::SCHEDULED)?;
    Some(ResourceAssignment {
        state: kind.map(|word| capitalised(&word)),
        ..record
    })
}

fn direct_eligibility(object: Object) -> Option<ResourceAssignment> {
    schedule_in_group(object, assignment_type::ELIGIBLE)
}

/// What eligibility for a group and an active assignment in it have in common.
fn schedule_in_group(
    mut object: Object,
    assignment_type: contract::TypeName,
) -> Option<ResourceAssignment> {
    let mut record = ResourceAssignment::new(assignment_type);
    record.resource_id = Some(object.guid("groupId")?);
    record.principal_id = Some(object.guid("principalId")?);
    record.resource_type = Some(resource_type::ENTRA_GROUP);
    record.principal_type = object
        .nested("principal")
        .and_then(|principal| principal.principal_kind());
    record.start_date_time = object.date("startDateTime");
    record.expiration_date_time = object.date("endDateTime");
    record.source_id = object.text("id");
    let access = object
        .text("accessId")
        .map(|word| word.to_ascii_lowercase());
    if access.as_deref() == Some("owner") {
        record.role_scope = Some(OWNER_SCOPE.to_owned());
    }
    if let Some(access) = access {
        object.add("accessId", access);
    }
    if let Some(status) = object.text("status") {
        record.state = Some(capitalised(&status));
    }
    for known in ["principal", "group", "memberType"] {
        object.discard(known);
    }
    record.extended_attributes = object.rest();
    Some(record)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_group_in_a_group_is_an_assignment_held_by_a_group() {
        let group = Uuid::from_u128(1);
        let member = json!({"@odata.type": "#microsoft.graph.group", "id": Uuid::from_u128(2)});
        let record = group_link(group, GroupLink::Member, member).expect("a member");
        assert_eq!(record.principal_id, Some(Uuid::from_u128(2)));
        assert_eq!(record.assignment_type, assignment_type::DIRECT);
        assert_eq!(
            record.principal_type.map(|t| t.to_string()).as_deref(),
            Some("Group")
        );
        assert_eq!(record.resource_id, Some(group));
        assert_eq!(record.role_scope, None);
    }

    #[test]
    fn an_activation_says_since_when_until_when_and_out_of_which_eligibility() {
        let mut instance = json!({
            "id": "x", "groupId": Uuid::from_u128(1), "principalId": Uuid::from_u128(2), "accessId": "owner",
            "memberType": "direct", "assignmentType": "activated", "assignmentScheduleId": "s",
            "startDateTime": "2026-02-03T07:00:00Z", "endDateTime": "2026-02-03T15:00:00Z",
            "activatedUsing": {"id": "e", "accessId": "owner"}
        });
        let Mapped::Record(record) = pim_group_assignment(instance.clone()) else {
            panic!("an activation");
        };
        assert_eq!(record.assignment_type, assignment_type::SCHEDULED);
        assert_eq!(record.state.as_deref(), Some("Activated"));
        assert_eq!(record.role_scope.as_deref(), Some("/owner"));
        assert!(record.start_date_time < record.expiration_date_time);
        assert_eq!(
            record.extended_attributes.map(Value::Object),
            Some(json!({"accessId": "owner", "activatedUsing": "e", "assignmentScheduleId": "s"}))
        );
        instance["memberType"] = json!("group");
        assert_eq!(pim_group_assignment(instance), Mapped::Echo);
    }

    #[test]
    fn eligibility_as_member_and_as_owner_of_the_same_group_are_two_rows() {
        let eligible = |access: &str| {
            let mapped = pim_group_eligibility(json!({
                "id": "x", "groupId": Uuid::from_u128(1), "principalId": Uuid::from_u128(2), "accessId": access,
                "memberType": "Direct", "startDateTime": "2025-10-06T09:30:00Z", "endDateTime": "2026-10-06T09:30:00Z"
            }));
            match mapped {
                Mapped::Record(record) => record,
                other => panic!("{other:?}"),
            }
        };
        let (member, owner) = (eligible("member"), eligible("Owner"));
        assert_eq!(member.role_scope, None);
        assert_eq!(owner.role_scope.as_deref(), Some("/owner"));
        assert_eq!(
            owner.extended_attributes.expect("rest")["accessId"],
            "owner"
        );
        assert!(member.expiration_date_time.is_some());
    }
}
