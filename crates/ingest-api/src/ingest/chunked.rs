//! The chunked form of older callers: `start`, `continue`, `end`, one after the other.

use std::sync::Arc;

use axum::http::StatusCode;
use contract::{Entity, IngestAnswer, SyncStep, session::SessionState};
use uuid::Uuid;

use super::envelope::Envelope;
use crate::{
    app::AppState,
    auth::Caller,
    body::RecordTexts,
    error::ApiError,
    session::{self, Form, Place},
};

/// Takes one step of a chunked load.
pub async fn step(
    state: &AppState,
    caller: &Caller,
    entity: Entity,
    step: SyncStep,
    envelope: &Envelope,
    body_hash: [u8; 32],
    texts: Arc<RecordTexts>,
) -> Result<(StatusCode, IngestAnswer), ApiError> {
    if envelope.atomic {
        return Err(ApiError::bad_field(
            "atomic",
            "a load in chunks cannot be atomic",
        ));
    }
    if !envelope.deleted_ids.is_empty() {
        return Err(ApiError::bad_field(
            "deletedIds",
            "removals by key are sent in a single call",
        ));
    }
    let sync_id = match (step, envelope.sync_id) {
        (SyncStep::Start, None) => {
            session::open(state, caller, Form::Chunked, envelope.load(entity)?)
                .await?
                .sync_id
        }
        (SyncStep::Start, Some(_)) => {
            return Err(ApiError::bad_field(
                "syncId",
                "a 'start' gets its syncId from the answer",
            ));
        }
        (_, Some(sync_id)) => {
            if let Some(answer) =
                require_same_load(state, caller, sync_id, entity, step, envelope).await?
            {
                return Ok((StatusCode::OK, answer));
            }
            sync_id
        }
        (_, None) => {
            return Err(ApiError::bad_field(
                "syncId",
                "'syncId' of the 'start' is missing",
            ));
        }
    };
    let put = session::put_batch(state, caller, sync_id, Place::Next, body_hash, texts).await;
    let answer = match put {
        Ok(answer) => answer,
        Err(error) => {
            // The chunked form has no numbers that would show the gap at the end.
            session::mark_incomplete(&state.pool, sync_id).await?;
            return Err(error);
        }
    };
    match step {
        SyncStep::Start => Ok((StatusCode::CREATED, answer)),
        SyncStep::Continue => Ok((StatusCode::OK, answer)),
        SyncStep::End => {
            let answer =
                session::commit(state, caller, sync_id, None, envelope.completeness()).await?;
            Ok((StatusCode::OK, answer))
        }
    }
}

/// A session belongs to its entity, system and form. An `end` that is repeated after a lost answer gets it again.
async fn require_same_load(
    state: &AppState,
    caller: &Caller,
    sync_id: Uuid,
    entity: Entity,
    step: SyncStep,
    envelope: &Envelope,
) -> Result<Option<IngestAnswer>, ApiError> {
    let session =
        session::load_session(&mut *state.pool.acquire().await?, caller, sync_id, false).await?;
    let is_same = session.is_chunked
        && session.wanted.entity == entity
        && envelope
            .system_id
            .is_none_or(|system_id| system_id == session.wanted.system_id)
        && envelope
            .scope
            .as_ref()
            .is_none_or(|scope| *scope == session.wanted.scope);
    if !is_same {
        return Err(ApiError::Conflict {
            detail:
                "the session was started for another entity, system or scope, or in the native form"
                    .into(),
            sync_id: Some(sync_id),
        });
    }
    if step == SyncStep::End && session.state == SessionState::Committed {
        return Ok(Some(session.totals));
    }
    session.require_open()?;
    Ok(None)
}
