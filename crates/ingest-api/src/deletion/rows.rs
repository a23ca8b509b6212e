//! The rows of a change set: which they are, what they are called, and whether they are still what was held.

use std::collections::BTreeMap;

use contract::{ChangeSet, HeldRow, HeldRowPage};
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgRow, types::Json};

use crate::{
    entity::{self, EntitySpec, IdSpace},
    error::ApiError,
};

fn spec_of(change_set: &ChangeSet) -> Result<&'static EntitySpec, ApiError> {
    entity::spec(change_set.entity)
        .ok_or_else(|| ApiError::internal("a change set without a table"))
}

/// `t.key = h.row_key[1]::uuid and …`
pub fn key_match(spec: &EntitySpec) -> String {
    (1..)
        .zip(spec.key)
        .map(|(place, column)| {
            format!(
                "t.{} = h.row_key[{place}]::{}",
                column.sql,
                column.kind.sql()
            )
        })
        .collect::<Vec<_>>()
        .join(" and ")
}

/// What makes a row the one that was held; the same that an approval asks.
const AS_HELD: &str =
    "t.row_id = h.row_id and t.valid_from = h.valid_from and t.deleted_at is null";

/// The condition under which the row `t` is still the one that was held as `h`.
pub fn as_held(spec: &EntitySpec) -> String {
    format!("{} and {AS_HELD}", key_match(spec))
}

/// How many rows an approval would remove now.
pub async fn count_now(pool: &PgPool, change_set: &ChangeSet) -> Result<u64, ApiError> {
    let spec = spec_of(change_set)?;
    let sql = format!(
        "select count(*) from held_rows h join {table} t on t.system_id = $1 and {as_held} where h.change_set_id = $2",
        table = spec.table,
        as_held = as_held(spec),
    );
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(change_set.system_id)
        .bind(change_set.change_set_id)
        .fetch_one(pool)
        .await?;
    Ok(count as u64)
}

/// A page of a change set's rows, after the row with number `after`.
pub async fn page(
    pool: &PgPool,
    change_set: &ChangeSet,
    after: i64,
    limit: u32,
) -> Result<HeldRowPage, ApiError> {
    let spec = spec_of(change_set)?;
    let rows = sqlx::query(AssertSqlSafe(page_sql(spec)))
        .bind(change_set.system_id)
        .bind(change_set.change_set_id)
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await?;
    let mut items = rows
        .iter()
        .map(|row| read(spec, row))
        .collect::<Result<Vec<_>, _>>()?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| has_more);
    Ok(HeldRowPage {
        next: next.map(|last| last.row_id),
        items,
    })
}

fn page_sql(spec: &EntitySpec) -> String {
    let has_name = spec
        .columns
        .iter()
        .any(|column| column.sql == "display_name");
    let names = (1..)
        .zip(spec.key)
        .filter_map(|(place, column)| {
            let id = format!("h.row_key[{place}]::uuid");
            Some(format!(
                "'{}', {}",
                column.wire,
                name_of(column.refers_to?, &id)?
            ))
        })
        .collect::<Vec<_>>()
        .join(", ");
    // The lookups are lateral and fenced in, so that each goes to the primary key, whatever the statistics say.
    format!(
        "select h.row_id, h.row_key, {name} as display_name, \
         jsonb_strip_nulls(jsonb_build_object({names})) as names, \
         coalesce(t.deleted_at, t.valid_from, h.valid_from) as changed_at, ({AS_HELD}) is true as is_as_held \
         from (select * from held_rows where change_set_id = $2 and row_id > $3 order by row_id limit $4) h \
         left join lateral (select * from {table} t where t.system_id = $1 and {key} offset 0) t on true order by h.row_id",
        name = if has_name {
            "t.display_name"
        } else {
            "null::text"
        },
        table = spec.table,
        key = key_match(spec),
    )
}

/// The expression for the name of what an id refers to; removed things keep theirs.
pub fn name_of(space: IdSpace, id: &str) -> Option<String> {
    let tables: &[&str] = match space {
        IdSpace::Principals => &["principals"],
        IdSpace::Resources => &["resources"],
        IdSpace::Identities => &["identities"],
        IdSpace::Contexts => &["contexts"],
        IdSpace::Catalogs => &["governance_catalogs"],
        IdSpace::Policies => &["assignment_policies"],
        // A group that holds something is a resource.
        IdSpace::Holders => &["principals", "resources"],
        IdSpace::Members => &["identities", "principals", "resources", "contexts"],
        IdSpace::Requests | IdSpace::Certifications => return None,
    };
    let lookups = tables
        .iter()
        .map(|table| {
            format!("(select n.display_name from {table} n where n.system_id = $1 and n.id = {id})")
        })
        .collect::<Vec<_>>()
        .join(", ");
    Some(format!("coalesce({lookups})"))
}

fn read(spec: &EntitySpec, row: &PgRow) -> Result<HeldRow, ApiError> {
    // Sets that were decided before keys were kept have none.
    let key: Option<Vec<String>> = row.try_get("row_key")?;
    Ok(HeldRow {
        row_id: row.try_get("row_id")?,
        key: spec
            .key
            .iter()
            .map(|column| column.wire.to_owned())
            .zip(key.into_iter().flatten())
            .collect(),
        display_name: row.try_get("display_name")?,
        names: row.try_get::<Json<BTreeMap<String, String>>, _>("names")?.0,
        changed_at: row.try_get("changed_at")?,
        is_as_held: row.try_get("is_as_held")?,
    })
}
