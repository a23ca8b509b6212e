//! What an access package gives: a role in a group, an application or a site.

use contract::{
    TypeName,
    records::{Resource, ResourceRelationship, relationship_type},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Object;

/// The resource type of sites that packages give access to.
pub(crate) const SHAREPOINT_SITE: TypeName = TypeName::known("SharePointSite");

/// An entry of a package's list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// What it gives, and the site if it is one: nobody else lists those.
    Gives(Box<ResourceRelationship>, Option<Box<Resource>>),
    /// A resource of an origin system that has no id that we know how to read.
    Unknown(String),
    /// Role or scope is missing.
    Unreadable,
}

/// A role in a resource, out of the list of a package.
pub(crate) fn package_content(package: Uuid, value: Value) -> Content {
    read(package, value).unwrap_or(Content::Unreadable)
}

fn read(package: Uuid, value: Value) -> Option<Content> {
    let mut object = Object::without_id(value)?;
    let mut role = object.nested("role")?;
    let mut scope = object.nested("scope")?;
    let system = role
        .text("originSystem")
        .or_else(|| scope.text("originSystem"))?;
    let role_origin = role.text("originId")?;
    let scope_origin = scope.text("originId")?;
    let name = role_name(&system, &role_origin, role.text("displayName"));
    let mut site = None;
    let child = match (system.as_str(), Uuid::parse_str(&scope_origin)) {
        ("AadApplication", Ok(application)) => app_role(application, &role_origin),
        (_, Ok(resource)) => resource,
        ("SharePointOnline", Err(_)) => {
            let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, scope_origin.as_bytes());
            let shown = scope.text("displayName");
            site = Some(Box::new(site_at(id, scope_origin, shown)));
            id
        }
        (_, Err(_)) => return Some(Content::Unknown(system)),
    };
    let mut record = ResourceRelationship::new(relationship_type::CONTAINS);
    record.parent_resource_id = Some(package);
    record.child_resource_id = Some(child);
    record.role_name = Some(name);
    record.source_id = object.text("id");
    object.add("originSystem", system);
    object.add("roleOriginId", role_origin);
    record.extended_attributes = object.rest();
    Some(Content::Gives(Box::new(record), site))
}

/// The resource of an application's role; without a role it is the application itself.
fn app_role(service_principal: Uuid, role: &str) -> Uuid {
    match Uuid::parse_str(role) {
        Ok(role) if !role.is_nil() => {
            Uuid::new_v5(&service_principal, role.hyphenated().to_string().as_bytes())
        }
        _ => service_principal,
    }
}

/// Member and owner are said by the role's id, whatever the language of its name.
fn role_name(system: &str, origin: &str, shown: Option<String>) -> String {
    let word = origin.split_once('_').map(|(word, _)| word);
    match (system, word) {
        ("AadGroup", Some(word @ ("Member" | "Owner"))) => word.to_owned(),
        _ => shown.unwrap_or_else(|| origin.to_owned()),
    }
}

fn site_at(id: Uuid, address: String, name: Option<String>) -> Resource {
    let attributes = json!({ "webUrl": &address });
    Resource {
        id: Some(id),
        resource_type: Some(SHAREPOINT_SITE),
        display_name: name.unwrap_or(address),
        extended_attributes: attributes.as_object().cloned(),
        ..Resource::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: Uuid = Uuid::from_u128(1);
    const SCOPE: &str = "6A4D9E07-B3F2-4815-8C9E-D70F2A5B1C36";
    const ROLE: &str = "A93D5E80-1F7C-4B26-8E0D-C6F425B7D931";

    fn entry(system: &str, role: &str, scope: &str) -> Value {
        json!({"id": "r_s", "createdDateTime": "2024-02-08T13:04:27.9Z",
            "role": {"id": "r", "displayName": "Shown", "originSystem": system, "originId": role},
            "scope": {"id": "s", "displayName": "Team", "originSystem": system, "originId": scope}})
    }

    /// Child and role of an entry.
    fn given(system: &str, role: &str, scope: &str) -> (Option<Uuid>, Option<String>) {
        match package_content(PACKAGE, entry(system, role, scope)) {
            Content::Gives(record, _) => (record.child_resource_id, record.role_name.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_child_is_the_group_the_role_of_the_application_or_the_site() {
        let scope: Uuid = SCOPE.parse().expect("an id");
        let member = format!("Member_{SCOPE}");
        let group = given("AadGroup", &member, SCOPE);
        assert_eq!(group, (Some(scope), Some("Member".to_owned())));
        let owner = given("AadGroup", &format!("Owner_{SCOPE}"), SCOPE);
        assert_eq!(owner.1.as_deref(), Some("Owner"));
        let role = Uuid::new_v5(&scope, ROLE.to_lowercase().as_bytes());
        let application = given("AadApplication", ROLE, SCOPE);
        assert_eq!(application, (Some(role), Some("Shown".to_owned())));
        let default = given("AadApplication", &Uuid::nil().to_string(), SCOPE);
        assert_eq!(default.0, Some(scope));
        let role = given("DirectoryRole", "Active", SCOPE);
        assert_eq!(role, (Some(scope), Some("Shown".to_owned())));
    }

    #[test]
    fn a_site_is_known_by_its_address() {
        let site = entry("SharePointOnline", "4", "https://t.example/sites/a");
        let Content::Gives(record, Some(site)) = package_content(PACKAGE, site) else {
            panic!("a site");
        };
        assert_eq!(record.child_resource_id, site.id);
        assert_eq!(site.display_name, "Team");
        let other = given("SharePointOnline", "4", "https://t.example/sites/b");
        assert_ne!(other.0, site.id);
    }

    #[test]
    fn what_cannot_be_pointed_at_is_told_from_what_was_not_read() {
        let unknown = package_content(PACKAGE, entry("OnPremises", "1", "ou=x"));
        assert_eq!(unknown, Content::Unknown("OnPremises".to_owned()));
        let mut unexpanded = entry("AadGroup", "Member_x", SCOPE);
        unexpanded["scope"] = json!(null);
        assert_eq!(package_content(PACKAGE, unexpanded), Content::Unreadable);
    }
}
