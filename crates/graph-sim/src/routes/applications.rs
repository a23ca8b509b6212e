//! `/applications`, agent blueprints included.

use serde_json::{Value, json};
use uuid::Uuid;

use super::objects::{EXPAND_LIMIT, ObjectView, expanded, link_page};
use super::paging::{LARGEST_PAGE, Paging, behind};
use super::property::{Entity, Filter, Property, Selection, render, select, shown};
use super::wire::{app_roles, certificates, id, requested_access, secrets, text, time};
use super::{Call, Route, get};
use crate::model::{Application, FederatedCredential, Tenant};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get("/applications", permissions::APPLICATIONS, 2, list),
    get("/applications/{id}", permissions::APPLICATIONS, 1, single),
    get(
        "/applications/{id}/owners",
        permissions::APPLICATIONS,
        1,
        owners,
    ),
];

impl Entity for Application {
    const NAME: &'static str = "application";
    const PROPERTIES: &'static [Property<Self>] = PROPERTIES;
    fn odata_type(&self) -> &'static str {
        if self.is_agent_blueprint {
            "#microsoft.graph.agentIdentityBlueprint"
        } else {
            "#microsoft.graph.application"
        }
    }
    fn is_derived(&self) -> bool {
        self.is_agent_blueprint
    }
}

const PROPERTIES: &[Property<Application>] = &[
    shown("id", |application| id(application.id)),
    shown("deletedDateTime", |_| Value::Null),
    shown("appId", |application| id(application.app_id)),
    shown("appRoles", |application| app_roles(&application.app_roles)),
    shown("createdByAppId", |_| Value::Null),
    shown("createdDateTime", |application| time(application.created)),
    shown("description", |application| {
        text(application.description.as_ref())
    }),
    shown("disabledByMicrosoftStatus", |_| Value::Null),
    shown("displayName", |application| json!(application.display_name)),
    shown("groupMembershipClaims", |_| Value::Null),
    shown("identifierUris", |application| {
        json!(application.identifier_uris)
    }),
    shown("isDisabled", |_| Value::Null),
    shown("isFallbackPublicClient", |_| json!(false)),
    shown("keyCredentials", |application| {
        certificates(&application.key_credentials)
    }),
    shown("notes", |_| Value::Null),
    shown("passwordCredentials", |application| {
        secrets(&application.password_credentials)
    }),
    shown("publicClient", |_| json!({"redirectUris": []})),
    shown("publisherDomain", |application| {
        json!(application.publisher_domain)
    }),
    shown("requiredResourceAccess", |application| {
        requested_access(&application.required_resource_access)
    }),
    shown("serviceManagementReference", |application| {
        text(application.service_management_reference.as_ref())
    }),
    shown("signInAudience", |application| {
        json!(application.sign_in_audience)
    }),
    shown("spa", |_| json!({"redirectUris": []})),
    shown("tags", |application| json!(application.tags)),
    shown(
        "verifiedPublisher",
        |_| json!({"displayName": null, "verifiedPublisherId": null, "addedDateTime": null}),
    ),
    shown(
        "web",
        |application| json!({"homePageUrl": null, "logoutUrl": null, "redirectUris": application.redirect_uris}),
    ),
];

/// What a request expands.
enum Expansion<'a> {
    Owners(ObjectView<'a>),
    Credentials(Selection<FederatedCredential>),
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
            ("federatedIdentityCredentials", true) => {
                select(expand.select.as_deref(), call.version, call.grants)
                    .map(|selection| Some(Self::Credentials(selection)))
            }
            (other, _) => Err(GraphError::bad_request(format!(
                "Parsing OData Select and Expand failed: '{other}' cannot be expanded on type 'microsoft.graph.application'."
            ))),
        }
    }

    fn add(&self, tenant: &Tenant, application: Uuid, object: &mut serde_json::Map<String, Value>) {
        match self {
            Self::Owners(view) => {
                let owners = tenant.application_owners.of(application);
                object.insert("owners".to_owned(), expanded(view, owners));
            }
            Self::Credentials(selection) => {
                let trusted = tenant.app_access.credentials_of(application, None);
                let shown = trusted
                    .take(EXPAND_LIMIT)
                    .map(|credential| Value::Object(render(credential, selection)));
                let name = "federatedIdentityCredentials".to_owned();
                object.insert(name, shown.collect());
            }
        }
    }
}

fn object(
    call: &Call<'_>,
    application: &Application,
    selection: &[&'static Property<Application>],
    expansion: Option<&Expansion<'_>>,
) -> serde_json::Map<String, Value> {
    let mut object = render(application, selection);
    if let Some(expansion) = expansion {
        expansion.add(call.tenant, application.id, &mut object);
    }
    object
}

fn list(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection =
        select::<Application>(call.query.select().as_deref(), call.version, call.grants)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let filter =
        Filter::<Application>::parse(call.query.get("$filter"), call.version, call.is_eventual)?;
    let expansion = Expansion::of(call)?;
    let applications = behind(&call.tenant.applications, paging.after_id()?)
        .filter(|application| filter.matches(application));
    let page = paging.page(
        call,
        "applications",
        applications,
        |application| application.id.to_string(),
        |application| Value::Object(object(call, application, &selection, expansion.as_ref())),
    );
    Ok(Body::Json(page))
}

fn find<'a>(call: &Call<'a>) -> Result<&'a Application, GraphError> {
    let tenant = call.tenant;
    tenant
        .applications
        .get(&call.id(0)?)
        .ok_or_else(|| GraphError::not_found(call.parameters[0]))
}

fn single(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection =
        select::<Application>(call.query.select().as_deref(), call.version, call.grants)?;
    let expansion = Expansion::of(call)?;
    let mut object = object(call, find(call)?, &selection, expansion.as_ref());
    object.insert(
        "@odata.context".to_owned(),
        call.context("applications/$entity").into(),
    );
    Ok(Body::Json(Value::Object(object)))
}

fn owners(call: &Call<'_>) -> Result<Body, GraphError> {
    let application = find(call)?;
    link_page(call, &call.tenant.application_owners, application.id, false)
}
