//! Groups.

use contract::records::{Resource, resource_type};
use serde_json::Value;

use super::Object;

/// What is asked for.
pub(crate) const GROUP_PROPERTIES: &[&str] = &[
    "id",
    "displayName",
    "description",
    "mail",
    "mailEnabled",
    "mailNickname",
    "securityEnabled",
    "groupTypes",
    "visibility",
    "membershipRule",
    "membershipRuleProcessingState",
    "isAssignableToRole",
    "isManagementRestricted",
    "createdDateTime",
    "expirationDateTime",
    "onPremisesSyncEnabled",
    "onPremisesSamAccountName",
    "onPremisesDomainName",
    "onPremisesSecurityIdentifier",
    "resourceProvisioningOptions",
    "securityIdentifier",
];

/// What is asked for when groups are read for their memberships only.
pub(crate) const GROUP_NAMES: &[&str] = &[
    "id",
    "displayName",
    "visibility",
    "isAssignableToRole",
    "groupTypes",
    "securityEnabled",
    "mailEnabled",
    "onPremisesSyncEnabled",
];

/// A group as a resource. `None` when Graph sent no usable object, or one that we may not read in full.
pub(crate) fn group(value: Value) -> Option<Resource> {
    let (id, mut group) = Object::read(value)?;
    if !group.has("displayName") {
        return None;
    }
    if let Some(kind) = kind(&group) {
        group.add("groupKind", kind);
    }
    let mail = group.text("mail");
    let display_name = group
        .text("displayName")
        .or_else(|| mail.clone())
        .unwrap_or_else(|| id.to_string());
    Some(Resource {
        id: Some(id),
        external_id: None,
        resource_type: Some(resource_type::ENTRA_GROUP),
        display_name,
        description: group.text("description"),
        mail,
        visibility: group.text("visibility"),
        enabled: None,
        is_assignable_to_role: group.flag("isAssignableToRole"),
        catalog_id: None,
        catalog_external_id: None,
        app_id: None,
        template_id: None,
        created_date_time: group.date("createdDateTime"),
        extended_attributes: group.rest(),
    })
}

/// Can PIM manage the group? It is neither dynamic nor synchronised, and for security or of Microsoft 365.
pub(crate) fn can_be_in_pim(group: &Resource) -> bool {
    let attribute = |name: &str| group.extended_attributes.as_ref()?.get(name);
    let types = attribute("groupTypes").and_then(Value::as_array);
    let is_dynamic = types.is_some_and(|types| types.iter().any(|one| one == "DynamicMembership"));
    let is_synced = attribute("onPremisesSyncEnabled") == Some(&Value::Bool(true));
    let kind = attribute("groupKind").and_then(Value::as_str);
    !is_dynamic && !is_synced && matches!(kind, Some("Security" | "Microsoft365"))
}

/// The kind that people know groups by.
fn kind(group: &Object) -> Option<&'static str> {
    let flag = |key: &str| group.flag_is(key);
    if group.texts("groupTypes").any(|kind| kind == "Unified") {
        return Some("Microsoft365");
    }
    match (flag("securityEnabled")?, flag("mailEnabled")?) {
        (true, false) => Some("Security"),
        (true, true) => Some("MailEnabledSecurity"),
        (false, true) => Some("Distribution"),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapped(fields: &Value) -> Resource {
        let mut object = json!({"id": "3e8b0f19-54c2-4d7a-9f60-e1a2b7c4d835", "displayName": "SG"});
        let target = object.as_object_mut().expect("object");
        target.extend(fields.as_object().expect("object").clone());
        group(object).expect("a group")
    }

    #[test]
    fn a_dynamic_group_keeps_its_rule_and_kind() {
        let resource = mapped(&json!({
            "groupTypes": ["Unified", "DynamicMembership"], "visibility": "HiddenMembership", "mail": "a@b.example",
            "membershipRule": "(user.department -eq \"X\")", "membershipRuleProcessingState": "On",
            "isAssignableToRole": null
        }));
        assert_eq!(resource.visibility.as_deref(), Some("HiddenMembership"));
        assert_eq!(resource.is_assignable_to_role, None);
        let rest = resource.extended_attributes.expect("rest");
        assert_eq!(rest["groupKind"], "Microsoft365");
        assert_eq!(rest["groupTypes"], json!(["DynamicMembership", "Unified"]));
        assert_eq!(rest["membershipRule"], "(user.department -eq \"X\")");
    }

    #[test]
    fn a_role_assignable_security_group_says_so() {
        let resource = mapped(&json!({
            "securityEnabled": true, "mailEnabled": false, "groupTypes": [], "isAssignableToRole": true
        }));
        assert_eq!(resource.is_assignable_to_role, Some(true));
        assert_eq!(
            resource.extended_attributes.expect("rest")["groupKind"],
            "Security"
        );
    }
}
