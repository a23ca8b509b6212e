//! Change sets as a person finds them.

use contract::{ChangeSet, ChangeSetPage, ChangeSetState, Entity, Scope, SystemId};
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::{auth::Caller, error::ApiError};

/// What [`read`] reads.
pub const COLUMNS: &str = "c.change_set_id, c.sync_id, c.system_id, c.entity, c.scope, c.would_delete, c.of_rows, c.reason, \
     c.state, c.created_at, c.decided_at, c.decided_by, c.decision_reason, c.rows_purged_at";

/// Which change sets are wanted.
#[derive(Debug)]
pub struct Wanted {
    /// Only those that stand so.
    pub state: Option<ChangeSetState>,
    /// Only those of a system.
    pub system_id: Option<SystemId>,
    /// Only those about such rows.
    pub entity: Option<Entity>,
    /// Only those older than this one.
    pub after: Option<Uuid>,
    /// Most on the page.
    pub limit: u32,
}

/// A change set from its row.
pub fn read(row: &PgRow) -> Result<ChangeSet, ApiError> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let state = text("state")?;
    Ok(ChangeSet {
        change_set_id: row.try_get("change_set_id")?,
        sync_id: row.try_get("sync_id")?,
        system_id: row.try_get("system_id")?,
        entity: text("entity")?
            .parse::<Entity>()
            .map_err(ApiError::internal)?,
        scope: row.try_get::<Json<Scope>, _>("scope")?.0,
        would_delete: row.try_get::<i64, _>("would_delete")? as u64,
        would_delete_now: None,
        of: row.try_get::<i64, _>("of_rows")? as u64,
        reason: text("reason")?,
        state: ChangeSetState::ALL
            .into_iter()
            .find(|known| known.wire_name() == state)
            .ok_or_else(|| ApiError::internal(format!("a change set is '{state}'")))?,
        created_at: row.try_get("created_at")?,
        decided_at: row.try_get("decided_at")?,
        decided_by: row.try_get("decided_by")?,
        decision_reason: row.try_get("decision_reason")?,
        rows_purged_at: row.try_get("rows_purged_at")?,
    })
}

/// A page of the change sets that the caller may see, newest first. Their ids grow with time, so the id is the place.
pub async fn page(
    pool: &PgPool,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<ChangeSetPage, ApiError> {
    let sql = format!(
        "select {COLUMNS} from held_change_sets c where c.workspace_id = $1 \
         and ($2::integer[] is null or c.system_id = any ($2)) and ($3::text is null or c.state = $3) \
         and ($4::integer is null or c.system_id = $4) and ($5::text is null or c.entity = $5) \
         and ($6::uuid is null or c.change_set_id < $6) order by c.change_set_id desc limit $7"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(wanted.state.map(ChangeSetState::wire_name))
        .bind(wanted.system_id)
        .bind(wanted.entity.map(Entity::wire_name))
        .bind(wanted.after)
        .bind(i64::from(wanted.limit) + 1)
        .fetch_all(pool)
        .await?;
    let mut items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    // One more than asked for says whether there is a next page.
    let has_more = items.len() > wanted.limit as usize;
    items.truncate(wanted.limit as usize);
    let next = items.last().filter(|_| has_more);
    Ok(ChangeSetPage {
        next: next.map(|last| last.change_set_id),
        items,
    })
}

/// One change set; one that the caller may not see is not there.
pub async fn one(pool: &PgPool, caller: &Caller, id: Uuid) -> Result<ChangeSet, ApiError> {
    let sql = format!(
        "select {COLUMNS} from held_change_sets c where c.change_set_id = $1 and c.workspace_id = $2 \
         and ($3::integer[] is null or c.system_id = any ($3))"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .fetch_optional(pool)
        .await?;
    read(&row.ok_or_else(not_found)?)
}

/// There is no such change set for the caller.
pub fn not_found() -> ApiError {
    ApiError::NotFound("there is no such change set".into())
}
