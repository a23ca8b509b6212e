//! The tenant itself: its id and name become the system that everything else belongs to.

use contract::records::{ExtendedAttributes, System};
use serde::Deserialize as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    CrawlConfig,
    graph::{Graph, GraphError, Meter, Page, SubRequest, Version},
    mapping::Object,
};

/// The permission that lets an application read it.
pub(crate) const PERMISSION: &str = "Organization.Read.All";

/// The tenant's id and its system record.
pub(crate) async fn organization(
    graph: &Graph,
    config: &CrawlConfig,
    meter: &Meter,
) -> Result<(Uuid, System), GraphError> {
    let page = graph.get(
        Version::V1,
        "organization?$select=id,displayName,verifiedDomains,tenantType,countryLetterCode",
        meter,
    );
    let (page, (domains, skus)) = tokio::join!(page, around(graph, meter));
    let page: Page = page?;
    let tenant = page.value.into_iter().find_map(Object::read);
    let (id, mut tenant) = tenant.ok_or(GraphError::LimitedObjects)?;
    for (name, values) in [("domains", domains), ("subscribedSkus", skus)] {
        if let Some(values) = values {
            tenant.add(name, values);
        }
    }
    Ok((id, system(id, tenant, config)))
}

/// What is kept of a domain.
const DOMAIN_FIELDS: &[&str] = &[
    "id",
    "authenticationType",
    "isDefault",
    "isInitial",
    "isVerified",
];
/// What is kept of a subscription. How much of it is in use changes every day.
const SKU_FIELDS: &[&str] = &[
    "skuId",
    "skuPartNumber",
    "capabilityStatus",
    "prepaidUnits",
    "servicePlans",
];

/// Domains and subscriptions: short lists that say more about the tenant. What may not be read is left out, and stays as it
/// was: nothing depends on it.
async fn around(graph: &Graph, meter: &Meter) -> (Option<Value>, Option<Value>) {
    let requests = ["/domains", "/subscribedSkus"].map(|list| SubRequest {
        url: list.to_owned(),
        estimate: 1.0,
    });
    let answers = graph.batch(Version::V1, &requests, meter).await;
    let mut answers = answers.unwrap_or_default().into_iter();
    let mut next = |fields| kept(answers.next()?.ok()?, fields);
    (next(DOMAIN_FIELDS), next(SKU_FIELDS))
}

/// These fields of a list of one page, in an order of its own.
fn kept(page: Value, fields: &[&str]) -> Option<Value> {
    let page = Page::deserialize(page).ok()?;
    if page.next_link.is_some() {
        return None;
    }
    let keep = |value: Value| match value {
        Value::Object(mut object) => {
            object.retain(|name, _| fields.contains(&name.as_str()));
            Value::Object(object)
        }
        other => other,
    };
    let mut kept: Vec<Value> = page.value.into_iter().map(keep).collect();
    kept.sort_by_cached_key(Value::to_string);
    Some(Value::Array(kept))
}

/// The system of a tenant whose name may not be read.
pub(crate) fn unnamed_system(id: Uuid, config: &CrawlConfig) -> System {
    let tenant = Object::without_id(json!({ "displayName": id.to_string() }));
    match tenant {
        Some(tenant) => system(id, tenant, config),
        None => System::default(),
    }
}

fn system(id: Uuid, mut tenant: Object, config: &CrawlConfig) -> System {
    let display_name = tenant.text("displayName").unwrap_or_else(|| id.to_string());
    // The register gives attributes that are named here columns of their own.
    for (key, names) in [
        ("customUserAttributes", &config.custom_user_attributes),
        ("customGroupAttributes", &config.custom_group_attributes),
    ] {
        tenant.add(key, Value::from(names.clone()));
    }
    let extended_attributes: Option<ExtendedAttributes> = tenant.rest();
    System {
        system_type: "EntraID".to_owned(),
        tenant_id: Some(id.to_string()),
        display_name,
        description: None,
        enabled: Some(true),
        extended_attributes,
    }
}
