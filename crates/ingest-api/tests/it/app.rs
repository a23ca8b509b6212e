//! A running server with a fresh database, in one line.

use std::{fmt::Debug, sync::Arc, time::Duration};

use contract::{Permission, SystemId};
use embedded_postgres::testing::{TestDatabase, copy_of};
use ingest_api::{
    AppState, DatabaseSettings, Memory, ServerSettings,
    auth::{NewKey, create_key},
    connect, migrate,
    secret::{KeyBytes, Keyring, LocalKey, unlock},
    serve,
};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The server under test; it stops with the value.
pub struct TestApp {
    pub pool: PgPool,
    pub system_id: SystemId,
    /// A key that may do everything.
    pub key: String,
    /// The memory that the server's bodies take.
    pub memory: Memory,
    /// The keys that secrets are sealed with.
    pub keyring: Keyring,
    base: String,
    http: reqwest::Client,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    database: TestDatabase,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A second server; stopped by the test that started it.
pub struct Replica {
    pub base: String,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl Replica {
    pub async fn stop(self) {
        self.stop.cancel();
        self.server.await.expect("the server ends by itself");
    }
}

/// An answer: status and body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub content_type: String,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self.body
    }
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with_connections(12).await
    }

    /// With at most so many connections to the database, the test's own use of `pool` included.
    pub async fn with_connections(max_connections: u32) -> Self {
        Self::over(max_connections, async |url| url.to_owned()).await
    }

    /// With a way to the database of the test's making: from its address to the one that the server is given.
    pub async fn over(max_connections: u32, way: impl AsyncFnOnce(&str) -> String) -> Self {
        Self::build(max_connections, way, ServerSettings::default()).await
    }

    /// With settings of the server.
    pub async fn start_with(server: ServerSettings) -> Self {
        Self::build(12, async |url| url.to_owned(), server).await
    }

    async fn build(
        max_connections: u32,
        way: impl AsyncFnOnce(&str) -> String,
        server: ServerSettings,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = copy_of("register", async |url| {
            migrate(&url.to_owned().into()).await.expect("migrates");
        })
        .await;
        let settings = DatabaseSettings {
            url: way(database.url()).await.into(),
            max_connections,
            allow_not_durable: true,
        };
        let pool = connect(&settings).await.expect("connects");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let keyring = Keyring::new("first", Arc::new(LocalKey(KeyBytes::random())));
        unlock(&pool, &keyring).await.expect("a new key");
        let state = AppState {
            keyring: keyring.clone(),
            ..AppState::with_settings(pool.clone(), server)
        };
        let (memory, stopping) = (state.memory.clone(), stop.clone());
        let server =
            tokio::spawn(async move { serve(listener, state, stopping).await.expect("serves") });
        let mut app = Self {
            key: String::new(),
            system_id: 0,
            base,
            http: reqwest::Client::new(),
            memory,
            keyring,
            stop,
            server: Some(server),
            database,
            pool,
        };
        app.key = app.new_key(&Permission::ALL, None).await;
        app.system_id = app.new_system("Tenant").await;
        app
    }

    pub async fn new_key(
        &self,
        permissions: &[Permission],
        system_ids: Option<Vec<SystemId>>,
    ) -> String {
        let new = NewKey {
            workspace_id: 1,
            name: "test".into(),
            permissions: permissions.to_vec(),
            system_ids,
            expires_at: None,
            created_by: "test".into(),
        };
        let mut connection = self.pool.acquire().await.expect("a connection");
        let (generated, _) = create_key(&mut connection, &new).await.expect("a key");
        generated.key.expose_secret().to_owned()
    }

    pub async fn new_system(&self, name: &str) -> SystemId {
        let body = json!({"records": [{"systemType": "Test", "displayName": name}]});
        let answer = self.post("/api/ingest/systems", &body).await.expect(201);
        answer["systemIds"][0].as_i64().expect("a number") as SystemId
    }

    /// Tells the server to stop, and waits until it has.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            server.await.expect("the server ends by itself");
        }
    }

    /// Stops the server and starts another on the same database, at another address.
    pub async fn restart(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.base = format!("http://{}", listener.local_addr().expect("an address"));
        self.stop = CancellationToken::new();
        let state = AppState {
            keyring: self.keyring.clone(),
            ..AppState::new(self.pool.clone())
        };
        let stopping = self.stop.clone();
        self.memory = state.memory.clone();
        self.server = Some(tokio::spawn(async move {
            serve(listener, state, stopping).await.expect("serves");
        }));
    }

    /// Another server on the same database.
    pub async fn replica(&self, server: ServerSettings) -> Replica {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let state = AppState {
            keyring: self.keyring.clone(),
            ..AppState::with_settings(self.pool.clone(), server)
        };
        let stopping = stop.clone();
        let server =
            tokio::spawn(async move { serve(listener, state, stopping).await.expect("serves") });
        Replica { base, stop, server }
    }

    /// The id of a key.
    pub fn id_of(key: &str) -> &str {
        key.split('_').nth(1).expect("an id")
    }

    /// Where the server listens, for a connection without HTTP client.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// Where the database is for who may do everything.
    pub fn admin_url(&self) -> &str {
        self.database.admin_url()
    }

    /// A connection beside the server's.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.database.url())
            .await
            .expect("connects")
    }

    /// Where the server listens, without a path.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request_as(&self.key, method, path)
    }

    /// With another key.
    pub fn request_as(&self, key: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(key)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("").to_owned();
        let text = response.text().await.expect("a body");
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).expect("JSON")
        };
        Answer {
            status,
            content_type,
            body,
        }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// A single call for the test system; `more` joins or replaces fields of the envelope.
    pub async fn ingest(&self, entity: &str, records: Value, more: Value) -> Answer {
        let mut body = json!({"systemId": self.system_id, "records": records});
        merge(&mut body, more);
        self.post(&format!("/api/ingest/{entity}"), &body).await
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.pool)
            .await
            .expect(sql)
    }

    /// The transaction that last wrote each row of a table: the same before and after when nothing was written.
    pub async fn row_versions(&self, sql: &'static str) -> Vec<(i64, String)> {
        sqlx::query_as(sql).fetch_all(&self.pool).await.expect(sql)
    }
}

pub fn merge(body: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("an object")
    };
    body.as_object_mut().expect("an object").extend(more);
}

/// Waits until something is so; long, as a guard against waiting for ever only.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never became so");
}

/// The n-th of a series of ids.
pub fn id(n: u32) -> Uuid {
    Uuid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + u128::from(n))
}

/// Principals number `range`, named after `word`.
pub fn people(range: std::ops::Range<u32>, word: &str) -> Value {
    range
        .map(|n| json!({"id": id(n), "displayName": format!("{word} {n}")}))
        .collect()
}

/// Direct memberships of principals `members` in group `group`.
pub fn members(group: u32, members: std::ops::Range<u32>) -> Vec<Value> {
    members
        .map(|n| json!({"resourceId": id(group), "principalId": id(n), "assignmentType": "Direct"}))
        .collect()
}
