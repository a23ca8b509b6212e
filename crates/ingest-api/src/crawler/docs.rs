//! What the routes about crawlers do.

use contract::{
    Permission,
    crawler::{
        Crawler, CrawlerPage, CrawlerVersionPage, CreateCrawler, ExportedCrawler, ImportCrawler,
        PatchCrawler, ReplaceCrawler,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::routes::{ListQuery, VersionsQuery};
use crate::openapi::{Operation, Tag};

const STALE: &str =
    "It is not at the version that was given, or the server has no key for secrets.";

fn operation(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Crawlers, id, summary).needs(&[Permission::Admin])
}

fn of_one(id: &str, summary: &str) -> Operation {
    operation(id, summary).path::<Uuid>("crawlerId", "The crawler.")
}

fn if_match(operation: Operation) -> Operation {
    operation
        .header(
            "If-Match",
            "The version that was looked at, as `ETag` told it.",
            &json!({"type": "string", "pattern": "^\"[0-9]{1,9}\"$"}),
        )
        .may_refuse(400)
        .may_refuse(412)
}

fn settings() -> Value {
    json!({"graph": {"tenantId": "contoso.onmicrosoft.com", "clientId": "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142"},
        "sync": {"pim": true}, "fullReadEvery": "7d"})
}

pub fn list() -> Operation {
    operation("listCrawlers", "The crawlers of the workspace")
        .says("A key that is limited to systems sees the crawlers that fill them.")
        .query::<ListQuery>()
        .answers::<CrawlerPage>(200, "A page of crawlers, without their secrets.")
}

pub fn create() -> Operation {
    operation("createCrawler", "Configure a crawler")
        .says("An enabled crawler needs everything that its way of signing in needs. Secrets are sealed at once and never shown; \
            `file:/path` and `env:NAME` in place of a secret say where the worker finds it.")
        .takes::<CreateCrawler>(json!({"name": "Contoso", "settings": settings(),
            "secrets": {"clientSecret": "env:CADASTRE_SECRET_CONTOSO"}}))
        .answers::<Crawler>(201, "The crawler; `ETag` is its version.")
        .leads_to("getCrawler", &json!({"crawlerId": "$response.body#/crawlerId"}))
        .leads_to("deleteCrawler", &json!({"crawlerId": "$response.body#/crawlerId"}))
        .refuses(409, "The server has no key for secrets.")
}

pub fn import() -> Operation {
    operation("importCrawler", "Configure a crawler from an export")
        .says("It is enabled when nothing is missing, secrets included.")
        .takes::<ImportCrawler>(json!({"crawler": {"form": "cadastre-crawler-1", "kind": "entra", "name": "Contoso",
            "settings": settings(), "references": {"clientSecret": "env:CADASTRE_SECRET_CONTOSO"}}}))
        .answers::<Crawler>(201, "The crawler.")
        .refuses(409, "The server has no key for secrets.")
}

pub fn show() -> Operation {
    of_one("getCrawler", "A crawler")
        .says("Of a secret it tells that it is set, when, and a fingerprint that changes when the secret does.")
        .answers::<Crawler>(200, "The crawler; `ETag` is its version.")
}

pub fn replace() -> Operation {
    if_match(of_one("replaceCrawler", "Replace a crawler's configuration"))
        .says("Secrets that are not named stay, those that are null are cleared. When the addresses that the crawler calls \
            change, stored secrets have to be given again. What changes nothing makes no version.")
        .takes::<ReplaceCrawler>(json!({"version": 1, "name": "Contoso", "settings": settings()}))
        .answers::<Crawler>(200, "The crawler at its new version.")
        .refuses(409, STALE)
}

pub fn patch() -> Operation {
    if_match(of_one("patchCrawler", "Change a crawler's configuration"))
        .says("What is absent stays. `settings` is a merge patch (RFC 7396); the identity filter is replaced as a whole.")
        .takes::<PatchCrawler>(json!({"version": 1, "settings": {"mode": "full"}, "secrets": {"clientSecret": null},
            "enabled": false}))
        .answers::<Crawler>(200, "The crawler at its new version.")
        .refuses(409, STALE)
}

pub fn delete() -> Operation {
    if_match(of_one("deleteCrawler", "Remove a crawler"))
        .says("Its secrets are removed for good. What it has read stays in the register.")
        .answers_nothing(204, "There is no such crawler any more.")
}

pub fn versions() -> Operation {
    of_one("listCrawlerVersions", "What a crawler's configuration was")
        .query::<VersionsQuery>()
        .answers::<CrawlerVersionPage>(200, "Its versions, newest first.")
}

pub fn export() -> Operation {
    of_one(
        "exportCrawler",
        "A crawler's configuration to take elsewhere",
    )
    .says("Without secrets; it names those that have to be given at the import.")
    .answers::<ExportedCrawler>(200, "The configuration.")
}
