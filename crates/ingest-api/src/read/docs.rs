//! What the routes for reading do.

use contract::{Permission, SystemId};
use serde_json::json;
use uuid::Uuid;
use views::{
    Explanation, FoundPrincipal, FoundResource, Holder, Holding, Page, PrivilegedPrincipal, Totals,
};

use super::{ExplainQuery, Find, Items, Limit, PageQuery, totals::TotalsQuery};
use crate::{
    openapi::{Operation, Tag},
    system::SystemInfo,
};

/// Where the first thing that was found is in an answer.
const FIRST: &str = "$response.body#/items/0/id";
const FIRST_SYSTEM: &str = "$response.body#/items/0/systemId";

fn read(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Access, id, summary).needs(&[Permission::Read])
}

/// An answer that spans systems is refused to keys that are limited to some.
fn whole_workspace(id: &str, summary: &str) -> Operation {
    read(id, summary).refuses(
        403,
        "The key lacks the permission, or is limited to some systems.",
    )
}

pub fn systems() -> Operation {
    read("listSystems", "The connected sources")
        .answers::<Items<SystemInfo>>(200, "The systems that the key may see.")
        .leads_to("listResourceHolders", &json!({"systemId": FIRST_SYSTEM}))
        .leads_to("listPrincipalHoldings", &json!({"systemId": FIRST_SYSTEM}))
        .leads_to("listStalePrincipals", &json!({"systemId": FIRST_SYSTEM}))
        .leads_to("getMatrix", &json!({"systemId": FIRST_SYSTEM}))
}

pub fn totals() -> Operation {
    whole_workspace("getTotals", "How much there is")
        .says("Large tables are not counted unless asked for: `estimated` names the numbers that come from PostgreSQL's statistics, all others are counted.")
        .query::<TotalsQuery>()
        .answers::<Totals>(200, "Live rows of every table.")
}

pub fn find_principals() -> Operation {
    read(
        "findPrincipals",
        "Principals by name, sign-in name, mail address or id",
    )
    .query::<Find>()
    .answers::<Items<FoundPrincipal>>(200, "The best matches first.")
    .leads_to(
        "listPrincipalHoldings",
        &json!({"systemId": FIRST_SYSTEM, "principalId": FIRST}),
    )
    .leads_to(
        "listEffectiveAccessOfPrincipal",
        &json!({"systemId": FIRST_SYSTEM, "principalId": FIRST}),
    )
    .leads_to(
        "explainAccess",
        &json!({"systemId": FIRST_SYSTEM, "principalId": FIRST}),
    )
}

pub fn find_resources() -> Operation {
    read("findResources", "Resources by name or id")
        .query::<Find>()
        .answers::<Items<FoundResource>>(200, "The best matches first.")
        .leads_to(
            "listResourceHolders",
            &json!({"systemId": FIRST_SYSTEM, "resourceId": FIRST}),
        )
        .leads_to(
            "listEffectiveAccessOfResource",
            &json!({"systemId": FIRST_SYSTEM, "resourceId": FIRST}),
        )
}

pub fn resource_holders() -> Operation {
    read(
        "listResourceHolders",
        "Who has access to a resource, in effect",
    )
    .says("Through nested groups and access packages too, each way with what it goes through. From the live tables: a refresh is not needed. Empty for a resource that is not known.")
    .path::<SystemId>("systemId", "The system.")
    .path::<Uuid>("resourceId", "The resource.")
    .query::<PageQuery>()
    .answers::<Page<Holder>>(200, "A page, in the order of the principals' ids.")
}

pub fn principal_holdings() -> Operation {
    read(
        "listPrincipalHoldings",
        "What a principal has access to, in effect",
    )
    .says("Through nested groups and access packages too, each way with what it goes through. From the live tables: a refresh is not needed. Empty for a principal that is not known.")
    .path::<SystemId>("systemId", "The system.")
    .path::<Uuid>("principalId", "The principal.")
    .query::<PageQuery>()
    .answers::<Page<Holding>>(200, "A page, in the order of the resources' ids.")
}

pub fn explain() -> Operation {
    read(
        "explainAccess",
        "Why a principal has access to a resource: every path",
    )
    .says("From the live tables: a refresh is not needed.")
    .query::<ExplainQuery>()
    .answers::<Explanation>(
        200,
        "The paths, shortest first; none where there is no access.",
    )
    .refuses(404, "There is no such system for this key.")
}

pub fn privileged() -> Operation {
    whole_workspace(
        "listPrivileged",
        "The principals with the weightiest directory roles",
    )
    .query::<Limit>()
    .answers::<Items<PrivilegedPrincipal>>(200, "By score.")
}
