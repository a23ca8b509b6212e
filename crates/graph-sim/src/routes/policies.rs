//! Conditional access: policies and named locations.

use serde_json::{Value, json};

use super::paging::{LARGEST_PAGE, Paging, behind};
use super::wire::{maybe_time, time};
use super::{Call, Route, get};
use crate::model::{ConditionalAccessPolicy, NamedLocation, Place};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/identity/conditionalAccess/policies",
        permissions::CONDITIONAL_ACCESS,
        1,
        policies,
    ),
    get(
        "/identity/conditionalAccess/namedLocations",
        permissions::CONDITIONAL_ACCESS,
        1,
        locations,
    ),
];

/// What is asked of these lists: the whole objects, in pages of the service's own size, or no more than the ids.
fn check(call: &Call<'_>) -> Result<(), GraphError> {
    if !call.p1_licensed {
        return Err(GraphError::new(
            403,
            "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
            "Neither tenant is B2C or tenant doesn't have premium license",
        ));
    }
    match call.query.get("$select") {
        None | Some("id") => Ok(()),
        Some(_) => Err(GraphError::unsupported("$select is not simulated here.")),
    }
}

fn policies(call: &Call<'_>) -> Result<Body, GraphError> {
    check(call)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    Ok(Body::Json(paging.page(
        call,
        "identity/conditionalAccess/policies",
        behind(&call.tenant.conditional_access_policies, paging.after_id()?),
        |policy| policy.id.to_string(),
        |policy| match call.query.get("$select") {
            Some(_) => json!({"id": policy.id}),
            None => policy_value(policy),
        },
    )))
}

fn policy_value(policy: &ConditionalAccessPolicy) -> Value {
    let include_users = if policy.include_groups.is_empty() {
        json!(["All"])
    } else {
        json!([])
    };
    let locations = (!policy.exclude_locations.is_empty()).then(
        || json!({"includeLocations": ["All"], "excludeLocations": policy.exclude_locations}),
    );
    json!({
        "id": policy.id,
        "templateId": null,
        "displayName": policy.display_name,
        "createdDateTime": time(policy.created),
        "modifiedDateTime": maybe_time(policy.modified),
        "state": policy.state,
        "sessionControls": null,
        "conditions": {
            "userRiskLevels": [],
            "signInRiskLevels": [],
            "clientAppTypes": ["all"],
            "platforms": null,
            "locations": locations,
            "applications": {"includeApplications": ["All"], "excludeApplications": []},
            "users": {
                "includeUsers": include_users,
                "excludeUsers": policy.exclude_users,
                "includeGroups": policy.include_groups,
                "excludeGroups": [],
                "includeRoles": [],
                "excludeRoles": [],
            },
        },
        "grantControls": {
            "operator": "OR",
            "builtInControls": policy.controls,
            "customAuthenticationFactors": [],
            "termsOfUse": [],
        },
    })
}

fn locations(call: &Call<'_>) -> Result<Body, GraphError> {
    check(call)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    Ok(Body::Json(paging.page(
        call,
        "identity/conditionalAccess/namedLocations",
        behind(&call.tenant.named_locations, paging.after_id()?),
        |location| location.id.to_string(),
        |location| match call.query.get("$select") {
            Some(_) => json!({"id": location.id}),
            None => location_value(location),
        },
    )))
}

fn location_value(location: &NamedLocation) -> Value {
    let mut value = json!({
        "id": location.id,
        "displayName": location.display_name,
        "createdDateTime": time(location.created),
        "modifiedDateTime": time(location.created),
    });
    match &location.place {
        Place::Addresses { ranges, is_trusted } => {
            value["@odata.type"] = json!("#microsoft.graph.ipNamedLocation");
            value["isTrusted"] = json!(is_trusted);
            value["ipRanges"] = ranges.iter().map(|range| address_range(range)).collect();
        }
        Place::Countries { countries } => {
            value["@odata.type"] = json!("#microsoft.graph.countryNamedLocation");
            value["countriesAndRegions"] = json!(countries);
            value["includeUnknownCountriesAndRegions"] = json!(false);
            value["countryLookupMethod"] = json!("clientIpAddress");
        }
    }
    value
}

fn address_range(range: &str) -> Value {
    let kind = if range.contains(':') { "iPv6" } else { "iPv4" };
    json!({"@odata.type": format!("#microsoft.graph.{kind}CidrRange"), "cidrAddress": range})
}
