//! A batch of records: merged, answered, remembered by its number.

use std::sync::Arc;

use contract::{IngestAnswer, MAX_ERRORS_IN_ANSWER, session::OpenSession};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, types::Json};
use uuid::Uuid;

use super::{Session, gate, quarantine, removals, store};
use crate::{
    app::AppState,
    auth::Caller,
    durable::retrying,
    entity,
    error::ApiError,
    merge::{Load, News, merge},
    record::{Decoded, Decoder, LoadContext, Refusal, Value},
};

/// What a batch did, before it is committed.
pub struct Arrived {
    /// Counts and refusals.
    pub answer: IngestAnswer,
    /// Refused records whose row could not be told.
    pub unidentified: u64,
}

impl Arrived {
    /// Did any row change?
    pub const fn has_changes(&self) -> bool {
        self.answer.inserted + self.answer.updated + self.answer.deleted > 0
    }
}

/// What reads the records of a load.
pub fn decoder(state: &AppState, wanted: &OpenSession) -> Result<Decoder, ApiError> {
    let spec = entity::spec(wanted.entity)
        .ok_or_else(|| ApiError::internal("a load of an entity without a table"))?;
    Ok(Decoder::new(LoadContext {
        spec,
        schemas: Arc::clone(&state.schemas),
        system_id: wanted.system_id,
        mode: wanted.sync_mode,
        scope: wanted.scope.clone(),
        ids: store::id_rule(wanted),
    }))
}

/// Merges decoded records and stores the refused ones, inside the caller's transaction.
pub async fn apply_batch(
    connection: &mut PgConnection,
    session: &Session,
    seq: i64,
    decoded: &Decoded,
    news: &News,
) -> Result<Arrived, ApiError> {
    let load = Load {
        seq: session.takes_removals().then_some(seq),
        ..session.load()?
    };
    let scope = &session.wanted.scope;
    let merged = merge(connection, load, scope, &decoded.batch, news).await?;
    let unidentified = decoded
        .refusals
        .iter()
        .filter(|refusal| refusal.key.is_none())
        .count() as u64;
    let refused_late: Vec<Refusal> = merged
        .refused
        .into_iter()
        .map(|error| Refusal {
            key: None,
            excerpt: String::new(),
            error,
        })
        .collect();
    let mut refusals: Vec<&Refusal> = decoded.refusals.iter().chain(&refused_late).collect();
    refusals.sort_by_key(|refusal| refusal.error.index);
    quarantine::store(
        connection,
        load.sync_id,
        Some(load.system_id),
        load.spec.entity.wire_name(),
        seq,
        &refusals,
    )
    .await?;
    let answer = IngestAnswer {
        sync_id: Some(load.sync_id),
        table: load.spec.table.to_owned(),
        inserted: merged.inserted,
        updated: merged.updated,
        unchanged: merged.unchanged,
        duplicates: merged.duplicates,
        rejected: refusals.len() as u64,
        replaced_characters: decoded.replaced,
        errors: refusals
            .into_iter()
            .take(MAX_ERRORS_IN_ANSWER)
            .map(|refusal| refusal.error.clone())
            .collect(),
        records: decoded.records,
        ..IngestAnswer::default()
    };
    Ok(Arrived {
        answer,
        unidentified,
    })
}

/// Where a batch goes.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// The number that the caller gave it.
    At(i64),
    /// Behind the others (the chunked form of older callers, who send one after the other). The session was marked as
    /// incomplete when it came; the batch takes that back.
    Next,
}

/// What a batch brings.
#[derive(Debug, Clone, Copy)]
pub struct Brought<'a> {
    /// Its records.
    pub records: &'a Decoded,
    /// Keys of rows to remove at the commit, of a session that [takes them](Session::takes_removals). They come after the
    /// records.
    pub removals: &'a [Vec<Value>],
}

/// Takes a batch of an open session. The same number with the same bytes is answered as the first time.
pub async fn put_batch(
    state: &AppState,
    caller: &Caller,
    session: &Session,
    place: Place,
    body_hash: [u8; 32],
    brought: Brought<'_>,
) -> Result<IngestAnswer, ApiError> {
    let decoded = brought.records;
    let _room = state.ingest_room().await?;
    let sync_id = session.sync_id;
    let answer = retrying(|| async {
        let started = std::time::Instant::now();
        let mut transaction = state.pool.begin().await?;
        let (system_id, entity) = (session.wanted.system_id, session.wanted.entity);
        gate::enter_with(&mut transaction, system_id, entity, sync_id).await?;
        let now = store::load(&mut transaction, caller, sync_id, false).await?;
        if let Err(ended) = now.require_open() {
            // A batch that came in time is still answered as it was.
            let Place::At(seq) = place else {
                return Err(ended);
            };
            let earlier = earlier_answer(&mut transaction, sync_id, seq, &body_hash).await?;
            return earlier.ok_or(ended);
        }
        let Some(seq) = take_place(&mut transaction, sync_id, place, &body_hash).await? else {
            // It arrived before, maybe on another connection a moment ago.
            let Place::At(seq) = place else {
                return Err(ApiError::Contention);
            };
            let answer = earlier_answer(&mut transaction, sync_id, seq, &body_hash).await?;
            return answer.ok_or(ApiError::Contention);
        };
        let mut arrived = apply_batch(&mut transaction, session, seq, decoded, &state.news).await?;
        removals::stage(&mut transaction, sync_id, seq, brought.removals).await?;
        arrived.answer.duration_ms = started.elapsed().as_millis() as u64;
        remember(&mut transaction, sync_id, place, seq, &arrived).await?;
        transaction.commit().await?;
        state.metrics.stored(entity, &arrived.answer);
        Ok(arrived.answer)
    })
    .await?;
    note_attributes(state, session, decoded, &answer).await;
    Ok(answer)
}

