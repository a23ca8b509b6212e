//! A call of every entity, for the documentation. A test sends them all.

use contract::Entity;
use serde_json::{Value, json};

const ADA: &str = "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10";
const GROUP: &str = "0d9f7f0a-52f7-4a0e-b3b0-b6a2c1a0e001";
const ROLE: &str = "62e90394-69f5-4237-9190-012177145e10";
const PERSON: &str = "2b6f2f7c-1c4f-4a53-8f5a-8f1f5f0c7a11";
const UNIT: &str = "b5b0f1d2-9d0c-4c3e-8a77-6f4f1f6e2c33";
const OTHER: &str = "c1f7e0f4-3a52-4f55-9b8a-7e3d2c1b0a99";

/// A call with one record, for system 1.
pub fn call(entity: Entity) -> Value {
    let record = record(entity);
    if entity == Entity::Systems {
        json!({"records": [record]})
    } else {
        json!({"systemId": 1, "records": [record]})
    }
}

/// The same call as NDJSON.
pub fn lines(call: &Value) -> String {
    let mut envelope = call.clone();
    let records = envelope
        .as_object_mut()
        .and_then(|fields| fields.remove("records"));
    let records = records.as_ref().and_then(Value::as_array);
    std::iter::once(&envelope)
        .chain(records.into_iter().flatten())
        .map(|line| line.to_string() + "\n")
        .collect()
}

fn record(entity: Entity) -> Value {
    match entity {
        Entity::Systems => {
            json!({"systemType": "HR", "tenantId": "hr-1", "displayName": "Payroll"})
        }
        Entity::Principals => json!({
            "id": ADA, "displayName": "Ada Lovelace", "principalType": "User", "department": "Payroll", "shoeSize": 38,
        }),
        Entity::Resources => {
            json!({"id": GROUP, "displayName": "Payroll clerks", "resourceType": "SapRole"})
        }
        Entity::ResourceAssignments => {
            json!({"resourceId": GROUP, "principalId": ADA, "assignmentType": "Direct"})
        }
        Entity::ResourceRelationships => json!({
            "parentResourceId": GROUP, "childResourceId": ROLE, "relationshipType": "GrantsAccessTo",
        }),
        Entity::Identities => json!({"id": PERSON, "displayName": "Ada Lovelace"}),
        Entity::IdentityMembers => json!({"identityId": PERSON, "principalId": ADA}),
        Entity::Contexts => {
            json!({"id": UNIT, "displayName": "Payroll", "contextType": "Department"})
        }
        Entity::ContextMembers => {
            json!({"contextId": UNIT, "memberId": PERSON, "memberType": "Identity"})
        }
        Entity::PrincipalActivity => json!({
            "principalId": ADA, "activityType": "SignIn", "lastActivityDateTime": "2026-11-20T08:15:00Z",
        }),
        Entity::GovernanceCatalogs => json!({"id": OTHER, "displayName": "Finance"}),
        Entity::AssignmentPolicies => json!({"id": OTHER, "displayName": "For clerks"}),
        Entity::AssignmentRequests | Entity::CertificationDecisions => json!({"id": OTHER}),
    }
}
