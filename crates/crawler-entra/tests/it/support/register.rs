//! A register that takes everything and remembers it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use contract::{
    Completeness, RunReport,
    session::{Commit, OpenSession, SessionState, SessionStatus},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A session as it went.
#[derive(Debug, Clone)]
pub struct Session {
    pub open: OpenSession,
    pub batches: BTreeMap<u64, Vec<Value>>,
    pub state: SessionState,
    pub completeness: Option<Completeness>,
}

impl Session {
    pub fn records(&self) -> impl Iterator<Item = &Value> {
        self.batches.values().flatten()
    }
}

#[derive(Default)]
struct Memory {
    sessions: BTreeMap<Uuid, Session>,
    systems: Vec<Value>,
    reports: Vec<RunReport>,
    refreshes: u64,
    /// Batches to refuse with 503 first.
    busy: u32,
    held: Option<contract::Held>,
    /// The key may read only.
    is_read_only: bool,
    /// The key may give attributes columns.
    may_promote: bool,
    /// What a crawler wanted columns for.
    promotions: Vec<Value>,
}

struct Shared {
    key: String,
    memory: Mutex<Memory>,
}

pub struct Register {
    address: String,
    shared: Arc<Shared>,
    stopping: CancellationToken,
    server: JoinHandle<()>,
}

impl Register {
    pub async fn start(key: &str) -> Self {
        let shared = Arc::new(Shared {
            key: format!("Bearer {key}"),
            memory: Mutex::default(),
        });
        let router = Router::new()
            .route("/api/crawlers/whoami", get(whoami))
            .route("/api/crawlers/delta-tokens", get(no_tokens))
            .route("/api/crawlers/delta-tokens/{endpoint}", put(save_token))
            .route("/api/attributes/promotions", put(promote))
            .route("/api/ingest/systems", post(systems))
            .route("/api/ingest/sessions", post(open))
            .route("/api/ingest/sessions/{id}", get(status))
            .route("/api/ingest/sessions/{id}/batches/{seq}", put(batch))
            .route("/api/ingest/sessions/{id}/commit", post(commit))
            .route("/api/ingest/sessions/{id}/abort", post(abort))
            .route("/api/ingest/runs/{id}/claim", post(claim))
            .route("/api/ingest/runs/{id}/checkpoint", put(checkpoint))
            .route("/api/ingest/refresh-views", post(refresh))
            .route("/api/ingest/sync-log", post(sync_log))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let stopping = CancellationToken::new();
        let until = stopping.clone();
        let server = tokio::spawn(async move {
            let serve = axum::serve(listener, router);
            let _ = serve
                .with_graceful_shutdown(async move { until.cancelled().await })
                .await;
        });
        Self {
            address,
            shared,
            stopping,
            server,
        }
    }

    pub fn base_url(&self) -> url::Url {
        self.address.parse().expect("url")
    }

    pub async fn stop(self) {
        self.stopping.cancel();
        // Idle connections of a client that still lives are none of the test's business.
        let grace = std::time::Duration::from_millis(200);
        let _ = tokio::time::timeout(grace, self.server).await;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().expect("memory")
    }

    pub fn be_busy(&self, batches: u32) {
        self.memory().busy = batches;
    }

    pub fn let_promote(&self) {
        self.memory().may_promote = true;
    }

    pub fn promotions(&self) -> Vec<Value> {
        self.memory().promotions.clone()
    }

    pub fn let_nobody_ingest(&self) {
        self.memory().is_read_only = true;
    }

    pub fn hold_removals(&self, held: contract::Held) {
        self.memory().held = Some(held);
    }

    /// The sessions in the order in which they were opened: their ids grow.
    pub fn sessions(&self) -> Vec<Session> {
        self.memory().sessions.values().cloned().collect()
    }

    pub fn system(&self) -> Value {
        self.memory()
            .systems
            .last()
            .cloned()
            .expect("a system was posted")
    }

    pub fn reports(&self) -> Vec<RunReport> {
        self.memory().reports.clone()
    }

    pub fn refreshes(&self) -> u64 {
        self.memory().refreshes
    }

    /// The one committed or aborted session of a scope.
    pub fn session(&self, entity: &str, scope: &[(&str, &str)]) -> Session {
        let found = self.find(entity, scope);
        assert_eq!(found.len(), 1, "sessions of {entity} {scope:?}");
        found.into_iter().next().expect("one")
    }

