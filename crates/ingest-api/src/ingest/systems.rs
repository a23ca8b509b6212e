//! Records of systems: few, each answered with the number that the server gave it.

use std::time::Instant;

use axum::http::StatusCode;
use contract::{
    Entity, IngestAnswer, MAX_ERRORS_IN_ANSWER, RecordError, SyncMode, records::System,
};
use serde_json::{Map, Value as Json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::envelope::Envelope;
use crate::{
    app::AppState,
    auth::Caller,
    body::{RecordBody, Texts},
    durable::retrying,
    error::ApiError,
    record::{self, Refusal, Schemas},
    session,
    system::{self, Upserted},
};

/// Most systems in one call.
const MAX_SYSTEMS: usize = 1_000;

/// Stores the systems of a call. Systems are only ever added and changed: nothing removes one by its absence.
pub async fn store(
    state: &AppState,
    caller: &Caller,
    body: &mut RecordBody,
) -> Result<(StatusCode, IngestAnswer), ApiError> {
    let received = body.read::<Envelope, _>(Texts::new(MAX_SYSTEMS)).await?;
    let (envelope, texts) = (&received.envelope, &received.records);
    if envelope.sync_session.is_some() {
        return Err(ApiError::bad_field(
            "syncSession",
            "systems are posted in single calls",
        ));
    }
    if envelope
        .scope
        .as_ref()
        .is_some_and(|scope| !scope.is_empty())
    {
        return Err(ApiError::bad_field("scope", "systems have no scope keys"));
    }
    if !envelope.deleted_ids.is_empty() {
        return Err(ApiError::bad_field(
            "deletedIds",
            "a system is not removed by an ingest call",
        ));
    }
    if texts.len() > MAX_SYSTEMS {
        return Err(ApiError::TooLarge(format!(
            "a call carries at most {MAX_SYSTEMS} systems"
        )));
    }
    let _room = state.ingest_room().await?;
    retrying(|| store_once(state, caller, envelope, texts)).await
}

async fn store_once(
    state: &AppState,
    caller: &Caller,
    envelope: &Envelope,
    texts: &[String],
) -> Result<(StatusCode, IngestAnswer), ApiError> {
    let started = Instant::now();
    let sync_id = Uuid::now_v7();
    let mut answer = IngestAnswer {
        sync_id: Some(sync_id),
        table: "systems".into(),
        ..IngestAnswer::default()
    };
    let mut system_ids = Vec::new();
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut transaction = state.pool.begin().await?;
    open(&mut transaction, caller, sync_id, envelope.sync_mode).await?;
    for (index, text) in texts.iter().enumerate() {
        answer.records += 1;
        match read(&state.schemas, index, text) {
            Err(error) => {
                system_ids.push(None);
                refusals.push(Refusal {
                    error,
                    key: None,
                    excerpt: record::excerpt(text),
                });
            }
            Ok((record, extended, replaced)) => {
                answer.replaced_characters += replaced;
                let (system_id, upserted) =
                    system::upsert(&mut transaction, caller, sync_id, &record, &extended).await?;
                system_ids.push(Some(system_id));
                match upserted {
                    Upserted::Inserted => answer.inserted += 1,
                    Upserted::Updated => answer.updated += 1,
                    Upserted::Unchanged => answer.unchanged += 1,
                }
            }
        }
    }
    answer.rejected = refusals.len() as u64;
    session::quarantine(
        &mut transaction,
        sync_id,
        None,
        Entity::Systems.wire_name(),
        0,
        &refusals.iter().collect::<Vec<_>>(),
    )
    .await?;
    answer.errors = refusals
        .into_iter()
        .take(MAX_ERRORS_IN_ANSWER)
        .map(|refusal| refusal.error)
        .collect();
    if envelope.atomic && !answer.errors.is_empty() {
        return Err(ApiError::RecordsRefused(answer.errors));
    }
    answer.system_ids = Some(system_ids);
    answer.duration_ms = started.elapsed().as_millis() as u64;
    transaction.commit().await?;
    state.metrics.stored(Entity::Systems, &answer);
    Ok((StatusCode::CREATED, answer))
}

/// The load that the systems' rows refer to.
async fn open(
    connection: &mut PgConnection,
    caller: &Caller,
    sync_id: Uuid,
    mode: SyncMode,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into sync_sessions (sync_id, workspace_id, entity, form, sync_mode, key_id, state, closed_at) \
         values ($1, $2, 'systems', 'call', $3, $4, 'committed', now())",
    )
    .bind(sync_id)
    .bind(caller.workspace_id)
    .bind(match mode {
        SyncMode::Full => "full",
        SyncMode::Delta => "delta",
    })
    .bind(caller.key_id())
    .execute(connection)
    .await?;
    Ok(())
}

type ReadSystem = (System, Map<String, Json>, u64);

fn read(schemas: &Schemas, index: usize, text: &str) -> Result<ReadSystem, RecordError> {
    let error = |pointer: String, code: &str, detail: String| RecordError {
        index,
        pointer,
        code: code.into(),
        detail,
    };
    let (mut object, replaced) = record::parse_object(text)
        .map_err(|refused| error(String::new(), refused.code, refused.detail))?;
    let value = Json::Object(object.clone());
    // A system is always written whole, so required fields are required in a delta too.
    schemas
        .check(Entity::Systems, SyncMode::Full, &value)
        .map_err(|misfit| error(misfit.pointer, misfit.code, misfit.detail))?;
    let record: System = serde_json::from_value(value)
        .map_err(|refused| error(String::new(), "schema", refused.to_string()))?;
    for known in [
        "systemType",
        "tenantId",
        "displayName",
        "description",
        "enabled",
        "extendedAttributes",
    ] {
        object.remove(known);
    }
    object.extend(record.extended_attributes.clone().into_iter().flatten());
    object.retain(|_, value| !value.is_null());
    Ok((record, object, replaced))
}
