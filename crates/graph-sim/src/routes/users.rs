//! `/users`.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::objects::ObjectView;
use super::paging::{LARGEST_PAGE, Paging, behind};
use super::property::{Entity, Filter, Property, on_request, render, select, shown};
use super::wire::{
    id, license_states, licenses, maybe_time, on_premises, security_identifier, text, time,
};
use super::{Call, Route, get};
use crate::generate::INITIAL_DOMAIN;
use crate::model::{Link, MemberKind, User};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get("/users", permissions::USERS, 2, list),
    get("/users/$count", permissions::USERS, 2, count),
    get("/users/{id}", permissions::USERS, 1, single),
    get("/users/{id}/manager", permissions::USERS, 1, manager),
];

/// Pages with sign-in activity are shorter.
const LARGEST_ACTIVITY_PAGE: usize = 500;
/// In some tenants they are shorter still.
const SHORT_ACTIVITY_PAGE: usize = 120;

impl Entity for User {
    const NAME: &'static str = "user";
    const PROPERTIES: &'static [Property<Self>] = PROPERTIES;
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.user"
    }
}

const PROPERTIES: &[Property<User>] = &[
    shown("businessPhones", |user| json!(user.business_phones)),
    shown("displayName", |user| json!(user.display_name)),
    shown("givenName", |user| text(user.given_name.as_ref())),
    shown("jobTitle", |user| text(user.job_title.as_ref())),
    shown("mail", |user| text(user.mail.as_ref())),
    shown("mobilePhone", |user| text(user.mobile_phone.as_ref())),
    shown("officeLocation", |user| text(user.office_location.as_ref())),
    shown("preferredLanguage", |user| {
        text(user.preferred_language.as_ref())
    }),
    shown("surname", |user| text(user.surname.as_ref())),
    shown("userPrincipalName", |user| json!(user.user_principal_name)),
    shown("id", |user| id(user.id)),
    on_request("deletedDateTime", |_| Value::Null),
    on_request("accountEnabled", |user| json!(user.account_enabled)),
    on_request("mailNickname", |user| text(user.mail_nickname.as_ref())),
    on_request("otherMails", |user| json!(user.other_mails)),
    on_request("proxyAddresses", |user| json!(user.proxy_addresses)),
    on_request("userType", |user| json!(user.user_type.as_str())),
    on_request("createdDateTime", |user| time(user.created)),
    on_request("creationType", |user| text(user.creation_type.as_ref())),
    on_request("externalUserState", |user| {
        text(user.external_user_state.as_ref())
    }),
    on_request("externalUserStateChangeDateTime", |user| {
        maybe_time(user.external_user_state_changed)
    }),
    on_request("employeeId", |user| text(user.employee_id.as_ref())),
    on_request("employeeType", |user| text(user.employee_type.as_ref())),
    on_request("employeeHireDate", |user| {
        maybe_time(user.employee_hire_date)
    }),
    on_request("employeeLeaveDateTime", |user: &User| {
        maybe_time(user.employee_leave_date)
    })
    .needs(permissions::LEAVE_DATE),
    on_request("employeeOrgData", organization_data),
    on_request("department", |user| text(user.department.as_ref())),
    on_request("companyName", |user| text(user.company_name.as_ref())),
    on_request("city", |user| text(user.city.as_ref())),
    on_request("country", |user| text(user.country.as_ref())),
    on_request("state", |_| Value::Null),
    on_request("streetAddress", |_| Value::Null),
    on_request("postalCode", |_| Value::Null),
    on_request("faxNumber", |_| Value::Null),
    on_request("ageGroup", |_| Value::Null),
    on_request("usageLocation", |user| text(user.usage_location.as_ref())),
    on_request("identities", identities),
    on_request("onPremisesSyncEnabled", |user| {
        json!(user.on_premises.as_ref().map(|_| true))
    }),
    on_request("onPremisesImmutableId", |user| {
        on_premises(user.on_premises.as_ref(), |source| {
            source.immutable_id.clone()
        })
    }),
    on_request("onPremisesSamAccountName", |user| {
        on_premises(user.on_premises.as_ref(), |source| {
            Some(source.sam_account_name.clone())
        })
    }),
    on_request("onPremisesUserPrincipalName", |user| {
        on_premises(user.on_premises.as_ref(), |source| {
            source.user_principal_name.clone()
        })
    }),
    on_request("onPremisesDistinguishedName", |user| {
        on_premises(user.on_premises.as_ref(), |source| {
            source.distinguished_name.clone()
        })
    }),
    on_request("onPremisesDomainName", |user| {
        on_premises(user.on_premises.as_ref(), |source| {
            Some(source.domain_name.clone())
        })
    }),
    on_request("onPremisesSecurityIdentifier", |user| {
        on_premises(user.on_premises.as_ref(), |source| {
            Some(source.security_identifier.clone())
        })
    }),
    on_request("onPremisesLastSyncDateTime", |user| {
        on_premises(user.on_premises.as_ref(), |source| {
            Some(time(source.last_sync))
        })
    }),
    on_request("onPremisesExtensionAttributes", extension_attributes),
    on_request("onPremisesProvisioningErrors", |_| json!([])),
    on_request(
        "extension_9f8e7d6c5b4a39281706f5e4d3c2b1a0_badgeNumber",
        |user| text(user.badge_number.as_ref()),
    ),
    on_request("assignedLicenses", |user| licenses(&user.licenses)),
    on_request("licenseAssignmentStates", |user| {
        license_states(&user.licenses)
    }),
    on_request("assignedPlans", |_| json!([])),
    on_request("lastPasswordChangeDateTime", |user| {
        maybe_time(user.last_password_change)
    }),
    on_request("passwordPolicies", |user| {
        text(user.password_policies.as_ref())
    }),
    on_request("signInSessionsValidFromDateTime", |user| {
        maybe_time(user.sign_in_sessions_valid_from)
    }),
    on_request("securityIdentifier", |user| security_identifier(user.id)),
    on_request("isResourceAccount", |user| json!(user.is_resource_account)),
    on_request("isManagementRestricted", |user| {
        json!(user.is_management_restricted)
    }),
    on_request("identityParentId", |_| Value::Null),
    on_request("signInActivity", sign_in_activity).needs_report(permissions::SIGN_IN_ACTIVITY),
    on_request("customSecurityAttributes", security_attributes)
        .needs(permissions::SECURITY_ATTRIBUTES),
];

