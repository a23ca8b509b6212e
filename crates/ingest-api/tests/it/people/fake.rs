//! A provider that signs what it is told, right or wrong.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use super::{
    browser::{Browser, Page, at},
    directory::TENANT,
};
use crate::app::{TestApp, id, merge};

/// What it answers next, and what it was asked.
#[derive(Default)]
pub struct Answers {
    pub discovery: Value,
    pub keys: Value,
    pub id_token: String,
    pub key_reads: usize,
    pub exchanges: Vec<String>,
}

/// The provider; it stops with the value.
pub struct Fake {
    pub issuer: String,
    answers: Arc<Mutex<Answers>>,
    key: EcdsaKeyPair,
    server: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    let document = document.expect("a key");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
        .expect("a key")
}

/// The public half, as a key set has it.
pub fn jwk(key: &EcdsaKeyPair, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": kid,
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
    })
}

pub fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with any header and any key.
pub fn signed(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", encoded(header), encoded(claims));
    let signature = key
        .sign(&SystemRandom::new(), text.as_bytes())
        .expect("signs");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

impl Fake {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let key = new_key();
        let answers = Arc::new(Mutex::new(Answers {
            discovery: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
                "id_token_signing_alg_values_supported": ["ES256", "RS256", "HS256", "none"],
            }),
            keys: json!({"keys": [jwk(&key, "one")]}),
            ..Answers::default()
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&answers));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves");
        });
        Self {
            issuer,
            answers,
            key,
            server,
        }
    }

    pub fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().expect("no panic")
    }

    /// Claims with which principal `who` is signed in.
    pub fn claims(&self, who: u32, nonce: &str) -> Value {
        let now = Utc::now().timestamp();
        json!({
            "iss": self.issuer, "aud": "cadastre", "sub": format!("subject {who}"), "nonce": nonce,
            "iat": now, "nbf": now, "exp": now + 300, "oid": id(who), "tid": TENANT, "name": format!("Person {who}"),
        })
    }

    /// A good token, but for what `more` says.
    pub fn token(&self, who: u32, nonce: &str, more: Value) -> String {
        let mut claims = self.claims(who, nonce);
        merge(&mut claims, more);
        self.sign(
            &json!({"alg": "ES256", "kid": "one", "typ": "JWT"}),
            &claims,
        )
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        signed(&self.key, header, claims)
    }

    /// Goes from the sign-in to where the provider would send the browser back to.
    pub async fn to_callback(&self, app: &TestApp, browser: &mut Browser) -> (Url, String) {
        let page = browser.get(&at(app, "/auth/sign-in")).await;
        assert_eq!(page.status.as_u16(), 303, "{}", page.text);
        let mut url = at(app, "/auth/callback");
        url.query_pairs_mut()
            .append_pair("code", "the code")
            .append_pair("state", &page.leads_with("state"));
        (url, page.leads_with("nonce"))
    }

    /// Signs a browser in with a token that is made from the nonce.
    pub async fn sign_in_with(
        &self,
        app: &TestApp,
        browser: &mut Browser,
        token: impl FnOnce(&str) -> String,
    ) -> Page {
        let (callback, nonce) = self.to_callback(app, browser).await;
        self.answers().id_token = token(&nonce);
        browser.get(&callback).await
    }

    /// A browser in which principal `who` is signed in.
    pub async fn signed_in(&self, app: &TestApp, who: u32) -> Browser {
        let mut browser = Browser::new();
        let page = self
            .sign_in_with(app, &mut browser, |nonce| self.token(who, nonce, json!({})))
            .await;
        assert_eq!(page.status.as_u16(), 303, "{}", page.text);
        browser
    }
}

type Shared = State<Arc<Mutex<Answers>>>;

async fn discovery(State(answers): Shared) -> Json<Value> {
    Json(answers.lock().expect("no panic").discovery.clone())
}

async fn keys(State(answers): Shared) -> Json<Value> {
    let mut answers = answers.lock().expect("no panic");
    answers.key_reads += 1;
    Json(answers.keys.clone())
}

async fn token(State(answers): Shared, form: String) -> Json<Value> {
    let mut answers = answers.lock().expect("no panic");
    answers.exchanges.push(form);
    Json(json!({"access_token": "none", "token_type": "Bearer", "id_token": answers.id_token}))
}
