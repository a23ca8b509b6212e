//! Changes of an attribute's type, as people read them.

use contract::{AttributeDrift, AttributeDriftPage, Entity, JsonType, SystemId};
use sqlx::{PgPool, Row as _, postgres::PgRow};

use super::list::json_types;
use crate::error::ApiError;

/// A page of the drifts of a system, latest first; of one entity, where one is named.
pub async fn page(
    pool: &PgPool,
    system_id: SystemId,
    entity: Option<Entity>,
    after: Option<i64>,
    limit: u32,
) -> Result<AttributeDriftPage, ApiError> {
    let rows = sqlx::query(
        "select drift_id, system_id, entity, attribute, known_types, new_type, sync_id, seen_at from attribute_drifts \
         where system_id = $1 and ($2::text is null or entity = $2) and ($3::bigint is null or drift_id < $3) \
         order by drift_id desc limit $4",
    )
    .bind(system_id)
    .bind(entity.map(Entity::wire_name))
    .bind(after)
    .bind(i64::from(limit) + 1)
    .fetch_all(pool)
    .await?;
    let mut items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Ok(AttributeDriftPage {
        next: items.last().filter(|_| has_more).map(|last| last.drift_id),
        items,
    })
}

fn read(row: &PgRow) -> Result<AttributeDrift, ApiError> {
    let (entity, new_type): (String, String) = (row.try_get("entity")?, row.try_get("new_type")?);
    Ok(AttributeDrift {
        drift_id: row.try_get("drift_id")?,
        system_id: row.try_get("system_id")?,
        entity: entity.parse::<Entity>().map_err(ApiError::internal)?,
        attribute: row.try_get("attribute")?,
        known_types: json_types(&row.try_get::<Vec<String>, _>("known_types")?),
        new_type: JsonType::ALL
            .into_iter()
            .find(|kind| kind.wire_name() == new_type)
            .ok_or_else(|| ApiError::internal(format!("an attribute became '{new_type}'")))?,
        sync_id: row.try_get("sync_id")?,
        seen_at: row.try_get("seen_at")?,
    })
}
