//! `/organization` and `/subscribedSkus`.

use serde_json::{Value, json};

use super::property::{Entity, Property, render, select, shown};
use super::wire::{id, time};
use super::{Call, Route, get};
use crate::generate::{SKU_E3, SKU_E5};
use crate::model::Tenant;
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get("/organization", permissions::ORGANIZATION, 1, organization),
    get("/subscribedSkus", permissions::LICENSES, 3, subscribed_skus),
    get("/domains", permissions::DOMAINS, 1, domains),
];

const AAD_PREMIUM: &str = "41781fb2-bc02-4b7c-bd55-b576c07bb09d";
const AAD_PREMIUM_P2: &str = "eec0eb4f-6444-4f95-aba0-50c24d67f998";

impl Entity for Tenant {
    const NAME: &'static str = "organization";
    const PROPERTIES: &'static [Property<Self>] = PROPERTIES;
    fn odata_type(&self) -> &'static str {
        "#microsoft.graph.organization"
    }
}

const PROPERTIES: &[Property<Tenant>] = &[
    shown("id", |tenant| id(tenant.tenant_id)),
    shown("deletedDateTime", |_| Value::Null),
    shown("displayName", |tenant| json!(tenant.display_name)),
    shown("tenantType", |_| json!("AAD")),
    shown("createdDateTime", |tenant| time(tenant.created)),
    shown("countryLetterCode", |_| json!("NL")),
    shown("preferredLanguage", |_| json!("en")),
    shown("defaultUsageLocation", |_| json!("NL")),
    shown("onPremisesSyncEnabled", |_| json!(true)),
    shown("technicalNotificationMails", |tenant| {
        json!([format!("entra@{}", tenant.default_domain)])
    }),
    shown("verifiedDomains", |tenant| {
        json!([
            {"capabilities": "Email", "isDefault": true, "isInitial": false, "name": tenant.default_domain, "type": "Managed"},
            {"capabilities": "Email", "isDefault": false, "isInitial": true, "name": tenant.initial_domain, "type": "Managed"},
        ])
    }),
    shown("assignedPlans", |_| json!([])),
];

fn organization(call: &Call<'_>) -> Result<Body, GraphError> {
    let selection = select::<Tenant>(call.query.select().as_deref(), call.version, call.grants)?;
    Ok(Body::Json(json!({
        "@odata.context": call.context("organization"),
        "value": [render(call.tenant, &selection)],
    })))
}

fn subscribed_skus(call: &Call<'_>) -> Result<Body, GraphError> {
    if call.query.get("$expand").is_some() {
        return Err(GraphError::bad_request(
            "Parsing OData Select and Expand failed: type 'microsoft.graph.subscribedSku' has nothing to expand.",
        ));
    }
    let mut plans = Vec::new();
    if call.p1_licensed {
        plans.push(plan(AAD_PREMIUM, "AAD_PREMIUM"));
    }
    if call.p2_licensed {
        plans.push(plan(AAD_PREMIUM_P2, "AAD_PREMIUM_P2"));
    }
    let tenant_id = call.tenant.tenant_id;
    let skus: Vec<Value> = [(SKU_E5, "SPE_E5", plans), (SKU_E3, "SPE_E3", Vec::new())]
        .into_iter()
        .map(|(sku_id, part, plans)| {
            let used = call
                .tenant
                .users
                .values()
                .filter(|user| user.licenses.iter().any(|license| license.sku_id == sku_id))
                .count();
            json!({
                "id": format!("{tenant_id}_{sku_id}"),
                "accountId": tenant_id,
                "accountName": "meridiaan",
                "appliesTo": "User",
                "capabilityStatus": "Enabled",
                "consumedUnits": used,
                "skuId": sku_id,
                "skuPartNumber": part,
                "subscriptionIds": [],
                "prepaidUnits": {"enabled": 250_000, "suspended": 0, "warning": 0, "lockedOut": 0},
                "servicePlans": plans,
            })
        })
        .collect();
    Ok(Body::Json(
        json!({"@odata.context": call.context("subscribedSkus"), "value": skus}),
    ))
}

fn plan(id: &str, name: &str) -> Value {
    json!({"servicePlanId": id, "servicePlanName": name, "provisioningStatus": "Success", "appliesTo": "User"})
}

fn domains(call: &Call<'_>) -> Result<Body, GraphError> {
    if call.query.get("$expand").is_some() {
        return Err(GraphError::unsupported("There is nothing to expand."));
    }
    let all: Vec<Value> = call
        .tenant
        .domains
        .iter()
        .map(|domain| {
            json!({
                "id": domain.name,
                "authenticationType": domain.authentication_type,
                "isAdminManaged": true,
                "isDefault": domain.is_default,
                "isInitial": domain.is_initial,
                "isRoot": true,
                "isVerified": domain.is_verified,
                "supportedServices": ["Email"],
            })
        })
        .collect();
    Ok(Body::Json(
        json!({"@odata.context": call.context("domains"), "value": all}),
    ))
}
