//! Finding, applying, holding and deciding removals.

use contract::{ChangeSet, ChangeSetState, Completeness, Entity, Held, Scope, SystemId};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{Verdict, judge, missing};
use crate::{
    auth::Caller,
    entity,
    error::ApiError,
    merge::{self, Load, OVERLAPS, statements},
    session::Session,
};

/// What became of the rows that a full load did not meet.
#[derive(Debug)]
pub enum Removal {
    /// They are removed.
    Applied(u64),
    /// They wait for a person.
    Held(Held),
    /// Nothing can be said about them, and why.
    Skipped(String),
}

/// Removes or holds what a full load did not meet, inside the commit's transaction.
pub async fn conclude(
    connection: &mut PgConnection,
    caller: &Caller,
    session: &Session,
    completeness: &Completeness,
) -> Result<Removal, ApiError> {
    if !completeness.complete {
        return Ok(Removal::Skipped(
            "the source was not read to the end".into(),
        ));
    }
    if session.unidentified > 0 {
        return Ok(Removal::Skipped(format!(
            "refused records whose row could not be told: {}",
            session.unidentified
        )));
    }
    let load = session.load()?;
    merge::open_stage(connection, statements(load.spec)).await?;
    let would_delete = missing::stage(connection, session, completeness).await?;
    let extent = missing::extent(connection, session).await?;
    expire_older(connection, session).await?;
    let change = missing::question_change(connection, session).await?;
    match judge(would_delete, extent, change) {
        Verdict::Apply => Ok(Removal::Applied(
            merge::remove_staged(connection, load).await?,
        )),
        Verdict::Hold(reason) => {
            let held = Held {
                change_set_id: Uuid::now_v7(),
                would_delete,
                of: extent.before,
                reason: Some(reason.to_owned()),
            };
            hold(connection, caller, session, &held, reason).await?;
            Ok(Removal::Held(held))
        }
    }
}

/// A newer full load, of the same scope or an overlapping one, knows better than a change set that still waits.
async fn expire_older(connection: &mut PgConnection, session: &Session) -> Result<(), ApiError> {
    let sql = format!(
        "update held_change_sets o set state = 'expired', decided_at = now() \
         where o.system_id = $1 and o.entity = $2 and o.state = 'held' and {OVERLAPS}"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(session.wanted.entity.wire_name())
        .bind(Json(&session.wanted.scope))
        .execute(connection)
        .await?;
    Ok(())
}

async fn hold(
    connection: &mut PgConnection,
    caller: &Caller,
    session: &Session,
    held: &Held,
    reason: &str,
) -> Result<(), ApiError> {
    let spec = session.spec()?;
    let names = statements(spec);
    sqlx::query(
        "insert into held_change_sets (change_set_id, sync_id, workspace_id, system_id, entity, scope, scope_key, would_delete, \
         of_rows, reason) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(held.change_set_id)
    .bind(session.sync_id)
    .bind(caller.workspace_id)
    .bind(session.wanted.system_id)
    .bind(session.wanted.entity.wire_name())
    .bind(Json(&session.wanted.scope))
    .bind(crate::session::scope_key(&session.wanted.scope))
    .bind(held.would_delete as i64)
    .bind(held.of as i64)
    .bind(reason)
    .execute(&mut *connection)
    .await?;
    let sql = format!(
        "insert into held_rows (change_set_id, row_id, valid_from) select $2, t.row_id, t.valid_from \
         from {stage} s join {table} t on {matching} and t.system_id = $1",
        stage = names.stage,
        table = spec.table,
        matching = names.key_match,
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(held.change_set_id)
        .execute(connection)
        .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<ChangeSet, ApiError> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(ChangeSet {
        change_set_id: row.try_get("change_set_id")?,
        sync_id: row.try_get("sync_id")?,
        system_id: row.try_get("system_id")?,
        entity: text("entity")?
            .parse::<Entity>()
            .map_err(ApiError::internal)?,
        scope: row.try_get::<Json<Scope>, _>("scope")?.0,
        would_delete: row.try_get::<i64, _>("would_delete")? as u64,
        of: row.try_get::<i64, _>("of_rows")? as u64,
        reason: text("reason")?,
        state: match text("state")?.as_str() {
            "held" => ChangeSetState::Held,
            "approved" => ChangeSetState::Approved,
            "rejected" => ChangeSetState::Rejected,
            _ => ChangeSetState::Expired,
        },
        created_at: row.try_get("created_at")?,
        decided_at: row.try_get("decided_at")?,
        decided_by: row.try_get("decided_by")?,
        decision_reason: row.try_get("decision_reason")?,
    })
}

/// The change sets of a workspace, newest first.
pub async fn list(pool: &PgPool, workspace_id: i32) -> Result<Vec<ChangeSet>, ApiError> {
    let rows = sqlx::query(
        "select change_set_id, sync_id, system_id, entity, scope, would_delete, of_rows, reason, state, created_at, decided_at, \
         decided_by, decision_reason from held_change_sets where workspace_id = $1 order by created_at desc, change_set_id limit 1000",
    )
    .bind(workspace_id)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

/// A change set, locked for a decision.
pub async fn lock(
    connection: &mut PgConnection,
    workspace_id: i32,
    id: Uuid,
) -> Result<Option<ChangeSet>, ApiError> {
    let row = sqlx::query(
        "select change_set_id, sync_id, system_id, entity, scope, would_delete, of_rows, reason, state, created_at, decided_at, \
         decided_by, decision_reason from held_change_sets where change_set_id = $1 and workspace_id = $2 for update",
    )
    .bind(id)
    .bind(workspace_id)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Removes the rows of a change set that are still as they were when it was held.
pub async fn apply(connection: &mut PgConnection, change_set: &ChangeSet) -> Result<u64, ApiError> {
    let spec = entity::spec(change_set.entity)
        .ok_or_else(|| ApiError::internal("a change set without a table"))?;
    let names = statements(spec);
    merge::open_stage(connection, names).await?;
    let keys = spec
        .key
        .iter()
        .map(|column| format!("t.{}", column.sql))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "insert into {stage} (ord, {list}, version) select row_number() over (order by {keys}), {keys}, t.valid_from \
         from {table} t join held_rows h on h.row_id = t.row_id and h.valid_from = t.valid_from \
         where h.change_set_id = $2 and t.system_id = $1 and t.deleted_at is null",
        stage = names.stage,
        list = names.key_list,
        table = spec.table,
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(change_set.system_id)
        .bind(change_set.change_set_id)
        .execute(&mut *connection)
        .await?;
    let load = Load {
        spec,
        system_id: change_set.system_id as SystemId,
        sync_id: change_set.sync_id,
        mode: contract::SyncMode::Full,
        opened_at: change_set.created_at,
    };
    let removed = merge::remove_staged(connection, load).await?;
    sqlx::query("update sync_sessions set is_settled = true, last_change_xid = pg_current_xact_id() where sync_id = $1")
        .bind(change_set.sync_id)
        .execute(connection)
        .await?;
    Ok(removed)
}

/// Writes the decision.
pub async fn decide(
    connection: &mut PgConnection,
    id: Uuid,
    state: ChangeSetState,
    decided_by: &str,
    reason: &str,
) -> Result<(), ApiError> {
    let state = if state == ChangeSetState::Approved {
        "approved"
    } else {
        "rejected"
    };
    sqlx::query(
        "update held_change_sets set state = $2, decided_at = now(), decided_by = $3, decision_reason = $4 \
         where change_set_id = $1",
    )
    .bind(id)
    .bind(state)
    .bind(decided_by)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(())
}
