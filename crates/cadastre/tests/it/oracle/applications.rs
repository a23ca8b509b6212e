//! What applications, their roles and registrations, and access to and through them become.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use graph_sim::{
    AppRole, Credential, MemberKind, RequestedAccess, ServicePrincipalClass, Truth,
    TruthAppRoleAssignment, TruthApplication, TruthFederatedCredential, TruthPermissionGrant,
    TruthServicePrincipal,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Row,
    assignments::{Holders, with},
    moment,
    objects::{Attributes, date_text},
    row,
};

fn resource(id: Uuid, resource_type: &str, display_name: &str, columns: Value) -> Row {
    let blank = json!({
        "id": id,
        "external_id": null,
        "resource_type": resource_type,
        "display_name": display_name,
        "description": null,
        "mail": null,
        "visibility": null,
        "enabled": null,
        "is_assignable_to_role": null,
        "catalog_id": null,
        "app_id": null,
        "template_id": null,
        "created_date_time": null,
    });
    with(row(blank), columns)
}

fn relationship(parent: Uuid, child: Uuid, kind: &str, columns: Value) -> Row {
    let blank = json!({
        "parent_resource_id": parent,
        "child_resource_id": child,
        "relationship_type": kind,
        "role_name": "",
        "source_id": null,
        "extended_attributes": {},
    });
    with(row(blank), columns)
}

/// Applications, the roles that they offer, and that they offer them.
pub(super) fn applications(truth: &Truth) -> (Vec<Row>, Vec<Row>) {
    let with_default: BTreeSet<Uuid> = truth
        .app_role_assignments
        .iter()
        .filter(|held| held.app_role_id.is_nil())
        .map(|held| held.resource_id)
        .collect();
    let (mut resources, mut offers) = (Vec::new(), Vec::new());
    for one in &truth.service_principals {
        resources.push(application(one));
        let mut roles: Vec<Row> = one
            .app_roles
            .iter()
            .map(|role| app_role(one, role))
            .collect();
        if one.app_role_assignment_required || with_default.contains(&one.id) {
            roles.push(default_access(one));
        }
        for role in roles {
            let id = role["id"].as_str().and_then(|id| id.parse().ok());
            let id: Uuid = id.expect("an id");
            offers.push(relationship(one.id, id, "HasAppRole", json!({})));
            resources.push(role);
        }
    }
    (resources, offers)
}

fn application(one: &TruthServicePrincipal) -> Row {
    let kind = match one.class {
        ServicePrincipalClass::Plain => None,
        ServicePrincipalClass::AgentIdentity => Some("agentIdentity"),
        ServicePrincipalClass::AgentIdentityBlueprintPrincipal => {
            Some("agentIdentityBlueprintPrincipal")
        }
    };
    let owner = one.app_owner_organization_id;
    let attributes = Attributes::default()
        .put("agentKind", kind)
        .put("servicePrincipalType", one.service_principal_type.as_str())
        .put("appOwnerOrganizationId", owner.map(|id| id.to_string()))
        .put(
            "appRoleAssignmentRequired",
            one.app_role_assignment_required,
        )
        .put("signInAudience", one.sign_in_audience.clone())
        .words("tags", &one.tags);
    let columns = json!({
        "description": one.description,
        "enabled": one.account_enabled,
        "app_id": one.app_id,
        "extended_attributes": attributes.into_map(),
    });
    resource(one.id, "EntraApplication", &one.display_name, columns)
}

/// A role's key: its id in the name space of its application.
fn role_key(application: Uuid, role: Uuid) -> Uuid {
    Uuid::new_v5(&application, role.to_string().as_bytes())
}

fn app_role(one: &TruthServicePrincipal, role: &AppRole) -> Row {
    // Permissions of applications are known by their value.
    let is_permission = role.allowed_member_types == ["Application"];
    let (name, further) = match (&role.value, is_permission) {
        (Some(value), true) => (value, Some(role.display_name.clone())),
        _ => (&role.display_name, None),
    };
    let attributes = Attributes::default()
        .put("appRoleDisplayName", further)
        .put("value", role.value.clone())
        .words("allowedMemberTypes", &role.allowed_member_types);
    let columns = json!({
        "external_id": format!("{}/{}", one.id, role.id),
        "description": role.description,
        "enabled": role.is_enabled,
        "app_id": one.app_id,
        "extended_attributes": attributes.into_map(),
    });
    resource(role_key(one.id, role.id), "EntraAppRole", name, columns)
}

fn default_access(one: &TruthServicePrincipal) -> Row {
    let columns = json!({
        "external_id": format!("{}/00000000-0000-0000-0000-000000000000", one.id),
        "enabled": true,
        "app_id": one.app_id,
        "extended_attributes": {},
    });
    let key = role_key(one.id, Uuid::nil());
    resource(key, "EntraAppRole", "Default access", columns)
}

