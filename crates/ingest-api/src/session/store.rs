//! Sessions in the database.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use contract::{
    Entity, IdGeneration, IngestAnswer, Scope, SyncMode, SystemId,
    session::{OpenSession, SessionState, SessionStatus},
};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{outcome::Outcome, removals};
use crate::{
    auth::Caller,
    entity::{self, EntitySpec},
    error::ApiError,
    merge::Load,
    record::IdRule,
};

/// How a load is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One call.
    Call,
    /// The native session.
    Session,
    /// `start`, `continue`, `end` of older callers.
    Chunked,
}

impl Form {
    const fn sql(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Session => "session",
            Self::Chunked => "chunked",
        }
    }
}

/// A load as the database knows it.
#[derive(Debug, Clone)]
pub struct Session {
    /// The load.
    pub sync_id: Uuid,
    /// Where it stands.
    pub state: SessionState,
    /// Has its time passed?
    pub is_overdue: bool,
    /// How it is made.
    pub form: Form,
    /// What it loads.
    pub wanted: OpenSession,
    /// The key that it belongs to, or the first of those that it was rotated from.
    pub lineage: String,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When the reading of the source began.
    pub read_since: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// Refused records whose row could not be told.
    pub unidentified: i64,
    /// The answer of the commit, or what the batches did once retention took them.
    pub totals: IngestAnswer,
    /// How many batches there were, once retention took them.
    pub kept_batches: Option<i64>,
}

impl Session {
    /// The specification of its entity.
    pub fn spec(&self) -> Result<&'static EntitySpec, ApiError> {
        entity::spec(self.wanted.entity)
            .ok_or_else(|| ApiError::internal("a session of an entity without a table"))
    }

    /// What its batches are merged as.
    pub fn load(&self) -> Result<Load, ApiError> {
        Ok(Load {
            spec: self.spec()?,
            system_id: self.wanted.system_id,
            sync_id: self.sync_id,
            mode: self.wanted.sync_mode,
            not_before: self.opened_at,
            seq: None,
        })
    }

    /// Can its batches name rows to remove at its commit?
    pub fn takes_removals(&self) -> bool {
        self.form == Form::Session && self.wanted.sync_mode == SyncMode::Delta
    }

    /// How its ids come about.
    pub fn id_rule(&self) -> IdRule {
        id_rule(&self.wanted)
    }

    /// Refuses any use once the session has ended.
    pub fn require_open(&self) -> Result<(), ApiError> {
        let what = match self.state {
            SessionState::Open if !self.is_overdue => return Ok(()),
            SessionState::Open | SessionState::Expired => "has expired",
            SessionState::Committed => "was committed",
            SessionState::Aborted => "was aborted",
        };
        Err(ApiError::Conflict {
            detail: format!("the session {} {what}", self.sync_id),
            sync_id: Some(self.sync_id),
        })
    }

    /// The session as the API shows it.
    pub fn status(self, outcome: Outcome) -> SessionStatus {
        SessionStatus {
            sync_id: self.sync_id,
            state: if self.state == SessionState::Open && self.is_overdue {
                SessionState::Expired
            } else {
                self.state
            },
            system_id: self.wanted.system_id,
            entity: self.wanted.entity,
            sync_mode: self.wanted.sync_mode,
            scope: self.wanted.scope,
            run_id: self.wanted.run_id,
            opened_at: self.opened_at,
            expires_at: self.expires_at,
            batches: outcome.batches,
            next_seq: outcome.next_seq,
            missing: outcome.missing,
            totals: outcome.totals,
        }
    }
}

/// How ids come about in a load.
pub fn id_rule(wanted: &OpenSession) -> IdRule {
    match (wanted.id_generation, &wanted.id_prefix) {
        (IdGeneration::Deterministic, Some(prefix)) => IdRule::Deterministic {
            prefix: prefix.clone(),
        },
        _ => IdRule::Native {
            system_id: wanted.system_id,
        },
    }
}

/// The canonical text of a scope.
pub fn scope_key(scope: &Scope) -> String {
    scope
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join("\u{1f}")
}

