//! Promotions as people and crawlers ask for them: made, found, taken back.

use contract::{
    Entity, JsonType, MAX_ATTRIBUTE_NAME, MAX_PROMOTED, Promote, Promotion, PromotionPage,
    PromotionState, ValueType,
};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{field, promoted::value_type};
use crate::{
    auth::Caller,
    entity::{self, EntitySpec},
    error::ApiError,
};

/// Why an attribute gets no column, or a core field no index.
#[derive(Debug, thiserror::Error)]
pub enum PromotionError {
    /// Both, or neither.
    #[error("name either an attribute, to give it a column, or a core field, to give it an index")]
    Which,
    /// The name is none.
    #[error(
        "an attribute's name has 1 to {MAX_ATTRIBUTE_NAME} bytes, not only spaces and no NUL character"
    )]
    Name,
    /// Systems are few; nothing of them is promoted.
    #[error("attributes and fields of {0} are not promoted")]
    Entity(Entity),
    /// It is none of the entity's fields.
    #[error("{entity} have no core field '{name}'; known are: {known}")]
    UnknownField {
        /// Of which rows.
        entity: Entity,
        /// What was asked for, or its beginning.
        name: String,
        /// What there is.
        known: String,
    },
    /// Nothing is sorted by it.
    #[error("lists cannot be sorted by '{0}', so an index of it would serve nothing")]
    NotSorted(&'static str),
    /// It needs none.
    #[error("lists of {0} by '{1}' have an index already")]
    HasIndex(Entity, &'static str),
    /// It is what it is.
    #[error("'{0}' is a core field, which has its type; leave type out")]
    FieldType(&'static str),
    /// It has a column of another type.
    #[error("'{attribute}' has a column of the type {} already; take that back first", .known.wire_name())]
    OtherType {
        /// The attribute.
        attribute: String,
        /// The column's type.
        known: ValueType,
    },
    /// All columns are in use.
    #[error(
        "{0} has {MAX_PROMOTED} promoted attributes and fields, which is as many as a table can have; take one back first, \
         and wait until it is demoted"
    )]
    Budget(Entity),
    /// PostgreSQL refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl PromotionError {
    /// Is it about this attribute, so that others may still be promoted?
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Database(_))
    }
}

impl From<PromotionError> for ApiError {
    fn from(error: PromotionError) -> Self {
        match error {
            PromotionError::Which => Self::bad_body(error.to_string()),
            PromotionError::Name => Self::bad_field("attribute", error.to_string()),
            PromotionError::Entity(_) => Self::bad_field("entity", error.to_string()),
            PromotionError::UnknownField { .. }
            | PromotionError::NotSorted(_)
            | PromotionError::HasIndex(..) => Self::bad_field("field", error.to_string()),
            PromotionError::FieldType(_) => Self::bad_field("type", error.to_string()),
            PromotionError::OtherType { .. } | PromotionError::Budget(_) => Self::Conflict {
                detail: error.to_string(),
                sync_id: None,
            },
            PromotionError::Database(error) => error.into(),
        }
    }
}

/// States in which an attribute has a column, or a core field an index, or is about to have one.
pub const LIVE: &str = "('waiting', 'backfilling', 'indexing', 'ready')";

/// What [`read`] reads; `$1` are the caller's workspace, `$2` their systems.
const COLUMNS: &str = "p.promotion_id, p.entity, p.attribute, p.field, p.value_type, p.column_name, p.state, p.state_since, \
     p.requested_at, p.ready_at, p.next_block, p.total_blocks, p.error, \
     (select sum(a.mismatches)::bigint from attributes a join systems s on s.system_id = a.system_id \
      and s.workspace_id = $1 and ($2::integer[] is null or s.system_id = any ($2)) \
      where a.entity = p.entity and a.attribute = p.attribute and p.state in ('backfilling', 'indexing', 'ready')) as mismatches";

