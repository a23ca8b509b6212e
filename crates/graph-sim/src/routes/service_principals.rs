//! `/servicePrincipals`, agents included.

use std::borrow::Cow;

use serde_json::{Value, json};
use uuid::Uuid;

use super::app_access::assignment;
use super::objects::{EXPAND_LIMIT, ObjectView, expanded, link_page};
use super::paging::{LARGEST_PAGE, Paging, behind};
use super::property::{Entity, Filter, Property, Selection, on_request, render, select, shown};
use super::wire::{app_roles, certificates, id, maybe_time, secrets, text};
use super::{Call, Route, get};
use crate::model::{AppRoleAssignment, ServicePrincipal, ServicePrincipalClass, Tenant};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get("/servicePrincipals", permissions::APPLICATIONS, 1, list),
    get(
        "/servicePrincipals/$count",
        permissions::APPLICATIONS,
        1,
        count,
    ),
    get(
        "/servicePrincipals/{id}",
        permissions::APPLICATIONS,
        1,
        single,
    ),
    get(
        "/servicePrincipals/{id}/owners",
        permissions::APPLICATIONS,
        1,
        owners,
    ),
    get(
        "/servicePrincipals/{id}/appRoleAssignments",
        permissions::APPLICATIONS,
        1,
        app_role_assignments,
    ),
];

impl Entity for ServicePrincipal {
    const NAME: &'static str = "servicePrincipal";
    const PROPERTIES: &'static [Property<Self>] = PROPERTIES;
    fn odata_type(&self) -> &'static str {
        match self.class {
            ServicePrincipalClass::Plain => "#microsoft.graph.servicePrincipal",
            ServicePrincipalClass::AgentIdentity => "#microsoft.graph.agentIdentity",
            ServicePrincipalClass::AgentIdentityBlueprintPrincipal => {
                "#microsoft.graph.agentIdentityBlueprintPrincipal"
            }
        }
    }
    fn is_derived(&self) -> bool {
        self.class != ServicePrincipalClass::Plain
    }
}

const PROPERTIES: &[Property<ServicePrincipal>] = &[
    shown("id", |principal| id(principal.id)),
    shown("deletedDateTime", |_| Value::Null),
    shown("accountEnabled", |principal| {
        json!(principal.account_enabled)
    }),
    shown("alternativeNames", |principal| {
        json!(principal.alternative_names)
    }),
    shown("appDisplayName", |principal| {
        text(principal.app_display_name.as_ref())
    }),
    shown("appDescription", |_| Value::Null),
    shown("appId", |principal| json!(principal.app_id)),
    shown("applicationTemplateId", |_| Value::Null),
    shown("appOwnerOrganizationId", |principal| {
        json!(principal.app_owner_organization_id)
    }),
    shown("appRoleAssignmentRequired", |principal| {
        json!(principal.app_role_assignment_required)
    }),
    shown("appRoles", |principal| app_roles(&principal.app_roles)),
    shown("createdByAppId", |principal| {
        json!(principal.created_by_app_id)
    }),
    shown("description", |principal| {
        text(principal.description.as_ref())
    }),
    shown("disabledByMicrosoftStatus", |_| Value::Null),
    shown("displayName", |principal| json!(principal.display_name)),
    shown("homepage", |principal| text(principal.homepage.as_ref())),
    shown("info", |_| Value::Null),
    shown("isDisabled", |_| Value::Null),
    shown("keyCredentials", |principal| {
        certificates(&principal.key_credentials)
    }),
    shown("loginUrl", |_| Value::Null),
    shown("logoutUrl", |_| Value::Null),
    shown("notes", |principal| text(principal.notes.as_ref())),
    shown("notificationEmailAddresses", |_| json!([])),
    shown("oauth2PermissionScopes", |_| json!([])),
    shown("passwordCredentials", |principal| {
        secrets(&principal.password_credentials)
    }),
    shown("preferredSingleSignOnMode", |_| Value::Null),
    shown("replyUrls", |principal| json!(principal.reply_urls)),
    shown("servicePrincipalNames", |principal| {
        json!(principal.service_principal_names)
    }),
    shown("servicePrincipalType", |principal| {
        json!(principal.service_principal_type.as_str())
    }),
    shown("signInAudience", |principal| {
        text(principal.sign_in_audience.as_ref())
    }),
    shown("tags", |principal| json!(principal.tags)),
    shown(
        "verifiedPublisher",
        |_| json!({"displayName": null, "verifiedPublisherId": null, "addedDateTime": null}),
    ),
    on_request("customSecurityAttributes", |_| Value::Null),
    on_request("agentIdentityBlueprintId", |principal| {
        json!(principal.agent_identity_blueprint_id)
    }),
    on_request("createdDateTime", |principal| maybe_time(principal.created)),
];

