//! Conditional access: policies and named locations, as resources to look at beside access.

use contract::{
    TypeName,
    records::{ContextMember, Resource, context_type, resource_type},
};
use serde_json::Value;
use uuid::Uuid;

use super::Object;

/// A policy. Its conditions and controls stay as Graph writes them: ids, and words such as `All`.
pub(crate) fn conditional_access_policy(value: Value) -> Option<Resource> {
    let (id, policy) = Object::read(value)?;
    if !policy.has("state") {
        return None;
    }
    let is_enabled = policy.peek("state").map(|state| state == "enabled");
    let resource = resource(id, resource_type::ENTRA_CONDITIONAL_ACCESS_POLICY, policy)?;
    Some(Resource {
        enabled: is_enabled,
        ..resource
    })
}

/// A named location.
pub(crate) fn named_location(value: Value) -> Option<Resource> {
    let (id, mut location) = Object::read(value)?;
    if let Some(kind) = location.odata_kind().map(str::to_owned) {
        location.add("locationKind", kind);
    }
    resource(id, resource_type::ENTRA_NAMED_LOCATION, location)
}

fn resource(id: Uuid, resource_type: TypeName, mut object: Object) -> Option<Resource> {
    Some(Resource {
        id: Some(id),
        resource_type: Some(resource_type),
        display_name: object.text("displayName")?,
        created_date_time: object.date("createdDateTime"),
        extended_attributes: object.rest(),
        ..Resource::default()
    })
}

/// What is asked for of users in the recycle bin.
pub(crate) const DELETED_USER_PROPERTIES: &[&str] = &[
    "id",
    "deletedDateTime",
    "displayName",
    "userPrincipalName",
    "mail",
    "userType",
    "employeeId",
];

/// The id of the context that holds the users in the recycle bin.
pub(crate) fn deleted_users_id(tenant: Uuid) -> Uuid {
    Uuid::new_v5(&tenant, b"deletedUsers")
}

/// A user in the recycle bin, as a member of the context that stands for it: no principal comes back to life by it.
pub(crate) fn deleted_user(context: Uuid, value: Value) -> Option<ContextMember> {
    let (id, mut user) = Object::read(value)?;
    if !user.has("deletedDateTime") {
        return None;
    }
    // Entra puts the id before the name, so that the name is free for somebody else.
    let id_before = id.simple().to_string();
    if let Some(name) = user.text("userPrincipalName") {
        let name = name.strip_prefix(&id_before).unwrap_or(&name).to_owned();
        user.add("userPrincipalName", name);
    }
    Some(ContextMember {
        context_id: Some(context),
        member_id: Some(id),
        member_type: "Principal".to_owned(),
        context_type: Some(context_type::DELETED_USERS),
        extended_attributes: user.rest(),
        ..ContextMember::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "5d7a90c3-11f4-4e2b-b0a6-c38f21d9e745";

    #[test]
    fn a_policy_is_enabled_only_when_it_is_enforced() {
        let enabled = |state: &str| {
            let policy = json!({"id": ID, "displayName": "CA", "state": state, "conditions": {"users": {"includeUsers": ["All"]}}});
            conditional_access_policy(policy).and_then(|policy| policy.enabled)
        };
        assert_eq!(enabled("enabled"), Some(true));
        assert_eq!(enabled("enabledForReportingButNotEnforced"), Some(false));
        assert_eq!(
            conditional_access_policy(json!({"id": ID, "displayName": "CA"})),
            None
        );
    }

    #[test]
    fn a_location_tells_its_kind() {
        let location = named_location(
            json!({"@odata.type": "#microsoft.graph.ipNamedLocation", "id": ID,
            "displayName": "Office", "isTrusted": true,
            "ipRanges": [{"@odata.type": "#microsoft.graph.iPv4CidrRange", "cidrAddress": "192.0.2.0/24"}]}),
        );
        let attributes = location.and_then(|location| location.extended_attributes);
        assert_eq!(
            attributes.map(Value::Object),
            Some(json!({"locationKind": "ipNamedLocation", "isTrusted": true,
                "ipRanges": [{"cidrAddress": "192.0.2.0/24"}]}))
        );
    }

    #[test]
    fn a_deleted_user_keeps_the_name_that_it_had() {
        let user = deleted_user(
            Uuid::nil(),
            json!({"id": ID, "deletedDateTime": "2026-01-20T15:02:36Z", "displayName": "Orla",
                "userPrincipalName": "5d7a90c311f44e2bb0a6c38f21d9e745orla@x.example", "employeeId": null}),
        );
        assert_eq!(
            user.and_then(|user| user.extended_attributes)
                .map(Value::Object),
            Some(
                json!({"deletedDateTime": "2026-01-20T15:02:36Z", "displayName": "Orla",
                "userPrincipalName": "orla@x.example"})
            )
        );
    }
}