/// Writes a new load. The unique index allows one open full load per scope: `Err` names the one that is open.
pub async fn insert(
    connection: &mut PgConnection,
    caller: &Caller,
    sync_id: Uuid,
    form: Form,
    wanted: &OpenSession,
) -> Result<Result<DateTime<Utc>, Option<Uuid>>, sqlx::Error> {
    let inserted: Option<DateTime<Utc>> = sqlx::query_scalar(
        "insert into sync_sessions (sync_id, workspace_id, system_id, entity, form, sync_mode, scope, scope_key, source_filter, \
         run_id, key_id, id_generation, id_prefix, state, read_since) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'open', now() - $14 * interval '1 millisecond') \
         on conflict (system_id, entity, scope_key) where state = 'open' and sync_mode = 'full' do nothing returning expires_at",
    )
    .bind(sync_id)
    .bind(caller.workspace_id)
    .bind(wanted.system_id)
    .bind(wanted.entity.wire_name())
    .bind(form.sql())
    .bind(mode_name(wanted.sync_mode))
    .bind(Json(&wanted.scope))
    .bind(scope_key(&wanted.scope))
    .bind(&wanted.source_filter)
    .bind(wanted.run_id)
    .bind(caller.key_id())
    .bind(match wanted.id_generation {
        IdGeneration::Native => "native",
        IdGeneration::Deterministic => "deterministic",
    })
    .bind(&wanted.id_prefix)
    .bind(wanted.read_began_ms_ago.unwrap_or(0) as f64)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(expires_at) = inserted {
        return Ok(Ok(expires_at));
    }
    let in_the_way = sqlx::query_scalar(
        "select sync_id from sync_sessions where system_id = $1 and entity = $2 and scope_key = $3 \
         and state = 'open' and sync_mode = 'full'",
    )
    .bind(wanted.system_id)
    .bind(wanted.entity.wire_name())
    .bind(scope_key(&wanted.scope))
    .fetch_optional(connection)
    .await?;
    Ok(Err(in_the_way))
}

/// How many full loads of a system's entity are open.
pub async fn count_open(
    connection: &mut PgConnection,
    system_id: SystemId,
    entity: Entity,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from sync_sessions where system_id = $1 and entity = $2 and state = 'open' and sync_mode = 'full'",
    )
    .bind(system_id)
    .bind(entity.wire_name())
    .fetch_one(connection)
    .await
}

/// `full` or `delta`.
pub const fn mode_name(mode: SyncMode) -> &'static str {
    match mode {
        SyncMode::Full => "full",
        SyncMode::Delta => "delta",
    }
}

/// Refuses a caller that may not look at a load, whatever it loads.
pub async fn require_visible(
    connection: &mut PgConnection,
    caller: &Caller,
    sync_id: Uuid,
    for_admin: bool,
) -> Result<(), ApiError> {
    let load: Option<(String, Option<SystemId>)> = sqlx::query_as(
        "select coalesce(k.lineage, k.key_id), s.system_id from sync_sessions s join api_keys k using (key_id) \
         where s.sync_id = $1 and s.workspace_id = $2",
    )
    .bind(sync_id)
    .bind(caller.workspace_id)
    .fetch_optional(connection)
    .await?;
    let is_visible = load.is_some_and(|(lineage, system_id)| match system_id {
        Some(system_id) => (lineage == caller.lineage || for_admin) && caller.may_touch(system_id),
        // A load of systems spans them: for the key that made it, and for admins of all of them.
        None => lineage == caller.lineage || (for_admin && caller.system_ids.is_none()),
    });
    if is_visible {
        Ok(())
    } else {
        Err(no_session(sync_id))
    }
}

fn no_session(sync_id: Uuid) -> ApiError {
    ApiError::NotFound(format!("there is no session {sync_id} of this key"))
}

/// A load by its id. One of another key is not there for the caller; an admin may see and abort any of the workspace.
pub async fn load(
    connection: &mut PgConnection,
    caller: &Caller,
    sync_id: Uuid,
    for_admin: bool,
) -> Result<Session, ApiError> {
    let not_found = || no_session(sync_id);
    let session = find(connection, sync_id, Some(caller.workspace_id))
        .await?
        .ok_or_else(not_found)?;
    if (session.lineage == caller.lineage || for_admin)
        && caller.may_touch(session.wanted.system_id)
    {
        Ok(session)
    } else {
        Err(not_found())
    }
}

