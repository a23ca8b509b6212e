//! What the routes about delta tokens do.

use contract::{DeltaToken, DeltaTokens, Permission, SaveDeltaToken};
use serde_json::json;

use super::routes::TokenQuery;
use crate::openapi::{Operation, Tag};

fn operation(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Runs, id, summary)
        .needs(&[Permission::Ingest])
        .query::<TokenQuery>()
        .refuses(403, "The key lacks the permission or the system.")
}

fn of_endpoint(id: &str, summary: &str) -> Operation {
    operation(id, summary).path_like(
        "endpoint",
        "The endpoint; a `/` in it is sent as `%2F`.",
        Box::new(|_| json!({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9._/-]{0,99}$"})),
    )
}

pub fn list() -> Operation {
    operation(
        "listDeltaTokens",
        "Where the next delta readings of a system begin",
    )
    .says("Ages are told by the server's clock.")
    .answers::<DeltaTokens>(200, "The tokens, by endpoint.")
}

pub fn get() -> Operation {
    of_endpoint(
        "getDeltaToken",
        "Where the next delta reading of an endpoint begins",
    )
    .answers::<DeltaToken>(200, "The token.")
}

pub fn put() -> Operation {
    of_endpoint("saveDeltaToken", "Save the token of an endpoint")
        .says("A token that stands behind a load belongs into the load's commit, which saves both or neither.")
        .takes::<SaveDeltaToken>(json!({
            "configHash": "5f1c", "token": "aWQ9NDcxMQ", "isFullRead": true,
        }))
        .answers::<DeltaToken>(200, "The token is saved.")
        .refuses(409, "The system has tokens of too many endpoints.")
}

pub fn delete() -> Operation {
    of_endpoint("deleteDeltaToken", "Forget the token of an endpoint")
        .says("The next reading reads everything. Forgetting what is not there is no error.")
        .answers_nothing(204, "There is no token.")
}