    pub fn find(&self, entity: &str, scope: &[(&str, &str)]) -> Vec<Session> {
        let wanted: contract::Scope = scope
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.sessions()
            .into_iter()
            .filter(|s| s.open.entity.wire_name() == entity && s.open.scope == wanted)
            .collect()
    }

    /// Opens a session that stands in the way of the next one of the same scope.
    pub fn occupy(&self, entity: contract::Entity, scope: &[(&str, &str)]) -> Uuid {
        let id = Uuid::now_v7();
        let session = Session {
            open: OpenSession {
                system_id: 1,
                entity,
                sync_mode: contract::SyncMode::Full,
                scope: scope
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
                id_generation: contract::IdGeneration::Native,
                id_prefix: None,
                source_filter: None,
                run_id: None,
                read_began_ms_ago: None,
            },
            batches: BTreeMap::new(),
            state: SessionState::Open,
            completeness: None,
        };
        self.memory().sessions.insert(id, session);
        id
    }

    pub fn state_of(&self, id: Uuid) -> SessionState {
        self.memory().sessions[&id].state
    }
}

fn problem(status: StatusCode, detail: &str, sync_id: Option<Uuid>) -> Response {
    let body = json!({"type": "/problems/test", "title": "no", "status": status.as_u16(), "detail": detail,
        "error": detail, "syncId": sync_id});
    (status, Json(body)).into_response()
}

fn refusal(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    (given != Some(shared.key.as_str()))
        .then(|| problem(StatusCode::UNAUTHORIZED, "the key is not known", None))
}

fn parse(headers: &HeaderMap, body: &Bytes) -> Value {
    let is_zstd = headers
        .get("content-encoding")
        .is_some_and(|value| value == "zstd");
    let json = if is_zstd {
        zstd::stream::decode_all(body.as_ref()).expect("zstd")
    } else {
        body.to_vec()
    };
    serde_json::from_slice(&json).expect("JSON")
}

/// Nobody saved any.
async fn no_tokens() -> Json<Value> {
    Json(json!({"items": []}))
}

async fn save_token(Path(endpoint): Path<String>, Json(token): Json<Value>) -> Json<Value> {
    Json(
        json!({"endpoint": endpoint, "configHash": token["configHash"], "token": token["token"],
                "savedAt": chrono::Utc::now(), "ageSeconds": 0}),
    )
}

async fn whoami(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = refusal(&shared, &headers) {
        return refused;
    }
    let memory = shared.memory.lock().expect("memory");
    let permissions = match (memory.is_read_only, memory.may_promote) {
        (true, _) => vec!["read"],
        (false, true) => vec!["ingest", "schema"],
        (false, false) => vec!["ingest"],
    };
    let who = json!({"keyId": "k", "name": "test", "permissions": permissions, "createdAt": "2026-01-01T00:00:00Z",
        "serverVersion": "0"});
    Json(who).into_response()
}

/// Refuses everything: no crawl may fail because of it.
async fn promote(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = parse(&headers, &body);
    let wanted = request["promotions"].as_array().expect("a list").clone();
    shared
        .memory
        .lock()
        .expect("memory")
        .promotions
        .extend(wanted);
    let problem = json!({"type": "/problems/forbidden", "title": "Not allowed", "status": 403, "detail": "no"});
    (StatusCode::FORBIDDEN, Json(problem)).into_response()
}

async fn systems(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = parse(&headers, &body);
    shared
        .memory
        .lock()
        .expect("memory")
        .systems
        .push(request["records"][0].clone());
    let answer = json!({"table": "systems", "inserted": 1, "records": 1, "systemIds": [1]});
    (StatusCode::CREATED, Json(answer)).into_response()
}

/// Every run is new here: going on with one is tested against the real register.
async fn claim(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = refusal(&shared, &headers) {
        return refused;
    }
    Json(json!({"epoch": 1, "isResumed": false, "beganMsAgo": 0})).into_response()
}

async fn checkpoint(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    refusal(&shared, &headers).unwrap_or_else(|| StatusCode::NO_CONTENT.into_response())
}

