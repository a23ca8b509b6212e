//! Applications as the tenant uses them, and the roles that they offer.

use contract::records::{
    ExtendedAttributes, Principal, Resource, ResourceRelationship, relationship_type, resource_type,
};
use serde_json::Value;
use uuid::Uuid;

use super::{Object, service_principal};

/// Asked for beside the properties of a principal where applications are wanted, too.
pub(crate) const SERVICE_PRINCIPAL_APP_ROLES: &str = "appRoles";

/// What the application shares with its principal, so that it can be filtered without a look at that.
const SHARED: [&str; 8] = [
    "agentKind",
    "servicePrincipalType",
    "appOwnerOrganizationId",
    "appRoleAssignmentRequired",
    "disabledByMicrosoftStatus",
    "signInAudience",
    "tags",
    "verifiedPublisher",
];

/// The name of the role that an application gives whoever may use it at all. Graph knows it by the nil id only.
const DEFAULT_ACCESS: &str = "Default access";

/// What becomes of a service principal.
#[derive(Debug)]
pub(crate) struct ApplicationParts {
    /// The service principal.
    pub id: Uuid,
    pub principal: Principal,
    pub application: Resource,
    /// The roles that it offers; default access is among them only where every use needs an assignment.
    pub roles: Vec<Resource>,
}

impl ApplicationParts {
    /// Is it an agent?
    pub fn is_agent(&self) -> bool {
        attribute(&self.application, "agentKind") == Some(&Value::from("agentIdentity"))
    }

    /// Needs every use of the application an assignment?
    pub fn needs_assignment(&self) -> bool {
        needs_assignment(&self.application)
    }
}

fn attribute<'a>(resource: &'a Resource, name: &str) -> Option<&'a Value> {
    resource.extended_attributes.as_ref()?.get(name)
}

fn needs_assignment(application: &Resource) -> bool {
    attribute(application, "appRoleAssignmentRequired") == Some(&Value::Bool(true))
}

/// The id of an app role. Two applications may define roles with the same id, so the application is part of it.
pub(crate) fn app_role_id(application: Uuid, role: Uuid) -> Uuid {
    Uuid::new_v5(&application, role.hyphenated().to_string().as_bytes())
}

/// Takes a service principal apart. `None` when Graph sent no usable object, or one that we may not read in full.
pub(crate) fn application_parts(mut value: Value, with_roles: bool) -> Option<ApplicationParts> {
    // Not the principal's business.
    let roles = value.as_object_mut()?.remove(SERVICE_PRINCIPAL_APP_ROLES);
    let principal = service_principal(value)?;
    let id = principal.id?;
    let application = application(&principal)?;
    let mut offered = Vec::new();
    if with_roles {
        let Some(Value::Array(roles)) = roles else {
            return None;
        };
        for role in roles {
            offered.push(app_role(id, application.app_id, role)?);
        }
        if needs_assignment(&application) {
            offered.push(default_access(id, application.app_id));
        }
    }
    Some(ApplicationParts {
        id,
        principal,
        application,
        roles: offered,
    })
}

fn application(principal: &Principal) -> Option<Resource> {
    let known = principal.extended_attributes.as_ref()?;
    let attributes: ExtendedAttributes = SHARED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), known.get(*name)?.clone())))
        .collect();
    let description = known.get("description").and_then(Value::as_str);
    Some(Resource {
        id: Some(principal.id?),
        resource_type: Some(resource_type::ENTRA_APPLICATION),
        display_name: principal.display_name.clone(),
        description: description.map(str::to_owned),
        enabled: principal.account_enabled,
        app_id: principal.app_id,
        extended_attributes: Some(attributes),
        ..Resource::default()
    })
}

/// A role that the application offers. What only applications can be given is a permission, which people know by its
/// value (`Mail.Send`) and not by its sentence.
fn app_role(application: Uuid, app_id: Option<Uuid>, value: Value) -> Option<Resource> {
    let (role_id, mut role) = Object::read(value)?;
    let value = role.peek("value").filter(|text| !text.trim().is_empty());
    let value = value.map(str::to_owned);
    let is_permission = {
        let mut allowed = role.texts("allowedMemberTypes").peekable();
        allowed.peek().is_some() && allowed.all(|kind| kind.eq_ignore_ascii_case("application"))
    };
    let named = role.text("displayName");
    let display_name = match (is_permission, value, named) {
        (true, Some(value), named) => {
            if let Some(named) = named {
                role.add("appRoleDisplayName", named);
            }
            value
        }
        (_, value, named) => named.or(value).unwrap_or_else(|| role_id.to_string()),
    };
    role.discard("origin");
    Some(Resource {
        display_name,
        description: role.text("description"),
        enabled: role.flag("isEnabled"),
        extended_attributes: role.rest(),
        ..role_of(application, app_id, role_id)
    })
}

