use std::time::Duration;

use graph_sim::{SimOptions, TenantSpec};
use serde_json::Value;

use crate::client::{Client, ask_token, form, start, start_default, unlimited};

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a token has three parts");
    let bits: Vec<u8> = payload
        .bytes()
        .flat_map(|letter| {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let sextet = alphabet
                .iter()
                .position(|known| *known == letter)
                .expect("base64url") as u8;
            (0..6).rev().map(move |bit| (sextet >> bit) & 1)
        })
        .collect();
    let bytes: Vec<u8> = bits
        .chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit))
        .collect();
    serde_json::from_slice(&bytes).expect("the payload is JSON")
}

#[tokio::test]
async fn a_token_names_the_tenant_the_client_and_its_permissions() {
    let options = SimOptions {
        roles: vec!["User.Read.All".to_owned()],
        ..unlimited()
    };
    let (simulator, _) = start(&TenantSpec::default(), options).await;
    let form = form(
        &simulator.client_id().to_string(),
        simulator.client_secret(),
    );
    let answer = ask_token(&simulator, &simulator.tenant_id().to_string(), &form).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["expires_in"], 3600);
    let claims = claims(answer.json()["access_token"].as_str().expect("it is text"));
    assert_eq!(claims["tid"], simulator.tenant_id().to_string());
    assert_eq!(claims["appid"], simulator.client_id().to_string());
    assert_eq!(claims["idtyp"], "app");
    assert_eq!(claims["roles"], serde_json::json!(["User.Read.All"]));
    assert!(claims["exp"].is_i64());
    simulator.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_client_or_tenant_is_named_by_its_code() {
    let (simulator, _) = start_default().await;
    let tenant = simulator.tenant_id().to_string();
    let client = simulator.client_id().to_string();
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (tenant, form, status, code) in [
        (tenant.as_str(), form(&client, "wrong"), 401, 7_000_215),
        (tenant.as_str(), form(nobody, "wrong"), 401, 700_016),
        (
            nobody,
            form(&client, simulator.client_secret()),
            400,
            90_002,
        ),
    ] {
        let answer = ask_token(&simulator, tenant, &form).await;
        let body = answer.json();
        assert_eq!(answer.status, status);
        assert_eq!(body["error_codes"][0], code);
        let description = body["error_description"].as_str().expect("it is text");
        assert!(
            description.starts_with(&format!("AADSTS{code}: ")),
            "{description}"
        );
    }
    simulator.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_refused_and_a_new_one_works() {
    let (simulator, client) = start_default().await;
    assert_eq!(client.get("/v1.0/users?$top=1").await.status, 200);
    simulator.expire_tokens();
    let refused = client.get("/v1.0/users?$top=1").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "InvalidAuthenticationToken")
    );
    assert!(refused.header("www-authenticate").is_some());
    let client = Client::login(&simulator).await;
    assert_eq!(client.get("/v1.0/users?$top=1").await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn a_lifetime_of_nothing_gives_tokens_that_are_expired() {
    let options = SimOptions {
        token_lifetime: Duration::ZERO,
        ..unlimited()
    };
    let (simulator, client) = start(&TenantSpec::default(), options).await;
    assert_eq!(client.get("/v1.0/users").await.status, 401);
    simulator.stop().await;
}

#[tokio::test]
async fn the_secret_never_shows_in_debug_output() {
    let options = SimOptions {
        client_secret: "hush".into(),
        ..SimOptions::default()
    };
    assert!(!format!("{options:?}").contains("hush"));
}
