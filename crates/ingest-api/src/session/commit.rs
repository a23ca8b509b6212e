//! The end of a load: what was not met is removed, or held.

use contract::{Completeness, IngestAnswer, NewDeltaToken, SyncMode, session::SessionState};
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Arrived, Session, batch::touch, completeness, gate, removals, store};
use crate::{
    app::AppState,
    auth::Caller,
    deletion::{self, Removal},
    delta_token,
    durable::retrying,
    error::ApiError,
};

/// What a commit says.
#[derive(Debug)]
pub struct End {
    /// How many batches were sent, where they are numbered.
    pub batches: Option<u64>,
    /// What was read to its end.
    pub completeness: Completeness,
    /// Where the next delta readings begin.
    pub delta_tokens: Vec<NewDeltaToken>,
}

/// Commits a session. A commit that is repeated after a lost answer gets the same answer.
pub async fn commit(
    state: &AppState,
    caller: &Caller,
    sync_id: Uuid,
    end: &End,
) -> Result<IngestAnswer, ApiError> {
    retrying(|| async {
        let started = std::time::Instant::now();
        let mut transaction = state.pool.begin().await?;
        // Before the session itself: its batches go through the gate before they share it.
        let is_closed = removals::are_staged(&mut transaction, sync_id).await?;
        if is_closed {
            let session = store::load(&mut transaction, caller, sync_id, false).await?;
            let wanted = &session.wanted;
            gate::close_to_remove(&mut transaction, wanted.system_id, wanted.entity).await?;
        }
        store::hold_alone(&mut transaction, sync_id).await?;
        if !is_closed && removals::are_staged(&mut transaction, sync_id).await? {
            // They came at this very moment.
            return Err(ApiError::Contention);
        }
        let session = store::load(&mut transaction, caller, sync_id, false).await?;
        if session.state == SessionState::Committed {
            return Ok(session.totals);
        }
        session.require_open()?;
        if let Some(batches) = end.batches {
            require_all(&mut transaction, sync_id, batches).await?;
        }
        let mut answer = batch_totals(&mut transaction, &session).await?;
        answer.duplicates += store::met_again(&mut transaction, sync_id).await?;
        let deleted_before = answer.deleted;
        conclude(
            &mut transaction,
            caller,
            &session,
            &end.completeness,
            &mut answer,
        )
        .await?;
        let system_id = session.wanted.system_id;
        delta_token::save(
            &mut transaction,
            system_id,
            Some(sync_id),
            &end.delta_tokens,
        )
        .await?;
        answer.duration_ms += started.elapsed().as_millis() as u64;
        close(&mut transaction, &session, &end.completeness, &answer).await?;
        transaction.commit().await?;
        state
            .metrics
            .removed(session.wanted.entity, answer.deleted - deleted_before);
        state
            .statistics
            .note(session.spec()?.table, answer.inserted);
        if answer.deleted > 0 {
            (state.attributes.catalogue).note_changed(session.wanted.entity);
        }
        Ok(answer)
    })
    .await
}

/// Removes, or holds, what a full load did not meet, or what a delta session named.
pub async fn conclude(
    connection: &mut PgConnection,
    caller: &Caller,
    session: &Session,
    completeness: &Completeness,
    answer: &mut IngestAnswer,
) -> Result<(), ApiError> {
    if session.wanted.sync_mode == SyncMode::Delta {
        if session.takes_removals() && removals::are_staged(connection, session.sync_id).await? {
            let removal = deletion::conclude_named(connection, caller, session).await?;
            note(answer, removal);
            removals::forget(connection, session.sync_id).await?;
        }
        return Ok(());
    }
    completeness::check(completeness, session)?;
    let removal = deletion::conclude(connection, caller, session, completeness).await?;
    if !matches!(removal, Removal::Skipped(_)) {
        answer.spared += deletion::spared(connection, session, completeness).await?;
    }
    note(answer, removal);
    Ok(())
}

fn note(answer: &mut IngestAnswer, removal: Removal) {
    match removal {
        Removal::Applied(count) => answer.deleted += count,
        Removal::Held(held) => answer.held = Some(held),
        Removal::Skipped(why) => answer.removals_skipped = Some(why),
    }
}

/// Writes the end of a load.
pub async fn close(
    connection: &mut PgConnection,
    session: &Session,
    completeness: &Completeness,
    answer: &IngestAnswer,
) -> Result<(), ApiError> {
    // Only a load whose whole scope was judged can stand as what the next one is compared with.
    let is_settled = session.wanted.sync_mode == SyncMode::Full
        && answer.held.is_none()
        && answer.removals_skipped.is_none()
        && completeness.incomplete_parents.is_empty()
        && completeness.complete_parents.is_empty();
    let removed = Arrived {
        answer: IngestAnswer {
            deleted: answer.deleted,
            ..IngestAnswer::default()
        },
        unidentified: 0,
    };
    touch(connection, session.sync_id, &removed).await?;
    let closed = sqlx::query(
        "update sync_sessions set state = 'committed', closed_at = clock_timestamp(), totals = $2, is_settled = $3 \
         where sync_id = $1 and state = 'open'",
    )
    .bind(session.sync_id)
    .bind(Json(answer))
    .bind(is_settled)
    .execute(&mut *connection)
    .await?;
    if closed.rows_affected() != 1 {
        // It was ended by somebody else after we read it; what we are about to commit rests on that reading.
        return Err(ApiError::Contention);
    }
    Ok(())
}

async fn require_all(
    connection: &mut PgConnection,
    sync_id: Uuid,
    batches: u64,
) -> Result<(), ApiError> {
    let arrived = count_batches(connection, sync_id).await?;
    // Bounded by what arrived, not by what the caller says.
    let last = batches.min(arrived + 10);
    let missing: Vec<i64> = sqlx::query_scalar(
        "select n from generate_series(0, $2 - 1) n \
         where not exists (select from sync_batches b where b.sync_id = $1 and b.seq = n) limit 10",
    )
    .bind(sync_id)
    .bind(last as i64)
    .fetch_all(&mut *connection)
    .await?;
    let detail = if !missing.is_empty() {
        format!("batches are missing, among them {missing:?}; send them, then commit again")
    } else if arrived > batches {
        format!("{arrived} batches arrived, but the commit speaks of {batches}")
    } else {
        return Ok(());
    };
    Err(ApiError::Conflict {
        detail,
        sync_id: Some(sync_id),
    })
}

/// How many batches arrived.
pub async fn count_batches(connection: &mut PgConnection, sync_id: Uuid) -> Result<u64, ApiError> {
    let count: i64 = sqlx::query_scalar("select count(*) from sync_batches where sync_id = $1")
        .bind(sync_id)
        .fetch_one(connection)
        .await?;
    Ok(count as u64)
}

/// The sum of the batches' answers.
pub async fn batch_totals(
    connection: &mut PgConnection,
    session: &Session,
) -> Result<IngestAnswer, ApiError> {
    let mut totals = IngestAnswer {
        sync_id: Some(session.sync_id),
        table: session.spec()?.table.to_owned(),
        ..IngestAnswer::default()
    };
    // One after the other: nobody bounds how many there are.
    let mut answers =
        sqlx::query_scalar("select answer from sync_batches where sync_id = $1 order by seq")
            .bind(session.sync_id)
            .fetch(connection);
    while let Some(Json(answer)) = answers.try_next().await? {
        let answer: IngestAnswer = answer;
        totals.add(&answer);
        totals.duration_ms += answer.duration_ms;
    }
    Ok(totals)
}
