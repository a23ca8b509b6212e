//! Runs that are claimed, remembered and gone on with, and the sessions that they find again.

mod checkpoints;
mod sessions;

use chrono::Utc;
use contract::{
    CheckpointEntry, Entity, Permission, RunOutcome, RunReport, SyncMode, Traffic,
    session::OpenSession,
};
use ingest_client::{ClientError, IngestClient};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::TestApp;

pub fn client_of(app: &TestApp, key: &str) -> IngestClient {
    let address = app.base().parse().expect("an address");
    IngestClient::new(address, key.to_owned().into()).expect("a client")
}

pub fn client(app: &TestApp) -> IngestClient {
    client_of(app, &app.key)
}

pub fn entry(stream: &str, key: &str, value: Value) -> CheckpointEntry {
    CheckpointEntry {
        stream: stream.into(),
        key: key.into(),
        value,
    }
}

pub fn report(app: &TestApp, run_id: Uuid, outcome: RunOutcome) -> RunReport {
    RunReport {
        run_id,
        system_id: Some(app.system_id),
        crawler: "test".into(),
        mode: SyncMode::Full,
        outcome,
        message: None,
        started_at: Utc::now(),
        finished_at: Utc::now(),
        collections: Vec::new(),
        other: contract::Cost::default(),
        traffic: Traffic::default(),
    }
}

pub fn open(app: &TestApp, run_id: Option<Uuid>, sync_mode: SyncMode) -> OpenSession {
    OpenSession {
        system_id: app.system_id,
        entity: Entity::Principals,
        sync_mode,
        scope: contract::Scope::new(),
        id_generation: contract::IdGeneration::Native,
        id_prefix: None,
        source_filter: None,
        run_id,
        read_began_ms_ago: None,
    }
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, ClientError>, status: u16) -> String {
    let error = outcome.expect_err("refused");
    assert_eq!(error.status(), Some(status), "{error}");
    error.to_string()
}

/// A key of another workspace.
pub async fn foreign_key(app: &TestApp) -> String {
    let workspace: i32 = sqlx::query_scalar(
        "insert into workspaces (name) values ('other') on conflict (name) do update set name = excluded.name returning workspace_id",
    )
    .fetch_one(&app.pool)
    .await
    .expect("a workspace");
    let key = app.new_key(&Permission::ALL, None).await;
    let key_id = key.trim_start_matches("fgc_").split('_').next();
    sqlx::query("update api_keys set workspace_id = $1 where key_id = $2")
        .bind(workspace)
        .bind(key_id)
        .execute(&app.pool)
        .await
        .expect("moved");
    key
}

pub async fn rotated(app: &TestApp) -> String {
    let answer = app.post("/api/crawlers/rotate", &json!({})).await;
    answer.expect(201)["key"]
        .as_str()
        .expect("a key")
        .to_owned()
}
