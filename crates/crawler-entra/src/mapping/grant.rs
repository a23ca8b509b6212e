//! Who holds app roles, who owns applications and answers for agents, and what applications may do on behalf of users.

use contract::{
    TypeName,
    records::{
        ResourceAssignment, ResourceRelationship, assignment_type, principal_type,
        relationship_type, resource_type,
    },
};
use serde_json::Value;
use uuid::Uuid;

use super::{Mapped, Object, app_role_id};

/// What is asked for of an app role assignment.
pub(crate) const APP_ROLE_ASSIGNMENT_PROPERTIES: &str =
    "id,appRoleId,createdDateTime,principalId,principalType";
/// What is asked for of a delegated grant.
pub(crate) const GRANT_PROPERTIES: &str = "id,clientId,consentType,principalId,resourceId,scope";

/// Somebody holds a role of the application.
pub(crate) fn app_role_assignment(application: Uuid, value: Value) -> Option<ResourceAssignment> {
    let mut object = Object::without_id(value)?;
    let role = object.guid("appRoleId")?;
    let mut record = ResourceAssignment::new(assignment_type::DIRECT);
    record.resource_id = Some(app_role_id(application, role));
    record.principal_id = Some(object.guid("principalId")?);
    record.principal_type = object
        .text("principalType")
        .and_then(|kind| kind.parse().ok());
    record.resource_type = Some(resource_type::ENTRA_APP_ROLE);
    record.start_date_time = object.date("createdDateTime");
    record.source_id = object.text("id");
    Some(record)
}

/// Somebody owns an application or its registration.
pub(crate) fn owner(
    object: Uuid,
    resource_type: TypeName,
    value: Value,
) -> Option<ResourceAssignment> {
    holder(object, resource_type, assignment_type::OWNER, value)
}

/// Somebody answers for an agent.
pub(crate) fn sponsor(agent: Uuid, value: Value) -> Option<ResourceAssignment> {
    let application = resource_type::ENTRA_APPLICATION;
    holder(agent, application, assignment_type::SPONSOR, value)
}

fn holder(
    object: Uuid,
    resource_type: TypeName,
    kind: TypeName,
    value: Value,
) -> Option<ResourceAssignment> {
    let (principal, holder) = Object::read(value)?;
    let mut record = ResourceAssignment::new(kind);
    record.resource_id = Some(object);
    record.principal_id = Some(principal);
    record.principal_type = holder.principal_kind();
    record.resource_type = Some(resource_type);
    Some(record)
}

/// What a delegated grant becomes.
#[derive(Debug, PartialEq)]
pub(crate) enum Grant {
    /// One user consented for herself.
    OfUser(Box<ResourceAssignment>),
    /// An administrator consented for everybody.
    OfAll(Box<ResourceRelationship>),
}

/// A delegated grant: a client may act at a resource on behalf of one user or of all.
pub(crate) fn grant(value: Value) -> Mapped<Grant> {
    Mapped::from(read_grant(value))
}

fn read_grant(value: Value) -> Option<Grant> {
    let mut object = Object::without_id(value)?;
    let client = object.guid("clientId")?;
    let resource = object.guid("resourceId")?;
    let id = object.text("id")?;
    let is_for_all = object
        .text("consentType")?
        .eq_ignore_ascii_case("AllPrincipals");
    // Not sent is not the same as nothing granted.
    let scope = object.has("scope").then(|| object.text("scope"))?;
    let mut words: Vec<&str> = scope.as_deref().unwrap_or("").split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    let mut known = Object::without_id(Value::Object(serde_json::Map::new()))?;
    known.add("scope", words);
    if is_for_all {
        let mut record = ResourceRelationship::new(relationship_type::DELEGATES_SCOPE);
        record.parent_resource_id = Some(client);
        record.child_resource_id = Some(resource);
        record.source_id = Some(id);
        record.extended_attributes = known.rest();
        return Some(Grant::OfAll(Box::new(record)));
    }
    let mut record = ResourceAssignment::new(assignment_type::OAUTH2_GRANT);
    record.resource_id = Some(resource);
    record.principal_id = Some(object.guid("principalId")?);
    record.principal_type = Some(principal_type::USER);
    record.resource_type = Some(resource_type::ENTRA_APPLICATION);
    // The same user may use several clients at the same resource.
    record.role_scope = Some(format!("/{client}"));
    record.source_id = Some(id);
    known.add("clientId", client.to_string());
    record.extended_attributes = known.rest();
    Some(Grant::OfUser(Box::new(record)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(fields: &Value) -> Value {
        let mut object = json!({"id": "B55Nary", "clientId": Uuid::from_u128(1), "consentType": "Principal",
            "principalId": Uuid::from_u128(2), "resourceId": Uuid::from_u128(3), "scope": " User.Read  Mail.Read User.Read "});
        let target = object.as_object_mut().expect("object");
        target.extend(fields.as_object().expect("object").clone());
        object
    }

    fn user_grant(fields: &Value) -> ResourceAssignment {
        match grant(object(fields)) {
            Mapped::Record(grant) => match *grant {
                Grant::OfUser(record) => *record,
                other @ Grant::OfAll(_) => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scopes_are_words_in_a_fixed_order_however_graph_writes_them() {
        let one = user_grant(&json!({}));
        let other = user_grant(&json!({"scope": "Mail.Read User.Read"}));
        assert_eq!(one, other);
        let rest = one.extended_attributes.expect("rest");
        assert_eq!(rest["scope"], json!(["Mail.Read", "User.Read"]));
    }

    #[test]
    fn grants_of_one_user_through_two_clients_are_two_rows() {
        let scope = |client| {
            let record = user_grant(&json!({"clientId": Uuid::from_u128(client)}));
            (record.resource_id, record.principal_id, record.role_scope)
        };
        assert_ne!(scope(1), scope(9));
    }

    #[test]
    fn what_an_administrator_consented_to_for_all_is_between_the_two_applications() {
        let fields = json!({"consentType": "AllPrincipals", "principalId": null});
        let Mapped::Record(grant) = grant(object(&fields)) else {
            panic!("a grant");
        };
        let Grant::OfAll(record) = *grant else {
            panic!("for all");
        };
        assert_eq!(record.parent_resource_id, Some(Uuid::from_u128(1)));
        assert_eq!(record.child_resource_id, Some(Uuid::from_u128(3)));
    }

    #[test]
    fn a_grant_that_lacks_its_user_or_its_scope_is_unreadable() {
        let without_user = json!({"principalId": null});
        assert_eq!(grant(object(&without_user)), Mapped::Unreadable);
        let mut without_scope = object(&json!({}));
        without_scope
            .as_object_mut()
            .expect("object")
            .remove("scope");
        assert_eq!(grant(without_scope), Mapped::Unreadable);
    }

    #[test]
    fn an_assignment_of_a_role_names_the_role_of_this_application() {
        let application = Uuid::from_u128(7);
        let record = app_role_assignment(
            application,
            json!({"id": "x", "appRoleId": "A93D5E80-1F7C-4B26-8E0D-C6F425B7D931", "principalId": Uuid::from_u128(2),
                   "principalType": "Group", "createdDateTime": "2024-10-09T07:55:21.4402318Z"}),
        )
        .expect("an assignment");
        let role: Uuid = "a93d5e80-1f7c-4b26-8e0d-c6f425b7d931"
            .parse()
            .expect("an id");
        assert_eq!(record.resource_id, Some(app_role_id(application, role)));
        assert_eq!(record.principal_type, Some(principal_type::GROUP));
        assert!(record.start_date_time.is_some());
    }
}
