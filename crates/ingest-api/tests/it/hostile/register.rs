//! A server process over its own durable PostgreSQL, with a key and a system.

use std::path::Path;

use contract::SystemId;
use serde_json::json;
use tempfile::TempDir;

use super::{postgres::Postgres, server::ServerProcess};
use crate::client::{Call, Client};

/// Both processes; they end with the value.
pub struct Register {
    // The order in which they are dropped.
    pub server: ServerProcess,
    pub postgres: Postgres,
    pub client: Client,
    pub system_id: SystemId,
    /// Removed at the very end.
    place: Option<TempDir>,
}

impl Register {
    pub async fn start() -> Self {
        let place = tempfile::tempdir().expect("a temporary folder");
        let postgres = Postgres::start(place.path(), &[]).await;
        let mut register = Self::over(postgres, place.path()).await;
        register.place = Some(place);
        register
    }

    /// Over a PostgreSQL of the test's making. The server writes its log into `folder`.
    pub async fn over(postgres: Postgres, folder: &Path) -> Self {
        let server = ServerProcess::start(folder, postgres.url()).await;
        let (key, _) = postgres.new_key().await;
        let client = Client::new(&server.base(), &key);
        let mut register = Self {
            server,
            postgres,
            client,
            system_id: 0,
            place: None,
        };
        register.system_id = register.new_system("Tenant").await;
        register
    }

    pub async fn new_system(&self, name: &str) -> SystemId {
        let body = json!({"records": [{"systemType": "Test", "displayName": name}]});
        let call = Call::post("/api/ingest/systems", &body);
        let made = self.client.insist(&call).await.expect(201);
        made["systemIds"][0].as_i64().expect("a number") as SystemId
    }
}
