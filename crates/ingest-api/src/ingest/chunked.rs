//! The chunked form of older callers: `start`, `continue`, `end`, one after the other.

use std::time::Duration;

use axum::http::StatusCode;
use contract::{Entity, IngestAnswer, Scope, SyncStep, session::SessionState};
use serde_json::Value;
use uuid::Uuid;

use super::{arrival::ArrivedAt, envelope::Envelope};
use crate::{
    app::AppState,
    auth::Caller,
    body::{Received, RecordBody},
    error::ApiError,
    record::{Decoded, Decoder},
    session::{self, Brought, Form, Place, Session},
};

/// One step of a chunked load.
pub struct Chunk<'a> {
    pub state: &'a AppState,
    pub caller: &'a Caller,
    pub entity: Entity,
    pub step: SyncStep,
    /// When it arrived.
    pub arrived: ArrivedAt,
}

impl Chunk<'_> {
    /// Takes the step.
    pub async fn take(
        &self,
        first: &Envelope,
        body: &mut RecordBody,
    ) -> Result<(StatusCode, IngestAnswer), ApiError> {
        match (self.step, first.sync_id) {
            (SyncStep::Start, None) => self.start(first, body).await,
            (SyncStep::Start, Some(_)) => Err(ApiError::bad_field(
                "syncId",
                "a 'start' gets its syncId from the answer",
            )),
            (_, Some(sync_id)) => self.next(sync_id, first, body).await,
            (_, None) => Err(ApiError::bad_field(
                "syncId",
                "'syncId' of the 'start' is missing",
            )),
        }
    }

    async fn start(
        &self,
        first: &Envelope,
        body: &mut RecordBody,
    ) -> Result<(StatusCode, IngestAnswer), ApiError> {
        let (state, caller) = (self.state, self.caller);
        let mut wanted = first.load(self.entity)?;
        session::check(state, caller, &mut wanted).await?;
        let received = read(body, session::decoder(state, &wanted)?).await?;
        // Opened when the records are here: a body that turns out to be bad leaves nothing behind.
        let mut wanted = received.envelope.load(self.entity)?;
        wanted.read_began_ms_ago = Some(self.arrived.read_began_ms_ago(&received.envelope));
        let opened = session::open(state, caller, Form::Chunked, wanted).await?;
        let session = self.session(opened.sync_id).await?;
        self.expect(&session).await?;
        Ok((StatusCode::CREATED, self.put(&session, &received).await?))
    }

    async fn next(
        &self,
        sync_id: Uuid,
        first: &Envelope,
        body: &mut RecordBody,
    ) -> Result<(StatusCode, IngestAnswer), ApiError> {
        let session = self.session(sync_id).await?;
        require_same_load(&session, self.entity, first)?;
        if self.step == SyncStep::End && session.state == SessionState::Committed {
            return self.answer_again(session, body).await;
        }
        session.require_open()?;
        self.expect(&session).await?;
        let received = read(body, session::decoder(self.state, &session.wanted)?).await?;
        require_same_load(&session, self.entity, &received.envelope)?;
        let mut answer = self.put(&session, &received).await?;
        if self.step == SyncStep::End {
            let end = session::End {
                batches: None,
                completeness: received.envelope.completeness(),
                delta_tokens: Vec::new(),
            };
            answer = session::commit(self.state, self.caller, sync_id, &end).await?;
        }
        Ok((StatusCode::OK, answer))
    }

    /// An `end` that is repeated after a lost answer gets it again. One with records that never came must not hear that
    /// they are stored.
    async fn answer_again(
        &self,
        session: Session,
        body: &mut RecordBody,
    ) -> Result<(StatusCode, IngestAnswer), ApiError> {
        let received = read(body, session::decoder(self.state, &session.wanted)?).await?;
        let is_known = received.records.records == 0
            || session::has_batch(&self.state.pool, session.sync_id, received.hash).await?;
        if !is_known {
            session.require_open()?;
        }
        Ok((StatusCode::OK, session.totals))
    }

    async fn session(&self, sync_id: Uuid) -> Result<Session, ApiError> {
        let mut connection = self.state.pool.acquire().await?;
        session::load_session(&mut connection, self.caller, sync_id, false).await
    }

    /// A chunk is on its way: until it is stored, nothing may be removed. The chunked form has no numbers that would show
    /// at the end that one is missing, and a server that crashes cannot say so later.
    async fn expect(&self, session: &Session) -> Result<(), ApiError> {
        session::mark_incomplete(&self.state.pool, self.caller, session.sync_id).await?;
        Ok(())
    }

    async fn put(
        &self,
        session: &Session,
        received: &Received<Envelope, Decoded>,
    ) -> Result<IngestAnswer, ApiError> {
        session::put_batch(
            self.state,
            self.caller,
            session,
            Place::Next,
            received.hash,
            Brought {
                records: &received.records,
                removals: &[],
            },
        )
        .await
    }
}

