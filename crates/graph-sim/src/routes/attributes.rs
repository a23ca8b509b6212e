//! Which custom attributes exist: directory extensions, schema extensions, custom security attributes.

use serde_json::{Value, json};

use super::{Call, Route, get};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/directoryObjects/getAvailableExtensionProperties",
        permissions::ANY_OBJECT,
        2,
        extension_properties,
    )
    .post(),
    get(
        "/schemaExtensions",
        permissions::APPLICATIONS,
        1,
        schema_extensions,
    ),
    get(
        "/directory/customSecurityAttributeDefinitions",
        permissions::SECURITY_ATTRIBUTE_DEFINITIONS,
        1,
        security_attributes,
    ),
];

/// A list that has nothing to expand.
fn list(call: &Call<'_>, context: &str, values: &Value) -> Result<Body, GraphError> {
    if call.query.get("$expand").is_some() {
        return Err(GraphError::unsupported("There is nothing to expand."));
    }
    Ok(Body::Json(
        json!({"@odata.context": call.context(context), "value": values}),
    ))
}

fn extension_properties(call: &Call<'_>) -> Result<Body, GraphError> {
    let extension = |name: &str, kind: &str, of: &str, is_synced: bool| {
        json!({
            "id": "0a0b0c0d-0000-4000-8000-000000000001",
            "deletedDateTime": null,
            "appDisplayName": "Badges",
            "name": format!("extension_9f8e7d6c5b4a39281706f5e4d3c2b1a0_{name}"),
            "dataType": kind,
            "isMultiValued": false,
            "isSyncedFromOnPremises": is_synced,
            "targetObjects": [of],
        })
    };
    let all = json!([
        extension("badgeNumber", "String", "User", false),
        extension("site", "String", "Group", true),
    ]);
    list(call, "extensionProperties", &all)
}

fn schema_extensions(call: &Call<'_>) -> Result<Body, GraphError> {
    let all = json!([{
        "id": "extmeridiaan_parking",
        "description": "Where one parks",
        "targetTypes": ["User"],
        "status": "Available",
        "owner": "9f8e7d6c-5b4a-3928-1706-f5e4d3c2b1a0",
        "properties": [{"name": "level", "type": "Integer"}, {"name": "bay", "type": "String"}],
    }]);
    list(call, "schemaExtensions", &all)
}

fn security_attributes(call: &Call<'_>) -> Result<Body, GraphError> {
    let definition = |set: &str, name: &str, kind: &str, is_collection: bool| {
        json!({
            "id": format!("{set}_{name}"),
            "attributeSet": set,
            "name": name,
            "description": null,
            "type": kind,
            "status": "Available",
            "isCollection": is_collection,
            "isSearchable": true,
            "usePreDefinedValuesOnly": false,
        })
    };
    let all = json!([
        definition("Engineering", "Project", "String", true),
        definition("Engineering", "NumVendors", "Integer", false),
        definition("Clearance", "Level", "String", false),
        definition("Clearance", "IsSworn", "Boolean", false),
    ]);
    list(call, "customSecurityAttributeDefinitions", &all)
}
