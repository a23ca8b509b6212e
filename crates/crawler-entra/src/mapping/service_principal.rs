//! Service principals, managed identities, agents.

use contract::{
    TypeName,
    records::{Principal, principal_type},
};
use serde_json::Value;

use super::Object;

/// What is asked for. App roles and scopes make these objects fat, and key credentials are rate-limited: not in a list.
pub(crate) const SERVICE_PRINCIPAL_PROPERTIES: &[&str] = &[
    "id",
    "appId",
    "displayName",
    "appDisplayName",
    "description",
    "servicePrincipalType",
    "accountEnabled",
    "appOwnerOrganizationId",
    "appRoleAssignmentRequired",
    "signInAudience",
    "homepage",
    "notes",
    "tags",
    "servicePrincipalNames",
    "alternativeNames",
    "disabledByMicrosoftStatus",
    "verifiedPublisher",
    "createdByAppId",
];

/// A service principal as a principal. `None` when Graph sent no usable object, or one that we may not read in full.
pub(crate) fn service_principal(value: Value) -> Option<Principal> {
    let (id, mut object) = Object::read(value)?;
    if !object.has("displayName") || !object.has("servicePrincipalType") {
        return None;
    }
    if let Some(kind) = object.odata_kind().filter(|kind| kind.starts_with("agent")) {
        let kind = kind.to_owned();
        object.add("agentKind", kind);
    }
    let principal_type = type_of(&object);
    let app_id = object.guid("appId");
    let display_name = object
        .text("displayName")
        .or_else(|| object.text("appDisplayName"))
        .or_else(|| app_id.map(|app_id| app_id.to_string()))
        .unwrap_or_else(|| id.to_string());
    Some(Principal {
        id: Some(id),
        principal_type: Some(principal_type),
        display_name,
        account_enabled: object.flag("accountEnabled"),
        app_id,
        extended_attributes: object.rest(),
        ..Principal::default()
    })
}

/// Agents are told by their type; a blueprint's principal is the application behind agents, not an agent.
fn type_of(object: &Object) -> TypeName {
    let kind = object.peek("servicePrincipalType").unwrap_or_default();
    if object.odata_kind() == Some("agentIdentity") || kind.eq_ignore_ascii_case("ServiceIdentity")
    {
        principal_type::AI_AGENT
    } else if kind.eq_ignore_ascii_case("ManagedIdentity") {
        principal_type::MANAGED_IDENTITY
    } else {
        principal_type::SERVICE_PRINCIPAL
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn type_for(fields: &Value) -> String {
        let mut object = json!({"id": "6a4d9e07-b3f2-4815-8c9e-d70f2a5b1c36", "displayName": "x"});
        let target = object.as_object_mut().expect("object");
        target.extend(fields.as_object().expect("object").clone());
        let principal = service_principal(object).expect("a service principal");
        principal.principal_type.expect("a type").to_string()
    }

    #[test]
    fn every_kind_of_service_principal_gets_its_type() {
        assert_eq!(
            type_for(&json!({"servicePrincipalType": "Application"})),
            "ServicePrincipal"
        );
        assert_eq!(
            type_for(&json!({"servicePrincipalType": "Legacy"})),
            "ServicePrincipal"
        );
        assert_eq!(
            type_for(&json!({"servicePrincipalType": null})),
            "ServicePrincipal"
        );
        assert_eq!(
            type_for(&json!({"servicePrincipalType": "ManagedIdentity"})),
            "ManagedIdentity"
        );
        assert_eq!(
            type_for(&json!({"servicePrincipalType": "ServiceIdentity"})),
            "AIAgent"
        );
        assert_eq!(
            type_for(&json!({"servicePrincipalType": "Application",
                "@odata.type": "#microsoft.graph.agentIdentityBlueprintPrincipal"})),
            "ServicePrincipal"
        );
    }

    #[test]
    fn app_id_and_the_rest_are_kept() {
        let principal = service_principal(json!({
            "id": "b7e20f4c-5a98-4d61-93cb-1e8f6a0d2c74", "appId": "C35F9A14-80DE-4B72-96AC-1F7D0E2B5C83",
            "displayName": "func", "servicePrincipalType": "ManagedIdentity", "accountEnabled": true,
            "alternativeNames": ["isExplicit=False", "/subscriptions/x"]
        }))
        .expect("a service principal");
        assert_eq!(
            principal.app_id.map(|id| id.to_string()).as_deref(),
            Some("c35f9a14-80de-4b72-96ac-1f7d0e2b5c83")
        );
        let rest = principal.extended_attributes.expect("rest");
        assert_eq!(rest["servicePrincipalType"], "ManagedIdentity");
        assert_eq!(
            rest["alternativeNames"],
            json!(["/subscriptions/x", "isExplicit=False"])
        );
    }
}