fn read(row: &PgRow) -> Result<Promotion, ApiError> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let state = state(&text("state")?)?;
    let kind: Option<String> = row.try_get("value_type")?;
    let (done, total): (i64, i64) = (row.try_get("next_block")?, row.try_get("total_blocks")?);
    let is_walking = matches!(
        state,
        PromotionState::Backfilling | PromotionState::Emptying
    );
    Ok(Promotion {
        promotion_id: row.try_get("promotion_id")?,
        entity: text("entity")?
            .parse()
            .map_err(|error: contract::UnknownEntity| ApiError::internal(error))?,
        attribute: row.try_get("attribute")?,
        field: row.try_get("field")?,
        value_type: kind
            .map(|kind| {
                value_type(&kind)
                    .ok_or_else(|| ApiError::internal(format!("a promotion has the type '{kind}'")))
            })
            .transpose()?,
        column: text("column_name")?,
        state,
        state_since: row.try_get("state_since")?,
        requested_at: row.try_get("requested_at")?,
        ready_at: row.try_get("ready_at")?,
        progress_percent: is_walking.then(|| (done * 100 / total.max(1)).clamp(0, 100) as u8),
        mismatches: row
            .try_get::<Option<i64>, _>("mismatches")?
            .map(|count| count as u64),
        error: row.try_get("error")?,
    })
}

/// The state with this name.
pub fn state(name: &str) -> Result<PromotionState, ApiError> {
    PromotionState::ALL
        .into_iter()
        .find(|known| known.wire_name() == name)
        .ok_or_else(|| ApiError::internal(format!("a promotion is '{name}'")))
}

/// Asks for a column, or for the index of a core field; answers the promotion, and whether it is a new one. Inside the
/// caller's transaction.
pub async fn request(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Promote,
) -> Result<(Uuid, bool), PromotionError> {
    match (&wanted.attribute, &wanted.field) {
        (Some(name), None) => request_column(connection, caller, wanted, name).await,
        (None, Some(name)) => field::request(connection, caller, wanted, name).await,
        (None, None) | (Some(_), Some(_)) => Err(PromotionError::Which),
    }
}

async fn request_column(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Promote,
    name: &str,
) -> Result<(Uuid, bool), PromotionError> {
    if name.trim().is_empty() || name.len() > MAX_ATTRIBUTE_NAME || name.contains('\0') {
        return Err(PromotionError::Name);
    }
    let spec = entity::spec(wanted.entity).ok_or(PromotionError::Entity(wanted.entity))?;
    lock_table(connection, spec.table).await?;
    if let Some((id, known)) = live(connection, wanted.entity, name).await? {
        if wanted.value_type.is_some_and(|kind| kind != known) {
            return Err(PromotionError::OtherType {
                attribute: name.to_owned(),
                known,
            });
        }
        want(connection, caller, id).await?;
        return Ok((id, false));
    }
    require_room(connection, spec).await?;
    let kind = match wanted.value_type {
        Some(kind) => kind,
        None => fitting_type(connection, caller, wanted.entity, name).await?,
    };
    let id = Uuid::now_v7();
    // The first column of the type that no promotion has, whether it is there already or not.
    sqlx::query(
        "insert into promoted_attributes (promotion_id, entity, table_name, attribute, value_type, column_name, \
         workspace_ids, wanted_by, requested_by) \
         select $1, $2, $3, $4, $5, min(c.name), array[$6::integer], array[$6::integer], $7 from ( \
         select 'attr_' || $5 || '_' || n as name from generate_series(1, $8 + 1) n \
         where not exists (select from promoted_attributes p where p.table_name = $3 and p.state <> 'demoted' \
         and p.column_name = 'attr_' || $5 || '_' || n) order by n limit 1) c",
    )
    .bind(id)
    .bind(wanted.entity.wire_name())
    .bind(spec.table)
    .bind(name)
    .bind(kind.wire_name())
    .bind(caller.workspace_id)
    .bind(caller.actor())
    .bind(MAX_PROMOTED as i32)
    .execute(connection)
    .await?;
    Ok((id, true))
}

/// Requests about one table are dealt with one after the other.
pub async fn lock_table(connection: &mut PgConnection, table: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 7))")
        .bind(table)
        .execute(connection)
        .await?;
    Ok(())
}

/// Refuses more than a table can have, of columns and of indexes together: each makes every write dearer.
pub async fn require_room(
    connection: &mut PgConnection,
    spec: &EntitySpec,
) -> Result<(), PromotionError> {
    let used: i64 = sqlx::query_scalar(
        "select count(*) from promoted_attributes where table_name = $1 and state <> 'demoted'",
    )
    .bind(spec.table)
    .fetch_one(connection)
    .await?;
    if used >= MAX_PROMOTED as i64 {
        return Err(PromotionError::Budget(spec.entity));
    }
    Ok(())
}

async fn live(
    connection: &mut PgConnection,
    entity: Entity,
    attribute: &str,
) -> Result<Option<(Uuid, ValueType)>, sqlx::Error> {
    let sql = format!(
        "select promotion_id, value_type from promoted_attributes where entity = $1 and attribute = $2 \
         and state in {LIVE}"
    );
    let found: Option<(Uuid, String)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(entity.wire_name())
        .bind(attribute)
        .fetch_optional(connection)
        .await?;
    Ok(found.and_then(|(id, kind)| Some((id, value_type(&kind)?))))
}

