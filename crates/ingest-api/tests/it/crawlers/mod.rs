//! Crawlers: their configuration over HTTP, and their secrets, which come back to nobody but the holder of a lease.

mod configuration;
mod keys;
mod model;
mod secrets;

use contract::crawler::{LeasedCrawler, LeasedSecret, SecretField};
use ingest_api::{
    crawler::{CrawlerError, leased},
    secret::Keyring,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::TestApp;

pub const CLIENT: &str = "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142";

/// A crawler that signs in with a client secret.
pub fn configuration(name: &str, secret: &str) -> Value {
    json!({
        "name": name,
        "settings": {"graph": {"tenantId": "contoso.example", "clientId": CLIENT}},
        "secrets": {"clientSecret": secret},
    })
}

pub async fn create(app: &TestApp, body: &Value) -> Uuid {
    let made = app.post("/api/crawlers", body).await.expect(201);
    made["crawlerId"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id")
}

pub fn path(id: Uuid) -> String {
    format!("/api/crawlers/{id}")
}

/// What the job engine does when it gives a lease: commits whatever comes back.
pub async fn lease_with(
    app: &TestApp,
    keyring: &Keyring,
    id: Uuid,
) -> Result<Option<LeasedCrawler>, CrawlerError> {
    let mut transaction = app.pool.begin().await.expect("a transaction");
    let found = leased(&mut transaction, keyring, 1, id).await;
    transaction.commit().await.expect("committed");
    found
}

pub async fn lease(app: &TestApp, id: Uuid) -> Result<Option<LeasedCrawler>, CrawlerError> {
    lease_with(app, &app.keyring, id).await
}

/// A secret of a lease, where it opens.
pub fn value_of(leased: &LeasedCrawler, field: SecretField) -> Option<&str> {
    match leased.secrets.get(&field)? {
        LeasedSecret::Value(text) => Some(text.expose()),
        LeasedSecret::Reference(reference) => Some(reference),
    }
}

pub async fn client_secret(app: &TestApp, id: Uuid) -> String {
    let leased = lease(app, id).await.expect("opens").expect("a crawler");
    value_of(&leased, SecretField::ClientSecret)
        .expect("a secret")
        .to_owned()
}

/// The places that a refusal names.
#[track_caller]
pub fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|error| error["pointer"].as_str().expect("a pointer"))
        .collect()
}
