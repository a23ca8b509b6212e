//! The calls of the ingest API.

use std::{fmt, sync::Arc};

use contract::{
    Entity, IngestAnswer, IngestRequest, PromoteAll, PromotedAll, RunReport, SystemId, WhoAmI,
    records::System,
    session::{OpenSession, SessionOpened, SessionStatus},
};
use reqwest::Method;
use secrecy::SecretString;
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::{
    ClientBuilder, ClientError, SyncSession,
    transport::{Body, Call, CallFailed, Transport},
};

/// A client of one register with one key. Cheap to clone.
#[derive(Clone)]
pub struct IngestClient {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub transport: Transport,
    pub compression: bool,
}

impl fmt::Debug for IngestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestClient")
            .field("root", &self.inner.transport.root.as_str())
            .finish_non_exhaustive()
    }
}

/// What to do about another session of the same scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// Abort the session that stands in the way and open again, instead of failing with
    /// [`ClientError::SessionInTheWay`].
    pub take_over: bool,
}

impl IngestClient {
    /// A client with the default options. The address may or may not end in `/api`.
    pub fn new(base_url: Url, api_key: SecretString) -> Result<Self, ClientError> {
        Self::builder(base_url, api_key).build()
    }

    /// A client with other options.
    pub fn builder(base_url: Url, api_key: SecretString) -> ClientBuilder {
        ClientBuilder::new(base_url, api_key)
    }

    /// The same client for whoever claimed a run: loads of theirs are refused (409) once somebody else has claimed it.
    #[must_use]
    pub fn under_claim(&self, run_id: Uuid, epoch: i32) -> Self {
        let mut transport = self.inner.transport.clone();
        transport.claim = Some(format!("{run_id} {epoch}"));
        Self::from_inner(Arc::new(Inner {
            transport,
            compression: self.inner.compression,
        }))
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) fn compression(&self) -> bool {
        self.inner.compression
    }

    pub(crate) async fn send(&self, call: &Call) -> Result<crate::transport::Reply, CallFailed> {
        self.inner.transport.send(call).await
    }