/// Set by set, with the type annotations of an open type.
fn security_attributes(user: &User) -> Value {
    if user.security_attributes.is_empty() {
        return Value::Null;
    }
    let mut sets = Map::new();
    for (set, values) in &user.security_attributes {
        let mut shown = Map::new();
        let kind = "#microsoft.graph.customSecurityAttributeValue";
        shown.insert("@odata.type".to_owned(), kind.into());
        for (name, value) in values {
            let kind = match value {
                Value::Array(_) => Some("#Collection(String)"),
                Value::Number(_) => Some("#Int32"),
                _ => None,
            };
            if let Some(kind) = kind {
                shown.insert(format!("{name}@odata.type"), kind.into());
            }
            shown.insert(name.clone(), value.clone());
        }
        sets.insert(set.clone(), Value::Object(shown));
    }
    Value::Object(sets)
}

fn organization_data(user: &User) -> Value {
    if user.division.is_none() && user.cost_center.is_none() {
        return Value::Null;
    }
    json!({"division": user.division, "costCenter": user.cost_center})
}

fn identities(user: &User) -> Value {
    let own = json!({
        "signInType": "userPrincipalName",
        "issuer": INITIAL_DOMAIN,
        "issuerAssignedId": user.user_principal_name,
    });
    if user.is_guest() {
        return json!([{"signInType": "federated", "issuer": "ExternalAzureAD", "issuerAssignedId": null}, own]);
    }
    json!([own])
}

fn extension_attributes(user: &User) -> Value {
    let attributes: Map<String, Value> = (1..=15)
        .map(|number| {
            (
                format!("extensionAttribute{number}"),
                text(user.extension_attributes.get(&number)),
            )
        })
        .collect();
    Value::Object(attributes)
}

fn sign_in_activity(user: &User) -> Value {
    user.sign_in.map_or(Value::Null, |activity| {
        json!({
            "lastSignInDateTime": maybe_time(activity.last_sign_in),
            "lastNonInteractiveSignInDateTime": maybe_time(activity.last_non_interactive_sign_in),
            "lastSuccessfulSignInDateTime": maybe_time(activity.last_successful_sign_in),
        })
    })
}