/// A load by its id, of a workspace or of any. A load of systems is a single call and never a session.
pub async fn find(
    connection: &mut PgConnection,
    sync_id: Uuid,
    workspace_id: Option<i32>,
) -> Result<Option<Session>, ApiError> {
    let sql = format!(
        "select {COLUMNS} from sync_sessions s join api_keys k using (key_id) \
         where s.sync_id = $1 and s.system_id is not null and ($2::integer is null or s.workspace_id = $2)"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(sync_id)
        .bind(workspace_id)
        .fetch_optional(connection)
        .await?;
    row.as_ref()
        .map(read)
        .transpose()
        .map_err(ApiError::internal)
}

/// What [`read`] reads.
const COLUMNS: &str = "s.sync_id, s.system_id, s.entity, s.form, s.sync_mode, s.scope, s.source_filter, s.run_id, \
     coalesce(k.lineage, k.key_id) as lineage, s.id_generation, s.id_prefix, s.state, s.opened_at, s.read_since, s.expires_at, \
     s.expires_at <= now() as is_overdue, s.unidentified, s.totals, s.batches";

/// The caller's sessions of a run, in the order in which they were opened; at most `limit`, after the session `after`.
pub async fn of_run(
    connection: &mut PgConnection,
    caller: &Caller,
    run_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Session>, ApiError> {
    // Their ids grow with time.
    let sql = format!(
        "select {COLUMNS} from sync_sessions s join api_keys k using (key_id) \
         where s.run_id = $1 and s.system_id is not null and s.workspace_id = $2 and coalesce(k.lineage, k.key_id) = $3 \
         and ($4::integer[] is null or s.system_id = any ($4)) and ($5::uuid is null or s.sync_id > $5) \
         order by s.sync_id limit $6"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(run_id)
        .bind(caller.workspace_id)
        .bind(&caller.lineage)
        .bind(&caller.system_ids)
        .bind(after)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(ApiError::internal)
}

fn read(row: &PgRow) -> Result<Session, Box<dyn std::error::Error + Send + Sync>> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(Session {
        sync_id: row.try_get("sync_id")?,
        state: match text("state")?.as_str() {
            "open" => SessionState::Open,
            "committed" => SessionState::Committed,
            "aborted" => SessionState::Aborted,
            _ => SessionState::Expired,
        },
        is_overdue: row.try_get("is_overdue")?,
        form: match text("form")?.as_str() {
            "session" => Form::Session,
            "chunked" => Form::Chunked,
            _ => Form::Call,
        },
        wanted: OpenSession {
            system_id: row
                .try_get::<Option<SystemId>, _>("system_id")?
                .ok_or("a session without a system")?,
            entity: Entity::from_str(&text("entity")?)?,
            sync_mode: if text("sync_mode")? == "full" {
                SyncMode::Full
            } else {
                SyncMode::Delta
            },
            scope: row.try_get::<Json<Scope>, _>("scope")?.0,
            id_generation: if text("id_generation")? == "deterministic" {
                IdGeneration::Deterministic
            } else {
                IdGeneration::Native
            },
            id_prefix: row.try_get("id_prefix")?,
            source_filter: row.try_get("source_filter")?,
            run_id: row.try_get("run_id")?,
            read_began_ms_ago: None,
        },
        lineage: row.try_get("lineage")?,
        opened_at: row.try_get("opened_at")?,
        read_since: row.try_get("read_since")?,
        expires_at: row.try_get("expires_at")?,
        unidentified: row.try_get("unidentified")?,
        totals: row.try_get::<Json<IngestAnswer>, _>("totals")?.0,
        kept_batches: row.try_get("batches")?,
    })
}

/// Holds a session alone: every batch that is under way is done first.
pub async fn hold_alone(connection: &mut PgConnection, sync_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text, 0))")
        .bind(sync_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Holds a session alone if nobody else does at the moment; answers whether it is held.
pub async fn try_hold_alone(
    connection: &mut PgConnection,
    sync_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1::text, 0))")
        .bind(sync_id)
        .fetch_one(connection)
        .await
}

/// Ends a session without removing anything.
pub async fn give_up(
    connection: &mut PgConnection,
    sync_id: Uuid,
    state: SessionState,
) -> Result<(), sqlx::Error> {
    let state = if state == SessionState::Aborted {
        "aborted"
    } else {
        "expired"
    };
    sqlx::query("update sync_sessions set state = $2, closed_at = now() where sync_id = $1 and state = 'open'")
        .bind(sync_id)
        .bind(state)
        .execute(&mut *connection)
        .await?;
    removals::forget(connection, sync_id).await
}

/// How many records of a load named a row that another batch had named before, the row being the same already both
/// times. What a batch itself repeats, and rows that the load wrote, are counted with the batch.
pub async fn met_again(connection: &mut PgConnection, sync_id: Uuid) -> Result<u64, sqlx::Error> {
    let again: i64 = sqlx::query_scalar(
        "with met as (select met.numbers from rows_met m, unnest(m.row_ids) met (numbers) where m.sync_id = $1 and m.is_counted) \
         select (select coalesce(sum(upper(numbers) - lower(numbers)), 0) from met)::bigint \
         - (select coalesce(sum(upper(numbers) - lower(numbers)), 0) from unnest((select range_agg(numbers) from met)) once (numbers))::bigint",
    )
    .bind(sync_id)
    .fetch_one(connection)
    .await?;
    Ok(again as u64)
}
