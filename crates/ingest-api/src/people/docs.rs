//! What the routes about people do.

use contract::{
    CreateToken, CreatedKey, KeyInfo, Me, NewRoleMapping, Permission, RoleMapping,
    UpdateRoleMapping,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    bootstrap_routes::Link,
    routes::{CallbackQuery, SignInQuery},
};
use crate::openapi::{Operation, SchemaOf, Tag, schema_of};

const HTML: &str = "text/html";

fn page() -> SchemaOf {
    Box::new(|_| json!({"type": "string"}))
}

pub fn sign_in() -> Operation {
    Operation::new(Tag::People, "signIn", "Sign in at the provider")
        .says("For browsers: leads to the provider, and from there over `/auth/callback` to `returnTo`.")
        .public()
        .query::<SignInQuery>()
        .answers_nothing(303, "To the provider.")
        .answers_as(503, "The provider cannot be asked at the moment.", HTML, page())
        .refuses(404, "No provider is set up, or the server has no public address.")
}

pub fn callback() -> Operation {
    Operation::new(Tag::People, "finishSignIn", "Come back from the provider")
        .says("For browsers. A sign-in that is refused is answered with a page that says nothing of the reason, which is in the audit log.")
        .public()
        .query::<CallbackQuery>()
        .answers_nothing(303, "Signed in: to where the person wanted to go, with the cookie of a session.")
        .answers_as(403, "Not signed in.", HTML, page())
        .answers_as(429, "Too many sign-ins were refused to this address.", HTML, page())
        .refuses(404, "The server has no public address.")
        .may_refuse(503)
}

pub fn sign_out() -> Operation {
    Operation::new(Tag::People, "signOut", "End the session")
        .for_people()
        .answers_nothing(
            204,
            "The session is gone; its cookie works nowhere any more.",
        )
        .may_refuse(404)
}

pub fn show_bootstrap() -> Operation {
    Operation::new(Tag::People, "showBootstrap", "The link for the first admin")
        .says("For browsers: a form that claims it. Looking uses nothing up.")
        .public()
        .query::<Link>()
        .answers_as(200, "The form.", HTML, page())
        .answers_as(
            410,
            "The link was used, has expired, or never was one.",
            HTML,
            page(),
        )
        .refuses(404, "The server has no public address.")
        .may_refuse(503)
}

pub fn claim_bootstrap() -> Operation {
    Operation::new(Tag::People, "claimBootstrap", "Become the first admin")
        .public()
        .takes_any(
            "The form of `showBootstrap`.",
            vec![(
                "application/x-www-form-urlencoded",
                schema_of::<Link>(),
                None,
            )],
        )
        .answers_nothing(303, "To the start page, with the cookie of a session.")
        .answers_as(
            410,
            "The link was used, has expired, or never was one.",
            HTML,
            page(),
        )
        .refuses(403, "The form comes from another site's page.")
        .refuses(404, "The server has no public address.")
        .may_refuse(503)
}

pub fn me() -> Operation {
    Operation::new(Tag::People, "getMe", "The person who is signed in")
        .for_people()
        .answers::<Me>(
            200,
            "The person, their role now, and what calls that change something send along.",
        )
}

pub fn list_tokens() -> Operation {
    Operation::new(Tag::People, "listTokens", "Your personal tokens")
        .for_people()
        .answers::<Vec<KeyInfo>>(
            200,
            "The tokens, without their secrets; `permissions` are those of your role now.",
        )
}

pub fn create_token() -> Operation {
    Operation::new(Tag::People, "createToken", "Make a personal token")
        .says("It is sent as keys are, and may do what you may at the moment of each call, never more. Only who signed in at the provider makes one.")
        .for_people()
        .takes::<CreateToken>(json!({"name": "my script"}))
        .answers::<CreatedKey>(201, "The token; it is shown this once.")
        .leads_to("revokeToken", &json!({"keyId": "$response.body#/keyId"}))
        .refuses(409, "You have as many tokens as one person may have.")
}

pub fn revoke_token() -> Operation {
    Operation::new(Tag::People, "revokeToken", "End a personal token at once")
        .for_people()
        .path_like(
            "keyId",
            "The unsecret part of the token, `keyId` in lists.",
            Box::new(|_| json!({"type": "string", "pattern": "^[0-9A-Za-z]{12}$"})),
        )
        .answers_nothing(204, "The token does not work any more.")
}

pub fn list_mappings() -> Operation {
    Operation::new(
        Tag::People,
        "listRoleMappings",
        "Which groups give which role",
    )
    .needs(&[Permission::Admin])
    .answers::<Vec<RoleMapping>>(200, "The mappings, the oldest first.")
}

pub fn create_mapping() -> Operation {
    Operation::new(Tag::People, "createRoleMapping", "Give the members of a group a role")
        .says("Whoever is in the group according to the register has the role, at whatever depth of nested groups, from the \
               next call on.")
        .needs(&[Permission::Admin])
        .takes::<NewRoleMapping>(json!({
            "systemId": 1, "resourceId": "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10", "role": "viewer",
        }))
        .answers::<RoleMapping>(201, "The mapping.")
        .leads_to("updateRoleMapping", &json!({"mappingId": "$response.body#/mappingId"}))
        .leads_to("removeRoleMapping", &json!({"mappingId": "$response.body#/mappingId"}))
        .refuses(409, "The group has a role already.")
}

fn one_mapping(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::People, id, summary)
        .needs(&[Permission::Admin])
        .path::<Uuid>("mappingId", "The mapping.")
}

pub fn update_mapping() -> Operation {
    one_mapping(
        "updateRoleMapping",
        "Give the members of a group another role",
    )
    .takes::<UpdateRoleMapping>(json!({"role": "contributor"}))
    .answers::<RoleMapping>(200, "The mapping as it is now.")
}

pub fn remove_mapping() -> Operation {
    one_mapping(
        "removeRoleMapping",
        "Take the role from the members of a group",
    )
    .answers_nothing(204, "They have it no more, from the next call on.")
}
