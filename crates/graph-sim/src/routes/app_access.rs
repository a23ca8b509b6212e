//! App role assignments, delegated grants, federated credentials, sponsors of agents.

use std::ops::Bound;

use serde_json::{Value, json};
use uuid::Uuid;

use super::objects::link_page;
use super::paging::{LARGEST_PAGE, Paging};
use super::property::{Entity, Filter, Property, render, select, shown};
use super::wire::{id, text, time, varied_id};
use super::{Call, Route, get};
use crate::model::{
    AppRoleAssignment, FederatedCredential, MemberKind, PermissionGrant, ServicePrincipalClass,
    Tenant,
};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/servicePrincipals/{id}/appRoleAssignedTo",
        permissions::APPLICATIONS,
        1,
        assigned_to,
    ),
    get(
        "/servicePrincipals/{id}/microsoft.graph.agentIdentity/sponsors",
        permissions::AGENT_IDENTITIES,
        1,
        sponsors,
    ),
    get(
        "/applications/{id}/federatedIdentityCredentials",
        permissions::APPLICATIONS,
        1,
        federated_credentials,
    ),
    get("/oauth2PermissionGrants", permissions::GRANTS, 2, grants),
];

impl Entity for AppRoleAssignment {
    const NAME: &'static str = "appRoleAssignment";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |held| json!(held.id)),
        shown("deletedDateTime", |_| Value::Null),
        shown("appRoleId", |held| varied_id(held.app_role_id)),
        shown("createdDateTime", |held| time(held.created)),
        shown("principalDisplayName", |_| Value::Null),
        shown("principalId", |held| varied_id(held.principal_id)),
        shown("principalType", |held| {
            json!(match held.principal_kind {
                MemberKind::User => "User",
                MemberKind::Group => "Group",
                MemberKind::ServicePrincipal => "ServicePrincipal",
            })
        }),
        shown("resourceDisplayName", |_| Value::Null),
        shown("resourceId", |held| varied_id(held.resource_id)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.appRoleAssignment"
    }
}

impl Entity for PermissionGrant {
    const NAME: &'static str = "oAuth2PermissionGrant";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |grant| json!(grant.id)),
        shown("clientId", |grant| varied_id(grant.client_id)),
        shown("consentType", |grant| {
            json!(if grant.principal_id.is_some() {
                "Principal"
            } else {
                "AllPrincipals"
            })
        }),
        shown("principalId", |grant| {
            grant.principal_id.map_or(Value::Null, varied_id)
        }),
        shown("resourceId", |grant| varied_id(grant.resource_id)),
        shown("scope", |grant| json!(grant.scope)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.oAuth2PermissionGrant"
    }
}

impl Entity for FederatedCredential {
    const NAME: &'static str = "federatedIdentityCredential";
    const PROPERTIES: &'static [Property<Self>] = &[
        shown("id", |credential| id(credential.id)),
        shown("name", |credential| json!(credential.name)),
        shown("issuer", |credential| json!(credential.issuer)),
        shown("subject", |credential| json!(credential.subject)),
        shown("description", |credential| {
            text(credential.description.as_ref())
        }),
        shown("audiences", |credential| json!(credential.audiences)),
    ];
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.federatedIdentityCredential"
    }
}

fn name_of(tenant: &Tenant, id: Uuid, kind: MemberKind) -> Value {
    let name = match kind {
        MemberKind::User => tenant.users.get(&id).map(|one| &one.display_name),
        MemberKind::Group => tenant.groups.get(&id).map(|one| &one.display_name),
        MemberKind::ServicePrincipal => tenant
            .service_principals
            .get(&id)
            .map(|one| &one.display_name),
    };
    text(name)
}

/// An assignment with the names of both its ends.
pub(super) fn assignment(
    tenant: &Tenant,
    held: &AppRoleAssignment,
    selection: &[&'static Property<AppRoleAssignment>],
) -> Value {
    let mut object = render(held, selection);
    if let Some(name) = object.get_mut("principalDisplayName") {
        *name = name_of(tenant, held.principal_id, held.principal_kind);
    }
    if let Some(name) = object.get_mut("resourceDisplayName") {
        *name = name_of(tenant, held.resource_id, MemberKind::ServicePrincipal);
    }
    Value::Object(object)
}

/// Without `ConsistencyLevel: eventual` and `$count=true` nothing past the first 999 is ever shown.
fn assigned_to(call: &Call<'_>) -> Result<Body, GraphError> {
    let resource = call.id(0)?;
    let tenant = call.tenant;
    if !tenant.service_principals.contains_key(&resource) {
        return Err(GraphError::not_found(call.parameters[0]));
    }
    let selection =
        select::<AppRoleAssignment>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let is_whole = call.is_eventual && call.query.wants_count();
    let last_shown = (!is_whole)
        .then(|| {
            tenant
                .app_access
                .assigned_to(resource, None)
                .nth(LARGEST_PAGE - 1)
        })
        .flatten()
        .map(|held| held.id.clone());
    let held = tenant
        .app_access
        .assigned_to(resource, paging.after())
        .filter(|held| last_shown.as_ref().is_none_or(|last| held.id <= *last));
    let mut page = paging.page(
        call,
        "appRoleAssignments",
        held,
        |held| held.id.clone(),
        |held| assignment(tenant, held, &selection),
    );
    if is_whole && paging.after().is_none() {
        page["@odata.count"] = json!(tenant.app_access.assigned_to(resource, None).count());
    }
    Ok(Body::Json(page))
}

fn sponsors(call: &Call<'_>) -> Result<Body, GraphError> {
    let agent = call.id(0)?;
    let known = call.tenant.service_principals.get(&agent);
    if known.is_none_or(|one| one.class != ServicePrincipalClass::AgentIdentity) {
        return Err(GraphError::not_found(call.parameters[0]));
    }
    link_page(call, &call.tenant.app_access.sponsors, agent, false)
}

fn federated_credentials(call: &Call<'_>) -> Result<Body, GraphError> {
    let application = call.id(0)?;
    if !call.tenant.applications.contains_key(&application) {
        return Err(GraphError::not_found(call.parameters[0]));
    }
    let selection =
        select::<FederatedCredential>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let credentials = call
        .tenant
        .app_access
        .credentials_of(application, paging.after_id()?);
    let page = paging.page(
        call,
        "federatedIdentityCredentials",
        credentials,
        |credential| credential.id.to_string(),
        |credential| Value::Object(render(*credential, &selection)),
    );
    Ok(Body::Json(page))
}

fn grants(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection =
        select::<PermissionGrant>(call.query.select().as_deref(), call.version, call.grants)?;
    let filter = Filter::<PermissionGrant>::parse(
        call.query.get("$filter"),
        call.version,
        call.is_eventual,
    )?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let start = paging
        .after()
        .map_or(Bound::Unbounded, |id| Bound::Excluded(id.to_owned()));
    let grants = call
        .tenant
        .app_access
        .grants
        .range((start, Bound::Unbounded))
        .map(|(_, grant)| grant)
        .filter(|grant| filter.matches(grant));
    let page = paging.page(
        call,
        "oauth2PermissionGrants",
        grants,
        |grant| grant.id.clone(),
        |grant| Value::Object(render(*grant, &selection)),
    );
    Ok(Body::Json(page))
}
