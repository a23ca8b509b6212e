//! Entitlement management: catalogs, access packages, policies, assignments, requests, and who administers them.

use contract::records::{
    AssignmentPolicy, AssignmentRequest, GovernanceCatalog, Resource, ResourceAssignment,
    assignment_type, resource_type,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Mapped, Object,
    role::{capitalised, scope_of},
};

/// What is asked for of a catalog.
pub(crate) const CATALOG_PROPERTIES: &[&str] = &[
    "id",
    "displayName",
    "description",
    "catalogType",
    "state",
    "isExternallyVisible",
    "createdDateTime",
    "modifiedDateTime",
];

/// What is asked for of an access package; its catalog is expanded.
pub(crate) const PACKAGE_PROPERTIES: &[&str] = &[
    "id",
    "displayName",
    "description",
    "isHidden",
    "createdDateTime",
    "modifiedDateTime",
];

/// The resource type of roles in entitlement management, such as catalog owner.
pub(crate) const GOVERNANCE_ROLE: contract::TypeName =
    contract::TypeName::known("EntitlementManagementRole");

/// A catalog.
pub(crate) fn catalog(value: Value) -> Option<GovernanceCatalog> {
    let (id, mut object) = named(value)?;
    Some(GovernanceCatalog {
        id: Some(id),
        external_id: None,
        display_name: object.text("displayName").unwrap_or_else(|| id.to_string()),
        description: object.text("description"),
        catalog_type: object.text("catalogType"),
        state: object.text("state"),
        is_externally_visible: object.flag("isExternallyVisible"),
        created_date_time: object.date("createdDateTime"),
        extended_attributes: object.rest(),
    })
}

/// An access package. Without its catalog it was not read in full.
pub(crate) fn access_package(value: Value) -> Option<Resource> {
    let (id, mut object) = named(value)?;
    let catalog = object.nested("catalog")?.guid("id")?;
    Some(Resource {
        id: Some(id),
        resource_type: Some(resource_type::BUSINESS_ROLE),
        display_name: object.text("displayName").unwrap_or_else(|| id.to_string()),
        description: object.text("description"),
        catalog_id: Some(catalog),
        created_date_time: object.date("createdDateTime"),
        extended_attributes: object.rest(),
        ..Resource::default()
    })
}

/// A policy, with its settings as Graph has them.
pub(crate) fn assignment_policy(mut value: Value) -> Option<AssignmentPolicy> {
    name_kinds(&mut value);
    let (id, mut object) = named(value)?;
    object.discard("kind");
    let package = object.nested("accessPackage")?.guid("id")?;
    Some(AssignmentPolicy {
        id: Some(id),
        external_id: None,
        display_name: object.text("displayName").unwrap_or_else(|| id.to_string()),
        description: object.text("description"),
        resource_id: Some(package),
        resource_external_id: None,
        allowed_target_scope: object.text("allowedTargetScope"),
        created_date_time: object.date("createdDateTime"),
        extended_attributes: object.rest(),
    })
}

/// An object whose name was sent; one that comes without may not be read in full.
fn named(value: Value) -> Option<(Uuid, Object)> {
    Object::read(value).filter(|(_, object)| object.has("displayName"))
}

