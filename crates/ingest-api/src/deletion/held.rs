//! Finding, applying, holding and deciding removals.

use chrono::TimeDelta;
use contract::{ChangeSet, ChangeSetState, Completeness, Held, SystemId};
use sqlx::{AssertSqlSafe, PgConnection, types::Json};
use uuid::Uuid;

use super::{
    Limits, QuestionChange, Verdict, judge,
    list::{COLUMNS, read},
    missing, named, rows,
};
use crate::{
    auth::Caller,
    entity,
    error::ApiError,
    merge::{self, Load, OVERLAPS, statements},
    session::{Session, gate},
};

/// Retention may be ahead of a load's opening by as long as a transaction takes.
const MARGIN: TimeDelta = TimeDelta::hours(1);

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
    if session.opened_at - session.read_since > merge::MET_KEPT - MARGIN {
        return Ok(Removal::Skipped(
            "the reading began more than 23 hours before the load was opened; what other loads met since is no longer known"
                .into(),
        ));
    }
    merge::open_stage(connection, statements(session.spec()?)).await?;
    let would_delete = missing::stage(connection, session, completeness).await?;
    if would_delete == 0 {
        expire_older(connection, session).await?;
        return Ok(Removal::Applied(0));
    }
    // Finding what is missing takes its time, and loads of other scopes need not wait for it. Removing is done one after
    // the other: each sees what the ones before it removed, held and settled.
    gate::remove_alone(connection, session.wanted.system_id, session.wanted.entity).await?;
    let mut would_delete = would_delete - missing::leave_out_met(connection, session).await?;
    expire_older(connection, session).await?;
    let change = missing::question_change(connection, session).await?;
    let limits = Limits::to_judge(would_delete);
    let mut extent = missing::extent(connection, session, limits).await?;
    let mut verdict = judge(would_delete, extent, change);
    if verdict != Verdict::Apply {
        // Whoever has to decide is told exactly what it is about.
        would_delete -= missing::leave_out_moved(connection, session).await?;
        extent = missing::extent(connection, session, Limits::default()).await?;
        verdict = judge(would_delete, extent, change);
    }
    let judged = Judged {
        would_delete,
        of: extent.before,
        verdict,
    };
    carry_out(connection, caller, session, judged).await
}

/// Removes or holds what a delta session named, inside the commit's transaction. The gate is closed: nobody meets or
/// writes rows meanwhile.
pub async fn conclude_named(
    connection: &mut PgConnection,
    caller: &Caller,
    session: &Session,
) -> Result<Removal, ApiError> {
    merge::open_stage(connection, statements(session.spec()?)).await?;
    let would_delete = named::stage(connection, session).await?;
    if would_delete == 0 {
        return Ok(Removal::Applied(0));
    }
    // A person who has to decide is told exactly of how many rows these are.
    let extent = missing::extent(connection, session, Limits::default()).await?;
    let judged = Judged {
        would_delete,
        of: extent.before,
        verdict: judge(would_delete, extent, QuestionChange::None),
    };
    carry_out(connection, caller, session, judged).await
}

/// Staged removals, and what the guard says about them.
struct Judged {
    would_delete: u64,
    of: u64,
    verdict: Verdict,
}

async fn carry_out(
    connection: &mut PgConnection,
    caller: &Caller,
    session: &Session,
    judged: Judged,
) -> Result<Removal, ApiError> {
    match judged.verdict {
        Verdict::Apply => Ok(Removal::Applied(
            merge::remove_staged(connection, session.load()?).await?,
        )),
        Verdict::Hold(reason) => {
            let held = Held {
                change_set_id: Uuid::now_v7(),
                would_delete: judged.would_delete,
                of: judged.of,
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
    // As the version that was found to be missing: a row that moved on meanwhile is not what the person decides about.
    let keys: Vec<String> = (spec.key.iter())
        .map(|column| format!("s.{}::text", column.sql))
        .collect();
    let sql = format!(
        "insert into held_rows (change_set_id, row_id, valid_from, row_key) \
         select $2, t.row_id, t.valid_from, array[{keys}] from {stage} s cross join lateral \
         (select t.row_id, t.valid_from from {table} t where t.system_id = $1 and {matching} \
         and t.valid_from = s.version offset 0) t",
        keys = keys.join(", "),
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

/// A change set, locked for a decision.
pub async fn lock(
    connection: &mut PgConnection,
    workspace_id: i32,
    id: Uuid,
) -> Result<Option<ChangeSet>, ApiError> {
    let sql = format!(
        "select {COLUMNS} from held_change_sets c where c.change_set_id = $1 and c.workspace_id = $2 for update"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
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
    let sql = format!(
        "insert into {stage} ({list}, version) select {list}, t.valid_from \
         from held_rows h cross join lateral \
         (select t.* from {table} t where t.system_id = $1 and {as_held} offset 0) t where h.change_set_id = $2",
        stage = names.stage,
        list = names.key_list,
        table = spec.table,
        as_held = rows::as_held(spec),
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
        not_before: change_set.created_at,
        seq: None,
    };
    let removed = merge::remove_staged(connection, load).await?;
    sqlx::query(
        "with changed as (insert into changes (system_id, entity, sync_id) \
         select s.system_id, s.entity, s.sync_id from sync_sessions s where s.sync_id = $1) \
         update sync_sessions set is_settled = true where sync_id = $1",
    )
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
    sqlx::query(
        "update held_change_sets set state = $2, decided_at = now(), decided_by = $3, decision_reason = $4 \
         where change_set_id = $1",
    )
    .bind(id)
    .bind(state.wire_name())
    .bind(decided_by)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(())
}