/// The simulator's own rule about derived properties: agents carry theirs when
/// everything is asked for or when they are named; plain ones never do.
pub(super) fn object(
    principal: &ServicePrincipal,
    selection: &[&'static Property<ServicePrincipal>],
    everything: bool,
) -> serde_json::Map<String, Value> {
    let mut object = render(principal, selection);
    if principal.class == ServicePrincipalClass::AgentIdentity {
        if everything {
            object.insert(
                "agentIdentityBlueprintId".to_owned(),
                json!(principal.agent_identity_blueprint_id),
            );
            object.insert("createdDateTime".to_owned(), maybe_time(principal.created));
        }
    } else {
        object.remove("agentIdentityBlueprintId");
        object.remove("createdDateTime");
    }
    object
}

/// What a request expands.
enum Expansion<'a> {
    Owners(ObjectView<'a>),
    AssignedTo(Selection<AppRoleAssignment>),
}

impl<'a> Expansion<'a> {
    fn of(call: &'a Call<'a>) -> Result<Option<Self>, GraphError> {
        let mut expands = call.query.expands()?;
        let Some(expand) = expands.pop() else {
            return Ok(None);
        };
        match (expand.name.as_str(), expands.is_empty()) {
            ("owners", true) => {
                ObjectView::new(call, expand.select).map(|view| Some(Self::Owners(view)))
            }
            ("appRoleAssignedTo", true) => {
                select(expand.select.as_deref(), call.version, call.grants)
                    .map(|selection| Some(Self::AssignedTo(selection)))
            }
            (other, _) => Err(GraphError::bad_request(format!(
                "Parsing OData Select and Expand failed: '{other}' cannot be expanded on type 'microsoft.graph.servicePrincipal'."
            ))),
        }
    }

    fn add(&self, tenant: &Tenant, principal: Uuid, object: &mut serde_json::Map<String, Value>) {
        match self {
            Self::Owners(view) => {
                let owners = tenant.service_principal_owners.of(principal);
                object.insert("owners".to_owned(), expanded(view, owners));
            }
            Self::AssignedTo(selection) => {
                let held = tenant.app_access.assigned_to(principal, None);
                let shown = held
                    .take(EXPAND_LIMIT)
                    .map(|held| assignment(tenant, held, selection));
                object.insert("appRoleAssignedTo".to_owned(), shown.collect());
            }
        }
    }
}

fn list(call: &Call<'_>) -> Result<Body, GraphError> {
    let names = call.query.select();
    let selection = select::<ServicePrincipal>(names.as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let filter = Filter::<ServicePrincipal>::parse(
        call.query.get("$filter"),
        call.version,
        call.is_eventual,
    )?;
    let expansion = Expansion::of(call)?;
    let tenant = call.tenant;
    let principals = behind(&tenant.service_principals, paging.after_id()?)
        .filter(|principal| filter.matches(principal));
    let mut page = paging.page(
        call,
        "servicePrincipals",
        principals,
        |principal| principal.id.to_string(),
        |principal| {
            let mut object = object(principal, &selection, names.is_none());
            if let Some(expansion) = &expansion {
                expansion.add(tenant, principal.id, &mut object);
            }
            Value::Object(object)
        },
    );
    if call.query.wants_count() && call.is_eventual && paging.after().is_none() {
        let count = tenant
            .service_principals
            .values()
            .filter(|principal| filter.matches(principal))
            .count();
        page["@odata.count"] = json!(count);
    }
    Ok(Body::Json(page))
}

fn count(call: &Call<'_>) -> Result<Body, GraphError> {
    if !call.is_eventual {
        return Err(GraphError::bad_request(
            "$count is not currently supported.",
        ));
    }
    let filter = Filter::<ServicePrincipal>::parse(call.query.get("$filter"), call.version, true)?;
    let count = call
        .tenant
        .service_principals
        .values()
        .filter(|principal| filter.matches(principal))
        .count();
    Ok(Body::Text(count.to_string()))
}

/// By object id, or by `appId='…'`.
fn find<'a>(call: &Call<'a>) -> Result<Cow<'a, ServicePrincipal>, GraphError> {
    let key = call.parameters[0];
    let found = if let Some(app_id) = key.strip_prefix("appId=") {
        let app_id =
            Uuid::parse_str(app_id.trim_matches('\'')).map_err(|_| GraphError::not_found(key))?;
        call.application.by_app_id(call.tenant, app_id)
    } else {
        call.application.by_id(call.tenant, call.id(0)?)
    };
    found.ok_or_else(|| GraphError::not_found(key))
}

/// What the application was granted of Graph; other assignments are not simulated here.
fn app_role_assignments(call: &Call<'_>) -> Result<Body, GraphError> {
    let principal = find(call)?;
    let value: Vec<Value> = call
        .application
        .granted(call.tenant, &principal)
        .into_iter()
        .map(|granted| {
            json!({
                "id": granted.id,
                "deletedDateTime": null,
                "appRoleId": granted.app_role_id,
                "createdDateTime": maybe_time(Some(call.tenant.created)),
                "principalDisplayName": principal.display_name,
                "principalId": principal.id,
                "principalType": "ServicePrincipal",
                "resourceDisplayName": "Microsoft Graph",
                "resourceId": granted.resource_id,
            })
        })
        .collect();
    let context = call.context("appRoleAssignments");
    Ok(Body::Json(
        json!({"@odata.context": context, "value": value}),
    ))
}

fn single(call: &Call<'_>) -> Result<Body, GraphError> {
    let names = call.query.select();
    let selection = select::<ServicePrincipal>(names.as_deref(), call.version, call.grants)?;
    let expansion = Expansion::of(call)?;
    let principal = find(call)?;
    let mut object = object(&principal, &selection, names.is_none());
    object.insert(
        "@odata.context".to_owned(),
        call.context("servicePrincipals/$entity").into(),
    );
    if let Some(expansion) = &expansion {
        expansion.add(call.tenant, principal.id, &mut object);
    }
    Ok(Body::Json(Value::Object(object)))
}

fn owners(call: &Call<'_>) -> Result<Body, GraphError> {
    let principal = find(call)?;
    link_page(
        call,
        &call.tenant.service_principal_owners,
        principal.id,
        false,
    )
}