/// Approvers and requestors are told apart by `@odata.type` alone, and annotations are not kept: `kind` says the same.
fn name_kinds(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(name_kinds);
            let kind = fields
                .get("@odata.type")
                .and_then(Value::as_str)
                .map(|kind| kind.trim_start_matches("#microsoft.graph.").to_owned());
            if let Some(kind) = kind {
                fields.insert("kind".to_owned(), kind.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(name_kinds),
        _ => {}
    }
}

/// Does this assignment wait for its holder's account? It is nobody's yet.
pub(crate) fn is_without_account(assignment: &Value) -> bool {
    let target = &assignment["target"];
    target.is_object() && target["objectId"].is_null()
}

/// A package that somebody was given. One whose holder has no account yet is left out.
pub(crate) fn package_assignment(value: Value) -> Mapped<ResourceAssignment> {
    if is_without_account(&value) {
        return Mapped::Echo;
    }
    Object::without_id(value).and_then(given_package).into()
}

fn given_package(mut object: Object) -> Option<ResourceAssignment> {
    let mut record = ResourceAssignment::new(assignment_type::GOVERNED);
    let mut target = object.nested("target")?;
    record.resource_id = Some(object.nested("accessPackage")?.guid("id")?);
    record.principal_id = Some(target.guid("objectId")?);
    record.policy_id = object
        .nested("assignmentPolicy")
        .and_then(|mut policy| policy.guid("id"));
    record.resource_type = Some(resource_type::BUSINESS_ROLE);
    record.principal_type = target
        .text("subjectType")
        .and_then(|kind| capitalised(&kind).parse().ok());
    record.state = object.text("state").map(|state| capitalised(&state));
    record.source_id = object.text("id");
    if let Some(mut schedule) = object.nested("schedule") {
        record.start_date_time = schedule.date("startDateTime");
        if let Some(mut expiration) = schedule.nested("expiration") {
            record.expiration_date_time = expiration.date("endDateTime");
            put_back(&mut schedule, "expiration", expiration);
        }
        put_back(&mut object, "schedule", schedule);
    }
    record.extended_attributes = object.rest();
    Some(record)
}

/// What nobody took of a nested object stays where it was.
fn put_back(object: &mut Object, key: &str, nested: Object) {
    if let Some(rest) = nested.rest() {
        object.add(key, Value::Object(rest));
    }
}

/// A request for a package, by whomever and however it ended.
pub(crate) fn assignment_request(value: Value) -> Option<AssignmentRequest> {
    let (id, mut object) = Object::read(value)?;
    let package = object
        .nested("accessPackage")
        .and_then(|mut package| package.guid("id"));
    let requestor = object
        .nested("requestor")
        .and_then(|mut requestor| requestor.guid("objectId"));
    let assignment = object.nested("assignment");
    let (assignment_id, policy) = assignment.map_or((None, None), |mut assignment| {
        let policy = assignment.nested("assignmentPolicy");
        (
            assignment.text("id"),
            policy.and_then(|mut policy| policy.guid("id")),
        )
    });
    if let Some(assignment_id) = assignment_id {
        // Where the assignment stands now is told by the assignment.
        object.add("assignment", serde_json::json!({ "id": assignment_id }));
    }
    Some(AssignmentRequest {
        id: Some(id),
        external_id: None,
        resource_id: package,
        resource_external_id: None,
        requestor_id: requestor,
        policy_id: policy,
        request_type: object.text("requestType").map(|kind| capitalised(&kind)),
        state: object.text("state").map(|state| capitalised(&state)),
        justification: object.text("justification"),
        created_date_time: object.date("createdDateTime"),
        completed_date_time: object.date("completedDateTime"),
        extended_attributes: object.rest(),
    })
}

/// A role in entitlement management.
pub(crate) fn governance_role(value: Value) -> Option<Resource> {
    let (id, mut object) = named(value)?;
    Some(Resource {
        id: Some(id),
        resource_type: Some(GOVERNANCE_ROLE),
        display_name: object.text("displayName").unwrap_or_else(|| id.to_string()),
        description: object.text("description"),
        enabled: object.flag("isEnabled"),
        template_id: object.guid("templateId"),
        extended_attributes: object.rest(),
        ..Resource::default()
    })
}

/// Somebody's role in entitlement management; its scope is a catalog, or everything.
pub(crate) fn governance_role_assignment(value: Value) -> Option<ResourceAssignment> {
    let mut object = Object::without_id(value)?;
    let mut record = ResourceAssignment::new(assignment_type::DIRECT);
    record.resource_id = Some(object.guid("roleDefinitionId")?);
    record.principal_id = Some(object.guid("principalId")?);
    record.resource_type = Some(GOVERNANCE_ROLE);
    record.role_scope = Some(scope_of(&mut object));
    record.principal_type = object
        .nested("principal")
        .and_then(|principal| principal.principal_kind());
    record.source_id = object.text("id");
    object.discard("principal");
    record.extended_attributes = object.rest();
    Some(record)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PACKAGE: &str = "4c0f9e72-d5b8-46a1-93ec-7f1d8b2a6035";
    const PERSON: &str = "1B9F2C74-6A0D-4F3E-8C15-90D2A7E4B611";

    fn given() -> Value {
        json!({
            "id": "b93e05d7-6f2a-4c18-8e4b-d17c09a5f362", "state": "delivered", "status": "Delivered",
            "schedule": {"startDateTime": "2025-10-21T06:44:13.887Z", "recurrence": null,
                "expiration": {"type": "afterDateTime", "endDateTime": "2026-04-19T06:44:13.887Z", "duration": null}},
            "accessPackage": {"id": PACKAGE}, "assignmentPolicy": {"id": "e6a27d90-1c5f-4b83-a0d9-f348b7c1e526"},
            "target": {"id": "9f4d1b60-e8c5-47a2-b3d7-0c6e5f9a1824", "objectId": PERSON, "subjectType": "user"}
        })
    }

    #[test]
    fn a_given_package_says_to_whom_under_which_policy_and_until_when() {
        let Mapped::Record(record) = package_assignment(given()) else {
            panic!("an assignment");
        };
        assert_eq!(record.principal_id, Uuid::parse_str(PERSON).ok());
        assert_eq!(record.resource_id, Uuid::parse_str(PACKAGE).ok());
        assert!(record.policy_id.is_some() && record.start_date_time < record.expiration_date_time);
        assert_eq!(record.state.as_deref(), Some("Delivered"));
        assert_eq!(
            record
                .principal_type
                .map(|kind| kind.to_string())
                .as_deref(),
            Some("User")
        );
        assert_eq!(
            record.extended_attributes.map(Value::Object),
            Some(
                json!({"status": "Delivered", "schedule": {"expiration": {"type": "afterDateTime"}}})
            )
        );
    }

    #[test]
    fn an_account_that_is_being_made_is_no_row_and_an_unexpanded_holder_is_a_gap() {
        let mut waiting = given();
        waiting["target"]["objectId"] = json!(null);
        assert!(is_without_account(&waiting));
        assert_eq!(package_assignment(waiting), Mapped::Echo);
        for part in ["target", "accessPackage"] {
            let mut unexpanded = given();
            unexpanded[part] = json!(null);
            assert_eq!(package_assignment(unexpanded), Mapped::Unreadable, "{part}");
        }
    }

    #[test]
    fn a_policy_keeps_who_approves_also_where_only_the_type_tells() {
        let record = assignment_policy(json!({
            "@odata.type": "#microsoft.graph.accessPackageAssignmentPolicy",
            "id": "e6a27d90-1c5f-4b83-a0d9-f348b7c1e526", "displayName": "P", "allowedTargetScope": "allMemberUsers",
            "accessPackage": {"id": PACKAGE},
            "requestApprovalSettings": {"stages": [{"primaryApprovers": [
                {"@odata.type": "#microsoft.graph.internalSponsors"},
                {"@odata.type": "#microsoft.graph.singleUser", "userId": PERSON}
            ]}]}
        }))
        .expect("a policy");
        assert_eq!(
            record.allowed_target_scope.as_deref(),
            Some("allMemberUsers")
        );
        assert_eq!(
            record.extended_attributes.map(Value::Object),
            Some(
                json!({"requestApprovalSettings": {"stages": [{"primaryApprovers": [
                    {"kind": "internalSponsors"}, {"kind": "singleUser", "userId": PERSON}
                ]}]}})
            )
        );
    }

    #[test]
    fn a_request_does_not_change_when_the_assignment_that_came_out_of_it_does() {
        let request = |state: &str| {
            assignment_request(json!({
                "id": "0d7e3f58-b6a1-4c92-85de-f09b2c7a1436", "requestType": "userAdd", "state": "pendingApproval",
                "createdDateTime": "2025-10-20T12:18:36.05Z", "completedDateTime": null,
                "accessPackage": {"id": PACKAGE}, "requestor": {"objectId": PERSON},
                "assignment": {"id": "b93e05d7-6f2a-4c18-8e4b-d17c09a5f362", "state": state}
            }))
        };
        let record = request("delivered").expect("a request");
        assert_eq!(record.state.as_deref(), Some("PendingApproval"));
        assert_eq!(record.request_type.as_deref(), Some("UserAdd"));
        assert_eq!(record.requestor_id, Uuid::parse_str(PERSON).ok());
        assert_eq!(Some(record), request("expired"));
    }

    #[test]
    fn a_package_without_its_catalog_was_not_read_in_full() {
        let package = json!({"id": PACKAGE, "displayName": "Berth Planner", "isHidden": true});
        assert_eq!(access_package(package), None);
    }
}
