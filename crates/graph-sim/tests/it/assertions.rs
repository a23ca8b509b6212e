//! The token endpoint without a secret: assertions and managed identities.

use graph_sim::{SimOptions, Simulator, TenantSpec, sample};
use serde_json::{Value, json};

use crate::client::{Answer, Client, ask_token, http, start, start_default, unlimited};

/// SHA-256 thumbprint of the sample certificate; `openssl x509 -outform der | openssl dgst -sha256 -binary`, base64url.
const THUMBPRINT: &str = "UnhddcTGzEM8E5ZLfkYp13XV3dUB7R-JHc38uTKRddk";

async fn ask(simulator: &Simulator, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", simulator.client_id().to_string()),
        ("scope", "https://graph.microsoft.com/.default".to_owned()),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
        ),
        ("client_assertion", assertion.to_owned()),
    ];
    ask_token(simulator, &simulator.tenant_id().to_string(), &form).await
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "x5t#S256": THUMBPRINT})
}

/// Claims as Entra wants them, good for ten minutes.
fn claims(simulator: &Simulator, id: &str) -> Value {
    let now = chrono::Utc::now().timestamp();
    let url = format!(
        "{}/{}/oauth2/v2.0/token",
        simulator.base_url(),
        simulator.tenant_id()
    );
    let client = simulator.client_id();
    json!({"aud": url, "iss": client, "sub": client, "jti": id, "nbf": now - 60, "exp": now + 540})
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn code(answer: &Answer) -> u64 {
    answer.json()["error_codes"][0]
        .as_u64()
        .expect("a failure has a code")
}

#[tokio::test]
async fn an_assertion_of_the_application_counts_once_and_only_as_entra_wants_it() {
    let (simulator, _) = start_default().await;
    let good = sample::sign(&header(), &claims(&simulator, "1"), sample::KEY);
    assert_eq!(ask(&simulator, &good).await.status, 200);
    let now = chrono::Utc::now().timestamp();
    let claims = claims(&simulator, "2");
    let foreign = json!({"alg": "RS256", "x5t#S256": "somebody-else"});
    for (why, assertion, expected) in [
        ("seen", good, 50_027),
        (
            "another key",
            sample::sign(&header(), &claims, sample::OTHER_KEY),
            700_027,
        ),
        (
            "another certificate",
            sample::sign(&foreign, &claims, sample::KEY),
            700_027,
        ),
        (
            "another audience",
            sample::sign(
                &header(),
                &with(claims.clone(), "aud", json!("https://x")),
                sample::KEY,
            ),
            700_023,
        ),
        (
            "another subject",
            sample::sign(
                &header(),
                &with(claims.clone(), "sub", json!("x")),
                sample::KEY,
            ),
            700_021,
        ),
        (
            "expired",
            sample::sign(
                &header(),
                &with(claims.clone(), "exp", json!(now - 1)),
                sample::KEY,
            ),
            700_024,
        ),
        (
            "too long",
            sample::sign(
                &header(),
                &with(claims.clone(), "exp", json!(now + 6000)),
                sample::KEY,
            ),
            700_024,
        ),
        (
            "not yet",
            sample::sign(
                &header(),
                &with(claims.clone(), "nbf", json!(now + 900)),
                sample::KEY,
            ),
            700_024,
        ),
        ("no token", "a.b".to_owned(), 50_027),
    ] {
        let answer = ask(&simulator, &assertion).await;
        assert_eq!((answer.status, code(&answer)), (401, expected), "{why}");
    }
    // What was refused was not used up.
    let again = sample::sign(&header(), &claims, sample::KEY);
    assert_eq!(ask(&simulator, &again).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn a_federated_assertion_must_match_its_registration() {
    let (simulator, _) = start_default().await;
    let good = sample::federated_assertion(sample::SUBJECT, 60);
    // It is no secret of the application: it may be used until it expires.
    for _ in 0..2 {
        assert_eq!(ask(&simulator, &good).await.status, 200);
    }
    let now = chrono::Utc::now().timestamp();
    let claims = json!({"iss": sample::ISSUER, "sub": sample::SUBJECT, "aud": sample::AUDIENCE, "exp": now + 60});
    let rs256 = json!({"alg": "RS256"});
    for (why, assertion, expected) in [
        ("subject", sample::federated_assertion("x", 60), 700_213),
        (
            "expired",
            sample::federated_assertion(sample::SUBJECT, -1),
            700_024,
        ),
        (
            "issuer",
            sample::sign(
                &rs256,
                &with(claims.clone(), "iss", json!("x")),
                sample::OTHER_KEY,
            ),
            700_211,
        ),
        (
            "audience",
            sample::sign(
                &rs256,
                &with(claims.clone(), "aud", json!("x")),
                sample::OTHER_KEY,
            ),
            700_212,
        ),
        (
            "signature",
            sample::sign(&rs256, &claims, sample::KEY),
            50_013,
        ),
        (
            "no signature",
            sample::sign(&json!({"alg": "none"}), &claims, sample::OTHER_KEY),
            50_013,
        ),
    ] {
        let answer = ask(&simulator, &assertion).await;
        assert_eq!(code(&answer), expected, "{why}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_request_without_any_proof_is_told_so() {
    let (simulator, _) = start_default().await;
    let form = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", simulator.client_id().to_string()),
        ("scope", "https://graph.microsoft.com/.default".to_owned()),
    ];
    let answer = ask_token(&simulator, &simulator.tenant_id().to_string(), &form).await;
    assert_eq!(code(&answer), 7_000_218);
    simulator.stop().await;
}

#[tokio::test]
async fn the_platform_gives_tokens_only_to_those_who_ask_as_it_wants() {
    let options = SimOptions {
        managed_identity: Some("mine".to_owned()),
        ..unlimited()
    };
    let (simulator, _) = start(&TenantSpec::default(), options).await;
    let imds = format!(
        "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com/",
        simulator.base_url()
    );
    let get = async |url: &str, headers: &[(&str, &str)]| {
        let mut request = http().get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the simulator answers");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str::<Value>(&text).expect("JSON"))
    };
    let metadata = [("Metadata", "true")];
    let (status, answer) = get(&format!("{imds}&client_id=mine"), &metadata).await;
    assert_eq!(status, 200);
    assert!(answer["expires_in"].is_string() && answer["expires_on"].is_string());
    assert_eq!(get(&imds, &metadata).await.0, 400, "no system-assigned one");
    assert_eq!(get(&format!("{imds}&client_id=mine"), &[]).await.0, 400);
    let forwarded = [metadata[0], ("X-Forwarded-For", "10.0.0.1")];
    assert_eq!(
        get(&format!("{imds}&client_id=mine"), &forwarded).await.0,
        400
    );

    let (url, header) = simulator.identity_endpoint();
    let url = format!(
        "{url}?api-version=2019-08-01&resource=https://graph.microsoft.com/&client_id=mine"
    );
    let (status, answer) = get(&url, &[("X-IDENTITY-HEADER", &header)]).await;
    assert_eq!(status, 200);
    assert!(answer["expires_on"].is_string() && answer.get("expires_in").is_none());
    assert_eq!(get(&url, &[("X-IDENTITY-HEADER", "wrong")]).await.0, 400);
    simulator.stop().await;
}

#[tokio::test]
async fn the_application_finds_itself_and_what_it_was_granted() {
    let (simulator, client) = start_default().await;
    let own = client
        .get(&format!(
            "/v1.0/servicePrincipals(appId='{}')",
            simulator.client_id()
        ))
        .await
        .json();
    let graph = client
        .get("/v1.0/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')?$select=id,appRoles")
        .await
        .json();
    let granted = async || {
        let id = own["id"].as_str().expect("an id");
        let list = client
            .get(&format!("/v1.0/servicePrincipals/{id}/appRoleAssignments"))
            .await
            .value();
        let mut names: Vec<String> = Vec::new();
        for assignment in list {
            assert_eq!(assignment["resourceId"], graph["id"]);
            let roles = graph["appRoles"].as_array().expect("roles");
            let role = roles
                .iter()
                .find(|role| role["id"] == assignment["appRoleId"]);
            names.push(
                role.expect("a role of Graph")["value"]
                    .as_str()
                    .expect("a name")
                    .to_owned(),
            );
        }
        names
    };
    assert_eq!(granted().await, graph_sim::permissions::ALL);
    simulator.set_assigned_roles(Some(vec!["Policy.Read.All".to_owned()]));
    assert_eq!(granted().await, ["Policy.Read.All"]);
    // A token of before still opens what it opened.
    assert_eq!(client.get("/v1.0/users?$top=1").await.status, 200);
    let renewed = Client::login(&simulator).await;
    assert_eq!(renewed.get("/v1.0/users?$top=1").await.status, 200);
    simulator.stop().await;
}
