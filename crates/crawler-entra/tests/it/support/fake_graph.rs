//! A Graph that answers as a test says: for what no simulator has, and for what must be seen from the other side.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use graph_sim::app_role_id;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;

pub const CLIENT_ID: Uuid = Uuid::from_u128(0x2d7e_5f90_c1a4_48b3_9e6d_0f8b_3c5a_7142);
pub const TENANT: &str = "contoso.example";
const GRAPH_APPLICATION: &str = "00000003-0000-0000-c000-000000000000";

/// How a fake Graph answers. What is not named is an empty list.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Permissions in the token.
    pub roles: Vec<String>,
    /// Permissions assigned to the service principal, where they are others.
    pub assigned: Option<Vec<String>>,
    /// Refusals by the beginning of the path after the version: status and code.
    pub refusals: BTreeMap<&'static str, (u16, &'static str)>,
    /// Refusals of requests that name a property.
    pub property_refusals: BTreeMap<&'static str, (u16, &'static str)>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub uri: String,
    pub has_token: bool,
}

pub struct FakeGraph {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

struct Shared {
    answers: Answers,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FakeGraph {
    pub async fn start(answers: Answers) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let shared = Arc::new(Shared {
            answers,
            seen: seen.clone(),
        });
        let router = Router::new().fallback(answer).with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            seen,
            server,
        }
    }

    /// Everything that was asked.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("what was seen").clone()
    }
}

impl Drop for FakeGraph {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An unsigned token with these claims.
pub fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.CANARYsignature",
        part(&json!({"alg": "none"})),
        part(claims)
    )
}

fn reply(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::from(body.to_string()))
        .expect("a response")
}

fn refusal((status, code): (u16, &str)) -> Response<Body> {
    let body = json!({"error": {"code": code, "message": "CANARY message"}});
    reply(status, &body)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let uri = request.uri().clone();
    shared.seen.lock().expect("what was seen").push(Seen {
        uri: uri.to_string(),
        has_token: request.headers().contains_key("authorization"),
    });
    let path = uri.path();
    let answers = &shared.answers;
    if path.ends_with("/token") {
        let mut claims =
            json!({"aud": "graph", "appid": CLIENT_ID, "iat": 1_770_103_811, "exp": 1_770_107_411});
        if !answers.roles.is_empty() {
            claims["roles"] = json!(answers.roles);
        }
        let body = json!({"access_token": token(&claims), "expires_in": "3600"});
        return reply(200, &body);
    }
    let relative = path.splitn(3, '/').nth(2).unwrap_or("");
    let query = uri.query().unwrap_or("");
    let refused = answers
        .refusals
        .iter()
        .find(|(start, _)| relative.starts_with(**start));
    let by_property = answers
        .property_refusals
        .iter()
        .find(|(name, _)| query.contains(**name));
    if let Some((_, refused)) = by_property.or(refused) {
        return refusal(*refused);
    }
    reply(200, &object(answers, relative))
}

fn object(answers: &Answers, relative: &str) -> Value {
    let assigned = answers.assigned.as_ref().unwrap_or(&answers.roles);
    let graph_id = Uuid::from_u128(3);
    if relative == format!("servicePrincipals(appId='{CLIENT_ID}')") {
        return json!({"id": Uuid::from_u128(2), "displayName": "Cadastre\u{1b}[31m"});
    }
    if relative == format!("servicePrincipals(appId='{GRAPH_APPLICATION}')") {
        let known = assigned.iter().chain(&answers.roles);
        let roles: Vec<Value> = known
            .map(|name| json!({"id": app_role_id(name), "value": name}))
            .collect();
        return json!({"id": graph_id, "appRoles": roles});
    }
    if relative.ends_with("/appRoleAssignments") {
        let mut list: Vec<Value> = assigned
            .iter()
            .map(|name| json!({"appRoleId": app_role_id(name), "resourceId": graph_id}))
            .collect();
        // Another application's role with the id of a permission of Graph grants nothing there.
        list.push(
            json!({"appRoleId": app_role_id("User.Read.All"), "resourceId": Uuid::from_u128(9)}),
        );
        return json!({"value": list});
    }
    json!({"value": [{"id": Uuid::from_u128(1)}]})
}