pub(super) fn registration(one: &TruthApplication) -> Row {
    let kind = one.is_agent_blueprint.then_some("agentIdentityBlueprint");
    let ends = one.password_credentials.iter().chain(&one.key_credentials);
    let earliest = ends.map(|one| one.end).min();
    let web = if one.redirect_uris.is_empty() {
        json!({})
    } else {
        let mut uris = one.redirect_uris.clone();
        uris.sort();
        json!({"redirectUris": uris})
    };
    let attributes = Attributes::default()
        .put("agentKind", kind)
        .put("isFallbackPublicClient", false)
        .words("identifierUris", &one.identifier_uris)
        .put("publisherDomain", one.publisher_domain.clone())
        .put(
            "serviceManagementReference",
            one.service_management_reference.clone(),
        )
        .put("signInAudience", one.sign_in_audience.clone())
        .words("tags", &one.tags)
        .put("web", web)
        .put(
            "passwordCredentials",
            credentials(&one.password_credentials, &json!({})),
        )
        .put(
            "keyCredentials",
            credentials(
                &one.key_credentials,
                &json!({"type": "AsymmetricX509Cert", "usage": "Verify"}),
            ),
        )
        .put(
            "requiredResourceAccess",
            requested(&one.required_resource_access),
        )
        .date("earliestCredentialEndDateTime", earliest);
    let columns = json!({
        "description": one.description,
        "app_id": one.app_id,
        "created_date_time": moment(one.created),
        "extended_attributes": attributes.into_map(),
    });
    resource(one.id, "EntraAppRegistration", &one.display_name, columns)
}

/// Credentials in the order of their ids, without anything of the secret.
fn credentials(all: &[Credential], further: &Value) -> Vec<Value> {
    let text = |at: DateTime<Utc>| date_text(at);
    let mut all: Vec<&Credential> = all.iter().collect();
    all.sort_by_key(|one| one.key_id.to_string());
    let entry = |one: &&Credential| {
        let mut entry = Map::new();
        entry.insert("keyId".to_owned(), one.key_id.to_string().into());
        if let Some(name) = &one.display_name {
            entry.insert("displayName".to_owned(), name.clone().into());
        }
        entry.insert("startDateTime".to_owned(), text(one.start).into());
        entry.insert("endDateTime".to_owned(), text(one.end).into());
        entry.extend(further.as_object().expect("an object").clone());
        Value::Object(entry)
    };
    all.iter().map(entry).collect()
}

fn requested(all: &[RequestedAccess]) -> Vec<Value> {
    let mut all: Vec<&RequestedAccess> = all.iter().collect();
    all.sort_by_key(|one| one.resource_app_id.to_string());
    let entry = |one: &&RequestedAccess| {
        let roles = one.roles.iter().map(|id| (id.to_string(), "Role"));
        let scopes = one.scopes.iter().map(|id| (id.to_string(), "Scope"));
        let mut wanted: Vec<(String, &str)> = roles.chain(scopes).collect();
        wanted.sort();
        let wanted: Vec<Value> = wanted
            .into_iter()
            .map(|(id, kind)| json!({"id": id, "type": kind}))
            .collect();
        json!({"resourceAppId": one.resource_app_id, "resourceAccess": wanted})
    };
    all.iter().map(entry).collect()
}

pub(super) fn federated_credential(one: &TruthFederatedCredential) -> Row {
    let credential = &one.credential;
    let attributes = Attributes::default()
        .put("registrationId", one.application_id.to_string())
        .put("issuer", credential.issuer.clone())
        .put("subject", credential.subject.clone())
        .words("audiences", &credential.audiences);
    let columns = json!({
        "description": credential.description,
        "extended_attributes": attributes.into_map(),
    });
    resource(
        credential.id,
        "EntraFederatedCredential",
        &credential.name,
        columns,
    )
}

pub(super) fn app_role_assignment(holders: &Holders, held: &TruthAppRoleAssignment) -> Row {
    let role = role_key(held.resource_id, held.app_role_id);
    let holder = (held.principal_id, held.principal_kind);
    let row = holders.assignment((role, "EntraAppRole", "/"), holder, "Direct");
    // Graph tells no agent from another service principal here.
    let principal_type = match held.principal_kind {
        MemberKind::User => "User",
        MemberKind::Group => "Group",
        MemberKind::ServicePrincipal => "ServicePrincipal",
    };
    let columns = json!({
        "principal_type": principal_type,
        "start_date_time": moment(held.created),
        "source_id": held.id,
    });
    with(row, columns)
}

/// Grants of users, and grants for all.
pub(super) fn grants(holders: &Holders, truth: &Truth) -> (Vec<Row>, Vec<Row>) {
    let (mut of_users, mut of_all) = (Vec::new(), Vec::new());
    for grant in &truth.permission_grants {
        if let Some(user) = grant.principal_id {
            let scope = format!("/{}", grant.client_id);
            let ends = (grant.resource_id, "EntraApplication", scope.as_str());
            let row = holders.assignment(ends, (user, MemberKind::User), "OAuth2Grant");
            let columns = json!({
                "source_id": grant.id,
                "extended_attributes": {"clientId": grant.client_id, "scope": words(grant)},
            });
            of_users.push(with(row, columns));
        } else {
            let columns =
                json!({"source_id": grant.id, "extended_attributes": {"scope": words(grant)}});
            of_all.push(relationship(
                grant.client_id,
                grant.resource_id,
                "DelegatesScope",
                columns,
            ));
        }
    }
    (of_users, of_all)
}

fn words(grant: &TruthPermissionGrant) -> BTreeSet<&str> {
    grant
        .scope
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect()
}
