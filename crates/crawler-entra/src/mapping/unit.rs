//! Administrative units: as resources, because roles are held in them, and as contexts, because people belong to them.

use contract::records::{Context, ContextMember, Resource, context_type, resource_type};
use serde_json::Value;
use uuid::Uuid;

use super::{Object, Row};

/// What is asked for.
pub(crate) const UNIT_PROPERTIES: &[&str] = &[
    "id",
    "displayName",
    "description",
    "visibility",
    "membershipType",
    "membershipRule",
    "membershipRuleProcessingState",
    "isMemberManagementRestricted",
];

/// A unit as a resource. `None` when Graph sent no usable object, or one that we may not read in full.
pub(crate) fn administrative_unit(value: Value) -> Option<Resource> {
    let (id, mut unit) = Object::read(value)?;
    if !unit.has("displayName") {
        return None;
    }
    Some(Resource {
        id: Some(id),
        resource_type: Some(resource_type::ENTRA_ADMINISTRATIVE_UNIT),
        display_name: unit.text("displayName").unwrap_or_else(|| id.to_string()),
        description: unit.text("description"),
        visibility: unit.text("visibility"),
        extended_attributes: unit.rest(),
        ..Resource::default()
    })
}

/// The context of a unit.
pub(crate) fn unit_context(unit: &Resource) -> Context {
    Context {
        id: unit.id,
        variant: Some("synced".to_owned()),
        target_type: Some("Principal".to_owned()),
        description: unit.description.clone(),
        extended_attributes: unit.extended_attributes.clone(),
        ..Context::new(
            context_type::ADMINISTRATIVE_UNIT,
            unit.display_name.as_str(),
        )
    }
}

/// A member of a unit. Users are principals, groups are resources; anything else, such as a device, is what Graph calls it.
pub(crate) fn unit_member(unit: Uuid, value: Value) -> Option<ContextMember> {
    let (id, member) = Object::read(value)?;
    let kind = member.principal_kind()?;
    let member_type = match kind.as_str() {
        "User" | "ServicePrincipal" | "AIAgent" => "Principal",
        "Group" => "Resource",
        other => other,
    };
    Some(ContextMember {
        context_id: Some(unit),
        member_id: Some(id),
        member_type: member_type.to_owned(),
        context_type: Some(context_type::ADMINISTRATIVE_UNIT),
        ..ContextMember::default()
    })
}

impl Row for ContextMember {
    type Key = (Option<Uuid>, Option<Uuid>);

    fn row_key(&self) -> Self::Key {
        (self.context_id, self.member_id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UNIT: &str = "58e1c7b4-9f20-4ad3-8e6b-03d7f5a2c9e1";

    #[test]
    fn a_unit_is_a_resource_and_a_context_of_the_same_id() {
        let unit = administrative_unit(json!({
            "id": UNIT, "displayName": "AU-Rotterdam", "description": null, "visibility": "HiddenMembership",
            "membershipType": "Dynamic", "isMemberManagementRestricted": true
        }))
        .expect("a unit");
        assert_eq!(unit.visibility.as_deref(), Some("HiddenMembership"));
        let attributes = json!({"membershipType": "Dynamic", "isMemberManagementRestricted": true});
        assert_eq!(
            unit.extended_attributes.clone().map(Value::Object),
            Some(attributes)
        );
        let context = unit_context(&unit);
        assert_eq!(
            (context.id, &*context.display_name),
            (unit.id, "AU-Rotterdam")
        );
        assert_eq!(administrative_unit(json!({"id": UNIT})), None);
    }

    #[test]
    fn members_are_principals_resources_or_what_graph_calls_them() {
        let unit = Uuid::parse_str(UNIT).expect("an id");
        for (kind, expected) in [
            ("user", Some("Principal")),
            ("group", Some("Resource")),
            ("device", Some("Device")),
        ] {
            let value = json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": UNIT});
            let member = unit_member(unit, value).map(|member| member.member_type);
            assert_eq!(member.as_deref(), expected, "{kind}");
        }
        assert_eq!(unit_member(unit, json!({"id": UNIT})), None);
    }
}
