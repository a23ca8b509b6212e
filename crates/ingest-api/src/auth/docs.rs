//! What the routes about keys do.

use contract::{CreateKey, CreatedKey, KeyInfo, Permission, UpdateKey, WhoAmI};
use serde_json::json;

use super::routes::{RevokeQuery, RotateOwnQuery, RotateQuery};
use crate::openapi::{Operation, Tag};

pub fn whoami() -> Operation {
    Operation::new(Tag::Keys, "whoAmI", "The key in use")
        .says("What a crawler asks first: does the key work, what may it do, and until when?")
        .answers::<WhoAmI>(200, "The key, without its secret.")
}

pub fn rotate_own() -> Operation {
    Operation::new(
        Tag::Keys,
        "rotateOwnKey",
        "Replace the key in use by a new one",
    )
    .says("The new key has the same rights and bounds, and goes on with what the old one began. The old one works for another \
           24 hours, or as long as `graceSeconds` says.")
    .query::<RotateOwnQuery>()
    .answers::<CreatedKey>(201, "The new key; it is shown this once.")
}

pub fn list() -> Operation {
    Operation::new(Tag::Keys, "listKeys", "The keys of the workspace")
        .needs(&[Permission::Admin])
        .answers::<Vec<KeyInfo>>(200, "The keys, without their secrets.")
}

pub fn create() -> Operation {
    Operation::new(Tag::Keys, "createKey", "Make a key")
        .says("A key that is limited to some systems makes keys for those only.")
        .needs(&[Permission::Admin])
        .takes::<CreateKey>(json!({"name": "hr loader", "permissions": ["ingest", "read"]}))
        .answers::<CreatedKey>(201, "The key; it is shown this once.")
        .leads_to("revokeKey", &json!({"keyId": "$response.body#/keyId"}))
}

fn key_in_path(operation: Operation) -> Operation {
    operation.path_like(
        "keyId",
        "The unsecret part of the key, `keyId` in lists.",
        Box::new(|_| json!({"type": "string", "pattern": "^[0-9A-Za-z]{12}$"})),
    )
}

pub fn update() -> Operation {
    let operation = Operation::new(
        Tag::Keys,
        "updateKey",
        "Name a key otherwise, or bound it more or less",
    )
    .says("What is left out stays. Permissions and systems cannot be changed, and no key can be made to live longer: make another one.")
    .needs(&[Permission::Admin]);
    key_in_path(operation)
        .takes::<UpdateKey>(json!({"allowedAddresses": ["10.1.0.0/16"], "requestsPerMinute": 600}))
        .answers::<KeyInfo>(200, "The key as it is now.")
}

pub fn rotate() -> Operation {
    let operation = Operation::new(Tag::Keys, "rotateKey", "Replace a key by a new one")
        .says("As `rotateOwnKey`, for any key that works. With `graceSeconds=0` the old one ends at once.")
        .needs(&[Permission::Admin]);
    key_in_path(operation)
        .query::<RotateQuery>()
        .answers::<CreatedKey>(201, "The new key; it is shown this once.")
}

pub fn revoke() -> Operation {
    let operation = Operation::new(Tag::Keys, "revokeKey", "End a key at once")
        .says("Answers that are being sent to it, such as exports, break off within seconds.")
        .needs(&[Permission::Admin]);
    key_in_path(operation)
        .query::<RevokeQuery>()
        .answers_nothing(204, "The key does not work any more.")
}