/// `$expand=manager`, the only one users have.
fn manager_view<'a>(call: &'a Call<'a>) -> Result<Option<ObjectView<'a>>, GraphError> {
    let mut expands = call.query.expands()?;
    let Some(expand) = expands.pop() else {
        return Ok(None);
    };
    if expand.name != "manager" || !expands.is_empty() {
        let message = format!(
            "Parsing OData Select and Expand failed: '{}' cannot be expanded on type 'microsoft.graph.user'.",
            expand.name
        );
        return Err(GraphError::bad_request(message));
    }
    ObjectView::new(call, expand.select).map(Some)
}

fn with_manager(mut map: Map<String, Value>, user: &User, view: Option<&ObjectView<'_>>) -> Value {
    if let (Some(view), Some(id)) = (view, user.manager_id) {
        map.insert(
            "manager".to_owned(),
            view.link(Link {
                id,
                kind: MemberKind::User,
            }),
        );
    }
    Value::Object(map)
}

fn list(call: &Call<'_>) -> Result<Body, GraphError> {
    let names = call.query.select();
    let wants_activity = call.query.selects("signInActivity");
    if wants_activity && !call.p1_licensed {
        return Err(GraphError::new(
            403,
            "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
            "Neither tenant is B2C or tenant doesn't have premium license",
        ));
    }
    let selection = select::<User>(names.as_deref(), call.version, call.grants)?;
    let largest = if wants_activity {
        LARGEST_ACTIVITY_PAGE
    } else {
        LARGEST_PAGE
    };
    if wants_activity && call.short_activity_pages && call.query.top()? > Some(SHORT_ACTIVITY_PAGE)
    {
        return Err(GraphError::odd(
            "Cannot query data for more than 120 users at a time.",
        ));
    }
    let paging = Paging::of(call, largest)?;
    let filter = Filter::<User>::parse(call.query.get("$filter"), call.version, call.is_eventual)?;
    let view = manager_view(call)?;
    let users = behind(&call.tenant.users, paging.after_id()?).filter(|user| filter.matches(user));
    let mut page = paging.page(
        call,
        "users",
        users,
        |user| user.id.to_string(),
        |user| {
            let mut map = render(*user, &selection);
            // Sign-in activity always brings the id along.
            map.entry("id").or_insert_with(|| id(user.id));
            with_manager(map, user, view.as_ref())
        },
    );
    if call.query.wants_count() && call.is_eventual && paging.after().is_none() {
        let count = call
            .tenant
            .users
            .values()
            .filter(|user| filter.matches(user))
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
    let filter = Filter::<User>::parse(call.query.get("$filter"), call.version, true)?;
    let count = call
        .tenant
        .users
        .values()
        .filter(|user| filter.matches(user))
        .count();
    Ok(Body::Text(count.to_string()))
}

/// Users are also found by their sign-in name.
fn find<'a>(call: &Call<'a>) -> Result<&'a User, GraphError> {
    let key = call.parameters[0];
    let tenant = call.tenant;
    let user = match Uuid::parse_str(key) {
        Ok(id) => tenant.users.get(&id),
        Err(_) => tenant
            .users
            .values()
            .find(|user| user.user_principal_name.eq_ignore_ascii_case(key)),
    };
    user.ok_or_else(|| GraphError::not_found(key))
}

fn single(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection = select::<User>(call.query.select().as_deref(), call.version, call.grants)?;
    let view = manager_view(call)?;
    let user = find(call)?;
    let mut map = render(user, &selection);
    map.insert(
        "@odata.context".to_owned(),
        call.context("users/$entity").into(),
    );
    Ok(Body::Json(with_manager(map, user, view.as_ref())))
}

fn manager(call: &Call<'_>) -> Result<Body, GraphError> {
    let view = ObjectView::new(call, call.query.select())?;
    let manager = find(call)?.manager_id;
    manager
        .map(|id| {
            Body::Json(view.link(Link {
                id,
                kind: MemberKind::User,
            }))
        })
        .ok_or_else(|| GraphError::not_found("manager"))
}