    /// Which key this is and what it may do. Not tried for long.
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        let mut call = Call::new("check the API key", Method::GET, "crawlers/whoami");
        // Somebody who starts a crawl waits for this.
        call.max_attempts = Some(4);
        self.send(&call).await?.json()
    }

    /// Makes the system known, or updates what is said about it, and returns its id.
    pub async fn upsert_system(&self, system: &System) -> Result<SystemId, ClientError> {
        let request = IngestRequest {
            records: vec![system],
            system_id: None,
            sync_mode: contract::SyncMode::Delta,
            scope: contract::Scope::new(),
            deleted_ids: Vec::new(),
            id_generation: contract::IdGeneration::Native,
            id_prefix: None,
            sync_session: None,
            sync_id: None,
            atomic: false,
            complete: None,
            incomplete_parents: Vec::new(),
            complete_parents: Vec::new(),
            source_filter: None,
            read_began_ms_ago: None,
        };
        let answer = self.post(Entity::Systems, &request).await?;
        let id = answer.system_ids.as_ref().and_then(|ids| *ids.first()?);
        id.ok_or_else(|| {
            let reason = match answer.errors.first() {
                Some(error) => format!("the system was refused: {}", error.detail),
                None => "it names no system id".to_owned(),
            };
            ClientError::UnusableAnswer {
                operation: "post records",
                status: 201,
                reason,
            }
        })
    }

    /// Posts records in a single call. A retry is safe: it carries the same `Idempotency-Key`.
    pub async fn post<R: Serialize>(
        &self,
        entity: Entity,
        request: &IngestRequest<R>,
    ) -> Result<IngestAnswer, ClientError> {
        let call = Call::new("post records", Method::POST, format!("ingest/{entity}"))
            .body(self.records_body(request)?)
            .idempotent();
        self.send(&call).await?.json()
    }

    /// Opens a session for one scope.
    ///
    /// Await it to its end: dropped half-way, it may leave an open session that nobody knows and that blocks its scope
    /// until it expires.
    pub async fn open_session(
        &self,
        open: &OpenSession,
        options: OpenOptions,
    ) -> Result<SyncSession, ClientError> {
        // The first refusal may be taken over, and so may the echo of our own lost answer; more would be a fight.
        for _ in 0..3 {
            let failed = match self.try_open(open).await {
                Ok(session) => return Ok(session),
                Err(failed) => failed,
            };
            let in_the_way = match failed.error.problem() {
                Some(problem) if problem.status == 409 => problem.sync_id,
                _ => None,
            };
            let Some(sync_id) = in_the_way else {
                return Err(failed.error);
            };
            let status = self.status_if_ours(sync_id).await?;
            let is_our_echo = failed.attempts > 1
                && status
                    .as_ref()
                    .is_some_and(|status| is_empty_session_of(status, open));
            if status.is_none() || !(options.take_over || is_our_echo) {
                let status = status.map(Box::new);
                return Err(ClientError::SessionInTheWay { sync_id, status });
            }
            self.abort_session(sync_id).await?;
        }
        Err(ClientError::Unreachable {
            operation: "open session",
            attempts: 3,
            reason: "another crawler keeps opening sessions of the same scope".to_owned(),
        })
    }

    async fn try_open(&self, open: &OpenSession) -> Result<SyncSession, CallFailed> {
        let body = small_body(open).map_err(|error| CallFailed { error, attempts: 0 })?;
        let call = Call::new("open session", Method::POST, "ingest/sessions")
            .body(body)
            .idempotent();
        let reply = self.send(&call).await?;
        let opened: SessionOpened = reply
            .json()
            .map_err(|error| CallFailed { error, attempts: 1 })?;
        Ok(SyncSession::new(self.clone(), opened.sync_id))
    }

    /// Where a session stands; `None` when it is not ours to see.
    async fn status_if_ours(&self, sync_id: Uuid) -> Result<Option<SessionStatus>, ClientError> {
        match self.session_status(sync_id).await {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a session stands.
    pub async fn session_status(&self, sync_id: Uuid) -> Result<SessionStatus, ClientError> {
        let path = format!("ingest/sessions/{sync_id}");
        let call = Call::new("session status", Method::GET, path);
        self.send(&call).await?.json()
    }

    /// A session that is open already, such as one that [`sessions_of_run`](Self::sessions_of_run) found; no call is made.
    pub fn session(&self, sync_id: Uuid) -> SyncSession {
        SyncSession::new(self.clone(), sync_id)
    }

    /// Gives up a session, whoever of this key opened it; it removes nothing. Not tried for long.
    pub async fn abort_session(&self, sync_id: Uuid) -> Result<(), ClientError> {
        let path = format!("ingest/sessions/{sync_id}/abort");
        let mut call = Call::new("abort session", Method::POST, path);
        call.max_attempts = Some(3);
        self.send(&call).await?;
        Ok(())
    }

    /// Asks for a refresh of the views whose tables changed; it runs in the background.
    pub async fn refresh_views(&self) -> Result<(), ClientError> {
        let call = Call::new("refresh views", Method::POST, "ingest/refresh-views").idempotent();
        self.send(&call).await?;
        Ok(())
    }

    /// Sees to it that attributes have columns of their own. Not tried for long: no load depends on it.
    pub async fn promote_attributes(
        &self,
        wanted: &PromoteAll,
    ) -> Result<PromotedAll, ClientError> {
        let mut call = Call::new("promote attributes", Method::PUT, "attributes/promotions")
            .body(small_body(wanted)?);
        call.max_attempts = Some(3);
        self.send(&call).await?.json()
    }

    /// Posts the report of a run.
    pub async fn post_run_report(&self, report: &RunReport) -> Result<(), ClientError> {
        let call = Call::new("post run report", Method::POST, "ingest/sync-log")
            .body(small_body(report)?)
            .idempotent();
        self.send(&call).await?;
        Ok(())
    }

    pub(crate) fn records_body<T: Serialize>(&self, value: &T) -> Result<Body, ClientError> {
        Body::json(to_json(value)?, self.inner.compression)
    }
}

/// Is this a session that we opened a moment ago and whose answer was lost?
fn is_empty_session_of(status: &SessionStatus, open: &OpenSession) -> bool {
    open.run_id.is_some()
        && status.run_id == open.run_id
        && status.entity == open.entity
        && status.scope == open.scope
        && status.batches == 0
}

/// The API decompresses bodies of records only; all others go as they are.
pub(crate) fn small_body<T: Serialize>(value: &T) -> Result<Body, ClientError> {
    Body::json(to_json(value)?, false)
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(value).map_err(|error| ClientError::Unserialisable(error.to_string()))
}