async fn open(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let open: OpenSession = serde_json::from_value(parse(&headers, &body)).expect("open session");
    let mut memory = shared.memory.lock().expect("memory");
    let in_the_way = memory.sessions.iter().find(|(_, s)| {
        s.state == SessionState::Open && s.open.entity == open.entity && s.open.scope == open.scope
    });
    if let Some((id, _)) = in_the_way {
        return problem(
            StatusCode::CONFLICT,
            "a session of this scope is open",
            Some(*id),
        );
    }
    let id = Uuid::now_v7();
    let session = Session {
        open,
        batches: BTreeMap::new(),
        state: SessionState::Open,
        completeness: None,
    };
    memory.sessions.insert(id, session);
    let opened = json!({"syncId": id, "expiresAt": "2027-01-01T00:00:00Z"});
    (StatusCode::CREATED, Json(opened)).into_response()
}

async fn status(State(shared): State<Arc<Shared>>, Path(id): Path<Uuid>) -> Response {
    let memory = shared.memory.lock().expect("memory");
    let Some(session) = memory.sessions.get(&id) else {
        return problem(StatusCode::NOT_FOUND, "there is no such session", None);
    };
    let status = SessionStatus {
        sync_id: id,
        state: session.state,
        system_id: session.open.system_id,
        entity: session.open.entity,
        sync_mode: session.open.sync_mode,
        scope: session.open.scope.clone(),
        run_id: session.open.run_id,
        opened_at: "2026-12-31T00:00:00Z".parse().expect("a moment"),
        expires_at: "2027-01-01T00:00:00Z".parse().expect("a moment"),
        batches: session.batches.len() as u64,
        next_seq: session.batches.len() as u64,
        missing: Vec::new(),
        totals: contract::IngestAnswer::default(),
    };
    Json(status).into_response()
}

async fn batch(
    State(shared): State<Arc<Shared>>,
    Path((id, seq)): Path<(Uuid, u64)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut memory = shared.memory.lock().expect("memory");
    if memory.busy > 0 {
        memory.busy -= 1;
        let busy = problem(StatusCode::SERVICE_UNAVAILABLE, "busy", None);
        return ([("retry-after", "0")], busy).into_response();
    }
    let records = parse(&headers, &body)["records"]
        .as_array()
        .expect("records")
        .clone();
    let count = records.len();
    let Some(session) = memory
        .sessions
        .get_mut(&id)
        .filter(|s| s.state == SessionState::Open)
    else {
        return problem(StatusCode::CONFLICT, "the session is not open", None);
    };
    let earlier = session.batches.insert(seq, records);
    assert!(earlier.is_none(), "batch {seq} came twice");
    Json(json!({"syncId": id, "table": "t", "inserted": count, "records": count})).into_response()
}

async fn commit(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let commit: Commit = serde_json::from_value(parse(&headers, &body)).expect("commit");
    let mut memory = shared.memory.lock().expect("memory");
    let held = memory.held.clone();
    let Some(session) = memory
        .sessions
        .get_mut(&id)
        .filter(|s| s.state == SessionState::Open)
    else {
        return problem(StatusCode::CONFLICT, "the session is not open", None);
    };
    if session.batches.len() as u64 != commit.batches {
        return problem(StatusCode::CONFLICT, "a batch is missing", None);
    }
    session.state = SessionState::Committed;
    session.completeness = Some(commit.completeness);
    let held = held.filter(|_| session.open.entity == contract::Entity::Principals);
    let total = session.records().count();
    Json(json!({"syncId": id, "table": "t", "inserted": total, "records": total, "held": held}))
        .into_response()
}

async fn abort(State(shared): State<Arc<Shared>>, Path(id): Path<Uuid>) -> Response {
    let mut memory = shared.memory.lock().expect("memory");
    if let Some(session) = memory.sessions.get_mut(&id) {
        session.state = SessionState::Aborted;
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn refresh(State(shared): State<Arc<Shared>>) -> Response {
    shared.memory.lock().expect("memory").refreshes += 1;
    StatusCode::ACCEPTED.into_response()
}

async fn sync_log(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let report: RunReport = serde_json::from_value(parse(&headers, &body)).expect("a run report");
    shared.memory.lock().expect("memory").reports.push(report);
    (StatusCode::CREATED, Json(json!({}))).into_response()
}