/// After the commit of a batch: catalogues the attributes that it brought.
pub async fn note_attributes(
    state: &AppState,
    session: &Session,
    decoded: &Decoded,
    answer: &IngestAnswer,
) {
    let (system_id, entity) = (session.wanted.system_id, session.wanted.entity);
    let catalogue = &state.attributes.catalogue;
    catalogue
        .note(system_id, entity, session.sync_id, &decoded.attributes)
        .await;
    if answer.inserted + answer.updated + answer.deleted > 0 {
        catalogue.note_changed(entity);
    }
}

/// The answer that a batch with this number got; another body under the same number is an error.
async fn earlier_answer(
    connection: &mut PgConnection,
    sync_id: Uuid,
    seq: i64,
    body_hash: &[u8],
) -> Result<Option<IngestAnswer>, ApiError> {
    let earlier =
        sqlx::query("select body_hash, answer from sync_batches where sync_id = $1 and seq = $2")
            .bind(sync_id)
            .bind(seq)
            .fetch_optional(connection)
            .await?;
    let Some(earlier) = earlier else {
        return Ok(None);
    };
    if earlier.try_get::<Vec<u8>, _>("body_hash")? != body_hash {
        return Err(ApiError::Conflict {
            detail: format!("batch {seq} of the session arrived before with other bytes"),
            sync_id: Some(sync_id),
        });
    }
    Ok(Some(earlier.try_get::<Json<IngestAnswer>, _>("answer")?.0))
}

/// Did a batch with these bytes arrive?
pub async fn has_batch(
    pool: &PgPool,
    sync_id: Uuid,
    body_hash: [u8; 32],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from sync_batches where sync_id = $1 and body_hash = $2)",
    )
    .bind(sync_id)
    .bind(body_hash.as_slice())
    .fetch_one(pool)
    .await
}

/// Claims the batch's number; `None` when it is taken. Waits for a transaction that is claiming the same one.
async fn take_place(
    connection: &mut PgConnection,
    sync_id: Uuid,
    place: Place,
    body_hash: &[u8],
) -> Result<Option<i64>, ApiError> {
    let seq = match place {
        Place::At(seq) => Some(seq),
        Place::Next => None,
    };
    Ok(sqlx::query_scalar(
        "insert into sync_batches (sync_id, seq, body_hash, answer) \
         values ($1, coalesce($2, (select coalesce(max(seq) + 1, 0) from sync_batches where sync_id = $1)), $3, '{}') \
         on conflict do nothing returning seq",
    )
    .bind(sync_id)
    .bind(seq)
    .bind(body_hash)
    .fetch_optional(connection)
    .await?)
}

/// Notes that rows changed, for whatever is computed from them, and keeps the session from expiring. The session's row is
/// left alone while it says what it should: batches that arrive together would otherwise wait for each other's commit.
const TOUCH: &str = "changed as (insert into changes (system_id, entity, sync_id) \
     select s.system_id, s.entity, s.sync_id from sync_sessions s where s.sync_id = $1 and $3) \
     update sync_sessions set expires_at = now() + interval '24 hours 30 minutes', unidentified = unidentified + $2 \
     where sync_id = $1 and ($2 <> 0 or expires_at < now() + interval '24 hours')";

/// Stores the answer and moves the session on.
async fn remember(
    connection: &mut PgConnection,
    sync_id: Uuid,
    place: Place,
    seq: i64,
    arrived: &Arrived,
) -> Result<(), sqlx::Error> {
    // What was marked as missing when the batch came is there now.
    let marks = i64::from(matches!(place, Place::Next));
    sqlx::query(AssertSqlSafe(format!(
        "with kept as (update sync_batches set answer = $5 where sync_id = $1 and seq = $4), {TOUCH}"
    )))
    .bind(sync_id)
    .bind(arrived.unidentified as i64 - marks)
    .bind(arrived.has_changes())
    .bind(seq)
    .bind(Json(&arrived.answer))
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves a session on without a batch of its own.
pub async fn touch(
    connection: &mut PgConnection,
    sync_id: Uuid,
    arrived: &Arrived,
) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!("with {TOUCH}")))
        .bind(sync_id)
        .bind(arrived.unidentified as i64)
        .bind(arrived.has_changes())
        .execute(connection)
        .await?;
    Ok(())
}
