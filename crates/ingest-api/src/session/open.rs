//! Opening a session.

use std::{collections::BTreeMap, time::Instant};

use contract::{
    IdGeneration, Permission, SyncMode,
    session::{OpenSession, SessionOpened, SessionState},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Form, gate, store};
use crate::{app::AppState, auth::Caller, entity, error::ApiError, system};

/// Longest time that the reading of a source may take.
const MAX_READ_MS: u64 = 30 * 24 * 3600 * 1000;

/// Checks what a load says about itself and puts its scope into canonical form.
pub async fn check(
    state: &AppState,
    caller: &Caller,
    wanted: &mut OpenSession,
) -> Result<(), ApiError> {
    caller.require(Permission::Ingest)?;
    let Some(spec) = entity::spec(wanted.entity) else {
        return Err(ApiError::bad_field(
            "entity",
            "systems are posted in single calls, not in sessions",
        ));
    };
    if wanted.id_generation == IdGeneration::Deterministic
        && wanted.id_prefix.as_deref().is_none_or(str::is_empty)
    {
        return Err(ApiError::bad_field(
            "idPrefix",
            "deterministic ids need a prefix",
        ));
    }
    if wanted
        .source_filter
        .as_ref()
        .is_some_and(|filter| filter.len() > 200)
    {
        return Err(ApiError::bad_field(
            "sourceFilter",
            "the text is longer than 200 bytes",
        ));
    }
    if wanted
        .id_prefix
        .as_ref()
        .is_some_and(|prefix| prefix.len() > 100)
    {
        return Err(ApiError::bad_field(
            "idPrefix",
            "the text is longer than 100 bytes",
        ));
    }
    if wanted
        .read_began_ms_ago
        .is_some_and(|ago| ago > MAX_READ_MS)
    {
        return Err(ApiError::bad_field(
            "readBeganMsAgo",
            "reading cannot have begun more than 30 days ago",
        ));
    }
    let mut scope = BTreeMap::new();
    for (wire, value) in std::mem::take(&mut wanted.scope) {
        let Some((_, column)) = spec.scope_keys.iter().find(|(known, _)| *known == wire) else {
            let known: Vec<&str> = spec.scope_keys.iter().map(|(known, _)| *known).collect();
            return Err(ApiError::bad_field(
                &format!("scope/{wire:.60}"),
                format!(
                    "'{wire:.60}' is not a scope key of {}; known are: {}",
                    wanted.entity,
                    known.join(", ")
                ),
            ));
        };
        let is_id = spec
            .all_columns()
            .any(|known| known.sql == *column && known.kind == entity::ColumnKind::Uuid);
        let value = if is_id {
            let id: Uuid = value.parse().map_err(|_| {
                ApiError::bad_field(&format!("scope/{wire}"), "the value is not a UUID")
            })?;
            id.to_string()
        } else if value.is_empty() || value.len() > 100 || value.contains(char::is_control) {
            return Err(ApiError::bad_field(
                &format!("scope/{wire}"),
                "the value must be a text of 1 to 100 bytes",
            ));
        } else {
            value
        };
        scope.insert(wire, value);
    }
    wanted.scope = scope;
    system::require(&state.pool, caller, wanted.system_id).await
}

/// Most full loads of a system's entity that are open at once. Each batch looks through those that its scope
/// overlaps.
const MAX_OPEN: i64 = 1000;

/// Opens a session. A second full load of the same scope is refused while one is open.
pub async fn open(
    state: &AppState,
    caller: &Caller,
    form: Form,
    mut wanted: OpenSession,
) -> Result<SessionOpened, ApiError> {
    let asked = Instant::now();
    check(state, caller, &mut wanted).await?;
    let sync_id = Uuid::now_v7();
    let mut transaction = state.pool.begin().await?;
    // The session counts from its transaction, which may have waited for a connection.
    let waited = asked.elapsed().as_millis() as u64 + 1;
    let said = wanted.read_began_ms_ago.unwrap_or(0);
    wanted.read_began_ms_ago = Some(said.saturating_add(waited));
    if wanted.sync_mode == SyncMode::Full {
        gate::close(&mut transaction, wanted.system_id, wanted.entity).await?;
        if store::count_open(&mut transaction, wanted.system_id, wanted.entity).await? >= MAX_OPEN {
            return Err(ApiError::Conflict {
                detail: format!(
                    "{MAX_OPEN} full loads of this entity are open; commit or abort some first"
                ),
                sync_id: None,
            });
        }
    }
    let mut outcome = store::insert(&mut transaction, caller, sync_id, form, &wanted).await?;
    if let Err(Some(in_the_way)) = outcome
        && make_way(&mut transaction, caller, form, in_the_way).await?
    {
        outcome = store::insert(&mut transaction, caller, sync_id, form, &wanted).await?;
    }
    match outcome {
        Ok(expires_at) => {
            transaction.commit().await?;
            Ok(SessionOpened {
                sync_id,
                expires_at,
            })
        }
        Err(in_the_way) => Err(scope_is_busy(in_the_way)),
    }
}

/// Ends the session that stands in the way, if its time has passed, or if it is the same caller's chunked load: older
/// callers that lost the answer to their `start` can only start again. A session that somebody works on stays.
async fn make_way(
    connection: &mut PgConnection,
    caller: &Caller,
    form: Form,
    in_the_way: Uuid,
) -> Result<bool, ApiError> {
    if !store::try_hold_alone(connection, in_the_way).await? {
        return Ok(false);
    }
    let Ok(session) = store::load(connection, caller, in_the_way, true).await else {
        return Ok(false);
    };
    let is_own_restart =
        form == Form::Chunked && session.form == Form::Chunked && session.lineage == caller.lineage;
    let end = match session.state {
        SessionState::Open if session.is_overdue => SessionState::Expired,
        SessionState::Open if is_own_restart => SessionState::Aborted,
        SessionState::Open => return Ok(false),
        // It ended a moment ago.
        _ => return Ok(true),
    };
    store::give_up(connection, in_the_way, end).await?;
    Ok(true)
}

/// Another full load of the same scope is open.
pub fn scope_is_busy(in_the_way: Option<Uuid>) -> ApiError {
    ApiError::Conflict {
        detail: match in_the_way {
            Some(sync_id) => format!(
                "a full load of this scope is open already: {sync_id}; commit or abort it first"
            ),
            None => "a full load of this scope was open a moment ago; try again".to_owned(),
        },
        sync_id: in_the_way,
    }
}
