//! The catalogue as people read it.

use std::collections::BTreeSet;

use contract::{AttributeColumn, AttributeInfo, AttributePage, Entity, JsonType, SystemId};
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    promoted::value_type,
    promotion::{LIVE, state},
    seen::JsonTypes,
};
use crate::{auth::Caller, error::ApiError};

/// Which attributes are wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Of this system, which the caller may see.
    pub system_id: SystemId,
    /// Of these rows.
    pub entity: Entity,
    /// Only those whose names come after this one.
    pub after: Option<&'a str>,
    /// Most on the page.
    pub limit: u32,
}

/// A page of the catalogue, by name.
pub async fn page(
    pool: &PgPool,
    caller: &Caller,
    wanted: &Wanted<'_>,
) -> Result<AttributePage, ApiError> {
    let sql = format!(
        "select a.attribute, a.json_types, a.first_seen_at, a.last_seen_at, a.rows_total, a.mismatches, a.counted_at, \
         p.promotion_id, p.value_type, p.state from attributes a \
         left join promoted_attributes p on p.entity = a.entity and p.attribute = a.attribute and p.state in {LIVE} \
         and $5 = any (p.workspace_ids) \
         where a.system_id = $1 and a.entity = $2 and ($3::text is null or a.attribute > $3) order by a.attribute limit $4"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(wanted.system_id)
        .bind(wanted.entity.wire_name())
        .bind(wanted.after)
        .bind(i64::from(wanted.limit) + 1)
        .bind(caller.workspace_id)
        .fetch_all(pool)
        .await?;
    let left_out: Vec<String> = sqlx::query_scalar(
        "select reason from attributes_left_out where system_id = $1 and entity = $2",
    )
    .bind(wanted.system_id)
    .bind(wanted.entity.wire_name())
    .fetch_all(pool)
    .await?;
    let left_out: BTreeSet<&str> = left_out.iter().map(String::as_str).collect();
    let mut items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let has_more = items.len() > wanted.limit as usize;
    items.truncate(wanted.limit as usize);
    Ok(AttributePage {
        next: items
            .last()
            .filter(|_| has_more)
            .map(|last| last.attribute.clone()),
        items,
        too_many: left_out.contains("too_many"),
        names_too_long: left_out.contains("name_too_long"),
    })
}

/// The types with these names.
pub fn json_types(names: &[String]) -> Vec<JsonType> {
    JsonTypes::from_names(names).iter().collect()
}

fn read(row: &PgRow) -> Result<AttributeInfo, ApiError> {
    let count = |name: &str| -> Result<Option<u64>, sqlx::Error> {
        Ok(row
            .try_get::<Option<i64>, _>(name)?
            .map(|count| count as u64))
    };
    let promotion = match row.try_get::<Option<Uuid>, _>("promotion_id")? {
        None => None,
        Some(promotion_id) => {
            let kind: String = row.try_get("value_type")?;
            Some(AttributeColumn {
                promotion_id,
                value_type: value_type(&kind).ok_or_else(|| {
                    ApiError::internal(format!("a promotion has the type '{kind}'"))
                })?,
                state: state(&row.try_get::<String, _>("state")?)?,
            })
        }
    };
    Ok(AttributeInfo {
        attribute: row.try_get("attribute")?,
        json_types: json_types(&row.try_get::<Vec<String>, _>("json_types")?),
        first_seen_at: row.try_get("first_seen_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
        rows_total: count("rows_total")?,
        mismatches: count("mismatches")?,
        counted_at: row.try_get("counted_at")?,
        promotion,
    })
}
