//! The properties of what entitlement management keeps.

use serde_json::{Value, json};

use crate::model::{
    AccessPackage, Approver, Catalog, CatalogRole, GovernanceRole, PackageAssignment,
    PackagePolicy, PackageRequest,
};
use crate::routes::property::{Entity, Property, shown};
use crate::routes::wire::{id, maybe_time, text, time, varied_id};

impl Entity for Catalog {
    const NAME: &'static str = "accessPackageCatalog";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |one| id(one.id)),
        shown("displayName", |one| json!(one.display_name)),
        shown("description", |one| text(one.description.as_ref())),
        shown("catalogType", |one| json!(one.catalog_type)),
        shown("state", |one| json!(one.state)),
        shown("isExternallyVisible", |one| {
            json!(one.is_externally_visible)
        }),
        shown("createdDateTime", |one| time(one.created)),
        shown("modifiedDateTime", |one| time(one.modified)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.accessPackageCatalog"
    }
}

impl Entity for AccessPackage {
    const NAME: &'static str = "accessPackage";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |one| id(one.id)),
        shown("displayName", |one| json!(one.display_name)),
        shown("description", |one| text(one.description.as_ref())),
        shown("isHidden", |one| json!(one.is_hidden)),
        shown("createdDateTime", |one| time(one.created)),
        shown("modifiedDateTime", |one| time(one.modified)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.accessPackage"
    }
}

impl Entity for PackagePolicy {
    const NAME: &'static str = "accessPackageAssignmentPolicy";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |one| id(one.id)),
        shown("displayName", |one| json!(one.display_name)),
        shown("description", |one| text(one.description.as_ref())),
        shown("allowedTargetScope", |one| json!(one.allowed_target_scope)),
        shown("specificAllowedTargets", |_| json!([])),
        shown("createdDateTime", |one| time(one.created)),
        shown("modifiedDateTime", |one| time(one.modified)),
        shown("automaticRequestSettings", |_| Value::Null),
        shown("expiration", |one| match one.expires_after_days {
            Some(days) => {
                json!({"type": "afterDuration", "duration": format!("P{days}D"), "endDateTime": null})
            }
            None => json!({"type": "noExpiration", "duration": null, "endDateTime": null}),
        }),
        shown("requestorSettings", |one| {
            json!({
                "enableTargetsToSelfAddAccess": one.allowed_target_scope != "notSpecified",
                "enableTargetsToSelfRemoveAccess": true,
                "onBehalfRequestors": [],
            })
        }),
        shown("requestApprovalSettings", |one| approval(one.approver)),
        shown("reviewSettings", |_| Value::Null),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.accessPackageAssignmentPolicy"
    }
}

fn approval(approver: Approver) -> Value {
    let first = match approver {
        Approver::Nobody => None,
        Approver::Manager => {
            Some(json!({"@odata.type": "#microsoft.graph.requestorManager", "managerLevel": 1}))
        }
        Approver::User(user) => Some(
            json!({"@odata.type": "#microsoft.graph.singleUser", "userId": user, "description": null}),
        ),
        Approver::Sponsor => Some(json!({"@odata.type": "#microsoft.graph.internalSponsors"})),
    };
    let stages: Vec<Value> = first
        .into_iter()
        .map(|approver| {
            json!({
                "durationBeforeAutomaticDenial": "P7D",
                "isApproverJustificationRequired": true,
                "primaryApprovers": [approver],
                "fallbackPrimaryApprovers": [],
            })
        })
        .collect();
    json!({"isApprovalRequiredForAdd": !stages.is_empty(), "stages": stages})
}

impl Entity for PackageAssignment {
    const NAME: &'static str = "accessPackageAssignment";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |one| id(one.id)),
        shown("state", |one| json!(one.state)),
        shown("status", |one| json!(one.state)),
        shown("expiredDateTime", |_| Value::Null),
        shown("schedule", |one| {
            let kind = if one.end.is_some() {
                "afterDateTime"
            } else {
                "noExpiration"
            };
            json!({
                "startDateTime": time(one.start),
                "recurrence": null,
                "expiration": {"type": kind, "endDateTime": maybe_time(one.end), "duration": null},
            })
        }),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.accessPackageAssignment"
    }
}

impl Entity for PackageRequest {
    const NAME: &'static str = "accessPackageAssignmentRequest";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |one| id(one.id)),
        shown("requestType", |one| json!(one.request_type)),
        shown("state", |one| json!(one.state)),
        shown("status", |one| json!(one.state)),
        shown("createdDateTime", |one| time(one.created)),
        shown("completedDateTime", |one| maybe_time(one.completed)),
        shown("justification", |one| text(one.justification.as_ref())),
        shown("answers", |_| json!([])),
        shown(
            "schedule",
            |_| json!({"startDateTime": null, "expiration": {"type": "notSpecified", "endDateTime": null}}),
        ),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.accessPackageAssignmentRequest"
    }
}

impl Entity for GovernanceRole {
    const NAME: &'static str = "unifiedRoleDefinition";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |one| id(one.id)),
        shown("displayName", |one| json!(one.display_name)),
        shown("description", |one| json!(one.description)),
        shown("isBuiltIn", |_| json!(true)),
        shown("isEnabled", |_| json!(true)),
        shown("templateId", |one| id(one.id)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.unifiedRoleDefinition"
    }
}

impl Entity for CatalogRole {
    const NAME: &'static str = "unifiedRoleAssignment";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |one| id(one.id)),
        shown("principalId", |one| varied_id(one.principal_id)),
        shown("roleDefinitionId", |one| id(one.role_definition_id)),
        shown("directoryScopeId", |_| Value::Null),
        shown("appScopeId", |one| {
            json!(one.catalog_id.map_or_else(
                || "/".to_owned(),
                |id| format!("/AccessPackageCatalog/{id}")
            ))
        }),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.unifiedRoleAssignment"
    }
}