async fn read(
    body: &mut RecordBody,
    decoder: Decoder,
) -> Result<Received<Envelope, Decoded>, ApiError> {
    let received: Received<Envelope, Decoded> = body.read(decoder).await?;
    if received.envelope.atomic {
        return Err(ApiError::bad_field(
            "atomic",
            "a load in chunks cannot be atomic",
        ));
    }
    if !received.envelope.deleted_ids.is_empty() {
        return Err(ApiError::bad_field(
            "deletedIds",
            "removals by key are sent in a single call",
        ));
    }
    Ok(received)
}

/// A session belongs to its entity, system and form.
fn require_same_load(
    session: &Session,
    entity: Entity,
    envelope: &Envelope,
) -> Result<(), ApiError> {
    let is_same = session.form == Form::Chunked
        && session.wanted.entity == entity
        && envelope
            .system_id
            .is_none_or(|system_id| system_id == session.wanted.system_id)
        && envelope
            .scope
            .as_ref()
            .is_none_or(|scope| is_same_scope(scope, &session.wanted.scope));
    if is_same {
        return Ok(());
    }
    Err(ApiError::Conflict {
        detail:
            "the session was started for another entity, system or scope, or in the native form"
                .into(),
        sync_id: Some(session.sync_id),
    })
}

/// Ids are compared as ids: GUIDs come in either case, and the session has them in one.
fn is_same_scope(said: &Scope, kept: &Scope) -> bool {
    let is_same = |said: &str, kept: &str| {
        said == kept || said.parse::<Uuid>().is_ok_and(|id| id.to_string() == kept)
    };
    said.len() == kept.len()
        && said.iter().all(|(key, value)| {
            kept.get(key)
                .is_some_and(|kept_value| is_same(value, kept_value))
        })
}

/// Which load a call that failed belonged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// To none that was open.
    None,
    /// To this one.
    Of(Uuid),
    /// That cannot be told.
    Unknown,
}

impl Lost {
    /// What a call would lose whose fields are known.
    pub const fn by(envelope: &Envelope) -> Self {
        match (envelope.sync_session, envelope.sync_id) {
            (_, Some(sync_id)) => Self::Of(sync_id),
            (None | Some(SyncStep::Start), None) => Self::None,
            (Some(_), None) => Self::Unknown,
        }
    }

    /// What a call lost of which no more than this `syncId` was read.
    pub fn with(sync_id: Option<&Value>) -> Self {
        sync_id
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .map_or(Self::Unknown, Self::Of)
    }
}

/// A call failed that may have carried a chunk. The chunked form has no numbers that would show the gap at the end, so the
/// load that it belonged to must not remove anything.
pub async fn lost(
    state: &AppState,
    caller: &Caller,
    entity: Entity,
    lost: Lost,
) -> Result<(), ApiError> {
    if let Err(error) = mark(state, caller, entity, lost).await {
        // Why the call failed may be that the database is away for a moment.
        tracing::warn!(%error, "a lost chunk could not be marked yet");
        tokio::time::sleep(Duration::from_millis(500)).await;
        mark(state, caller, entity, lost).await?;
    }
    Ok(())
}

async fn mark(
    state: &AppState,
    caller: &Caller,
    entity: Entity,
    lost: Lost,
) -> Result<(), sqlx::Error> {
    match lost {
        Lost::None => Ok(()),
        Lost::Of(sync_id) if session::mark_incomplete(&state.pool, caller, sync_id).await? => {
            Ok(())
        }
        // An id that names no open load was meant to name one.
        Lost::Of(_) | Lost::Unknown => {
            session::mark_all_incomplete(&state.pool, caller, entity).await
        }
    }
}