/// Default access to an application.
pub(crate) fn default_access(application: Uuid, app_id: Option<Uuid>) -> Resource {
    Resource {
        display_name: DEFAULT_ACCESS.to_owned(),
        enabled: Some(true),
        ..role_of(application, app_id, Uuid::nil())
    }
}

fn role_of(application: Uuid, app_id: Option<Uuid>, role: Uuid) -> Resource {
    Resource {
        id: Some(app_role_id(application, role)),
        external_id: Some(format!("{application}/{role}")),
        resource_type: Some(resource_type::ENTRA_APP_ROLE),
        app_id,
        ..Resource::default()
    }
}

/// The application offers the role.
pub(crate) fn has_app_role(application: Uuid, role: Uuid) -> ResourceRelationship {
    let mut record = ResourceRelationship::new(relationship_type::HAS_APP_ROLE);
    record.parent_resource_id = Some(application);
    record.child_resource_id = Some(role);
    record
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "6a4d9e07-b3f2-4815-8c9e-d70f2a5b1c36";

    fn parts(fields: &Value) -> Option<ApplicationParts> {
        let mut object = json!({"id": ID, "appId": "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142", "displayName": "Quay",
            "servicePrincipalType": "Application", "accountEnabled": true, "appRoles": []});
        let target = object.as_object_mut().expect("object");
        target.extend(fields.as_object().expect("object").clone());
        application_parts(object, true)
    }

    fn role(id: u128, value: &Value, allowed: &Value) -> Value {
        json!({"id": Uuid::from_u128(id), "value": value, "allowedMemberTypes": allowed, "displayName": "Send mail",
               "description": "d", "isEnabled": true, "origin": "Application"})
    }

    #[test]
    fn a_permission_is_known_by_its_value_and_a_role_of_users_by_its_name() {
        let parts = parts(&json!({"appRoles": [
            role(1, &json!("Mail.Send"), &json!(["Application"])),
            role(2, &json!("Mail.Approve"), &json!(["User", "Application"])),
            role(3, &Value::Null, &json!(["Application"])),
        ]}))
        .expect("parts");
        let names: Vec<&str> = parts
            .roles
            .iter()
            .map(|role| role.display_name.as_str())
            .collect();
        assert_eq!(names, ["Mail.Send", "Send mail", "Send mail"]);
        let rest = parts.roles[0].extended_attributes.as_ref().expect("rest");
        assert_eq!(rest["appRoleDisplayName"], "Send mail");
        assert_eq!(rest["value"], "Mail.Send");
        assert!(rest.get("origin").is_none());
    }

    #[test]
    fn the_same_role_id_in_two_applications_is_two_roles_and_case_is_no_difference() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        let role = Uuid::from_u128(0xABCD);
        assert_ne!(app_role_id(one, role), app_role_id(other, role));
        let text = format!("{role}");
        assert_eq!(text, text.to_lowercase());
        assert_eq!(app_role_id(one, role), Uuid::new_v5(&one, text.as_bytes()));
    }

    #[test]
    fn default_access_is_offered_only_where_every_use_needs_an_assignment() {
        let offered = |required: bool| {
            let parts = parts(&json!({"appRoleAssignmentRequired": required})).expect("parts");
            parts
                .roles
                .into_iter()
                .map(|role| role.external_id)
                .collect::<Vec<_>>()
        };
        assert_eq!(offered(false), []);
        let expected = format!("{ID}/00000000-0000-0000-0000-000000000000");
        assert_eq!(offered(true), [Some(expected)]);
    }

    #[test]
    fn an_application_whose_roles_did_not_come_is_not_one_without_roles() {
        assert!(parts(&json!({"appRoles": null})).is_none());
        assert!(parts(&json!({"appRoles": [{"id": "no id"}]})).is_none());
        let parts = parts(&json!({})).expect("parts");
        assert!(parts.roles.is_empty());
        let principal = parts.principal.extended_attributes.expect("rest");
        assert!(principal.get("appRoles").is_none());
    }
}
