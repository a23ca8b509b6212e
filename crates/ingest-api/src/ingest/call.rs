//! A load in one call and one transaction.

use std::time::Instant;

use axum::http::{HeaderMap, StatusCode};
use contract::{Entity, IngestAnswer, SyncMode, session::OpenSession};
use serde_json::Value as Json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{arrival::ArrivedAt, envelope::Envelope, idempotency::Idempotency};
use crate::{
    app::AppState,
    auth::Caller,
    body::{Received, RecordBody},
    durable::retrying,
    error::ApiError,
    merge,
    record::{Decoded, Key},
    session::{self, Form, Session, gate},
};

/// A single call on its way.
pub struct Call<'a> {
    pub state: &'a AppState,
    pub caller: &'a Caller,
    pub entity: Entity,
    pub headers: &'a HeaderMap,
    /// When it arrived.
    pub arrived: ArrivedAt,
}

impl Call<'_> {
    /// Stores the records of the call; a full load also removes, or holds, what is missing. `first` are the fields that
    /// tell how the records are read.
    pub async fn store(
        &self,
        first: &Envelope,
        body: &mut RecordBody,
    ) -> Result<(StatusCode, IngestAnswer), ApiError> {
        let said = first.load(self.entity)?;
        let mut wanted = said.clone();
        session::check(self.state, self.caller, &mut wanted).await?;
        let decoder = session::decoder(self.state, &wanted)?;
        let received: Received<Envelope, Decoded> = body.read(decoder).await?;
        let all = received.envelope.load(self.entity)?;
        if all != said {
            // Fields behind the records, which they do not depend on.
            wanted = all;
            session::check(self.state, self.caller, &mut wanted).await?;
        }
        let idempotency = Idempotency::of(self.headers, self.entity, received.hash)?;
        let _room = self.state.ingest_room().await?;
        retrying(|| self.store_once(&received, wanted.clone(), idempotency.as_ref())).await
    }

    async fn store_once(
        &self,
        received: &Received<Envelope, Decoded>,
        mut wanted: OpenSession,
        idempotency: Option<&Idempotency>,
    ) -> Result<(StatusCode, IngestAnswer), ApiError> {
        let (state, caller, envelope) = (self.state, self.caller, &received.envelope);
        let started = Instant::now();
        let sync_id = Uuid::now_v7();
        let mut transaction = state.pool.begin().await?;
        // After the transaction began, whose moment it is counted from: however late that is, the source was read before
        // the call arrived.
        wanted.read_began_ms_ago = Some(self.arrived.read_began_ms_ago(envelope));
        if let Some(idempotency) = idempotency
            && let Some(earlier) = idempotency.earlier(&mut transaction, caller).await?
        {
            return Ok(earlier);
        }
        // Nobody knows of this load before it is done: a full one, which may remove, lets nobody pass meanwhile.
        match wanted.sync_mode {
            SyncMode::Full => {
                gate::close_to_remove(&mut transaction, wanted.system_id, self.entity).await?;
            }
            SyncMode::Delta => gate::enter(&mut transaction, wanted.system_id, self.entity).await?,
        }
        if let Err(in_the_way) =
            session::insert_session(&mut transaction, caller, sync_id, Form::Call, &wanted).await?
        {
            return Err(session::scope_is_busy(in_the_way));
        }
        let session = session::load_session(&mut transaction, caller, sync_id, false).await?;
        let mut arrived = session::apply_batch(
            &mut transaction,
            &session,
            0,
            &received.records,
            &state.news,
        )
        .await?;
        if envelope.atomic && !arrived.answer.errors.is_empty() {
            return Err(ApiError::RecordsRefused(arrived.answer.errors));
        }
        arrived.answer.deleted +=
            remove_named(&mut transaction, &session, &envelope.deleted_ids).await?;
        session::touch(&mut transaction, sync_id, &arrived).await?;

        // Read again: the refused records of this very call count against its completeness.
        let session = session::load_session(&mut transaction, caller, sync_id, false).await?;
        let mut answer = arrived.answer;
        let completeness = envelope.completeness();
        session::conclude(
            &mut transaction,
            caller,
            &session,
            &completeness,
            &mut answer,
        )
        .await?;
        answer.duration_ms = started.elapsed().as_millis() as u64;
        session::close(&mut transaction, &session, &completeness, &answer).await?;
        if let Some(idempotency) = idempotency {
            idempotency
                .keep(&mut transaction, caller, StatusCode::CREATED, &answer)
                .await?;
        }
        transaction.commit().await?;
        state.metrics.stored(self.entity, &answer);
        state
            .statistics
            .note(session.spec()?.table, answer.inserted);
        session::note_attributes(state, &session, &received.records, &answer).await;
        Ok((StatusCode::CREATED, answer))
    }
}

/// Removes the rows that `deletedIds` names; a key that names no row is no error.
pub async fn remove_named(
    connection: &mut PgConnection,
    session: &Session,
    deleted_ids: &[Json],
) -> Result<u64, ApiError> {
    if deleted_ids.is_empty() {
        return Ok(0);
    }
    let keys = session::named_keys(session, deleted_ids)?;
    let mut keys: Vec<Key> = keys.iter().map(|key| Key::new(key)).collect();
    keys.sort();
    keys.dedup();
    Ok(merge::remove(connection, session.load()?, &keys).await?)
}
