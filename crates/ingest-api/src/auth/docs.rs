//! What the routes about keys do.

use contract::{CreateKey, CreatedKey, KeyInfo, Permission, WhoAmI};
use serde_json::json;

use crate::openapi::{Operation, Tag};

pub fn whoami() -> Operation {
    Operation::new(Tag::Keys, "whoAmI", "The key in use")
        .says("What a crawler asks first: does the key work, what may it do, and until when?")
        .answers::<WhoAmI>(200, "The key, without its secret.")
}

pub fn rotate() -> Operation {
    Operation::new(
        Tag::Keys,
        "rotateKey",
        "Replace the key in use by a new one",
    )
    .says("The new key has the same rights. The old one works for another 24 hours.")
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

pub fn revoke() -> Operation {
    Operation::new(Tag::Keys, "revokeKey", "End a key at once")
        .needs(&[Permission::Admin])
        .path_like(
            "keyId",
            "The unsecret part of the key, `keyId` in lists.",
            Box::new(|_| json!({"type": "string", "pattern": "^[0-9A-Za-z]{12}$"})),
        )
        .answers_nothing(204, "The key does not work any more.")
}