/// The caller's workspace wants a promotion that is there, too.
pub async fn want(
    connection: &mut PgConnection,
    caller: &Caller,
    id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update promoted_attributes set workspace_ids = array_append(array_remove(workspace_ids, $2), $2), \
         wanted_by = array_append(array_remove(wanted_by, $2), $2) \
         where promotion_id = $1 and not ($2 = any (workspace_ids) and $2 = any (wanted_by))",
    )
    .bind(id)
    .bind(caller.workspace_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// The type that fits everything that the caller's systems have sent: text, unless it was numbers or truths only.
async fn fitting_type(
    connection: &mut PgConnection,
    caller: &Caller,
    entity: Entity,
    attribute: &str,
) -> Result<ValueType, sqlx::Error> {
    let seen: Vec<String> = sqlx::query_scalar(
        "select distinct unnest(a.json_types) from attributes a join systems s on s.system_id = a.system_id \
         where s.workspace_id = $1 and ($2::integer[] is null or s.system_id = any ($2)) \
         and a.entity = $3 and a.attribute = $4",
    )
    .bind(caller.workspace_id)
    .bind(&caller.system_ids)
    .bind(entity.wire_name())
    .bind(attribute)
    .fetch_all(connection)
    .await?;
    Ok(match seen.as_slice() {
        [only] if only == JsonType::Number.wire_name() => ValueType::Number,
        [only] if only == JsonType::Boolean.wire_name() => ValueType::Boolean,
        _ => ValueType::Text,
    })
}

/// One promotion that the caller's workspace asked for.
pub async fn one(
    connection: &mut PgConnection,
    caller: &Caller,
    id: Uuid,
) -> Result<Promotion, ApiError> {
    let sql = format!(
        "select {COLUMNS} from promoted_attributes p where p.promotion_id = $3 and $1 = any (p.workspace_ids)"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref()
        .map(read)
        .transpose()?
        .ok_or_else(|| ApiError::NotFound("there is no such promotion".into()))
}

/// Which promotions are wanted.
#[derive(Debug)]
pub struct Wanted {
    /// Only those of this entity.
    pub entity: Option<Entity>,
    /// Only those that stand so.
    pub state: Option<PromotionState>,
    /// Only those asked for before this one.
    pub after: Option<Uuid>,
    /// Most on the page.
    pub limit: u32,
}

/// A page of promotions that the caller's workspace asked for, latest first.
pub async fn page(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<PromotionPage, ApiError> {
    let sql = format!(
        "select {COLUMNS} from promoted_attributes p where $1 = any (p.workspace_ids) \
         and ($3::text is null or p.entity = $3) and ($4::text is null or p.state = $4) \
         and ($5::uuid is null or p.promotion_id < $5) order by p.promotion_id desc limit $6"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(wanted.entity.map(Entity::wire_name))
        .bind(wanted.state.map(PromotionState::wire_name))
        .bind(wanted.after)
        .bind(i64::from(wanted.limit) + 1)
        .fetch_all(connection)
        .await?;
    let mut items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let has_more = items.len() > wanted.limit as usize;
    items.truncate(wanted.limit as usize);
    Ok(PromotionPage {
        next: items
            .last()
            .filter(|_| has_more)
            .map(|last| last.promotion_id),
        items,
    })
}

/// Takes a promotion back, once no workspace wants it any more. Taking it back again changes nothing.
pub async fn demote(
    connection: &mut PgConnection,
    caller: &Caller,
    id: Uuid,
) -> Result<Promotion, ApiError> {
    // A column that was not made yet needs no emptying. An index may be there from an earlier promotion of the field.
    let sql = format!(
        "update promoted_attributes set wanted_by = array_remove(wanted_by, $2), \
         state = case when array_remove(wanted_by, $2) <> '{{}}' then state when state = 'waiting' and field is null \
         then 'demoted' else 'demoting' end, \
         state_since = case when array_remove(wanted_by, $2) <> '{{}}' then state_since else now() end, \
         error = case when array_remove(wanted_by, $2) <> '{{}}' then error end \
         where promotion_id = $1 and $2 = any (wanted_by) and state in {LIVE}"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .bind(caller.workspace_id)
        .execute(&mut *connection)
        .await?;
    one(connection, caller, id).await
}
