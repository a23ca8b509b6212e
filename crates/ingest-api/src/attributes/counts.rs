//! How many live rows carry an attribute, and how many of their values do not fit its column: counted in the background.

use std::collections::BTreeSet;

use contract::Entity;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::entity::{self, EntitySpec};

/// Counts the rows of entities that changed, or whose attributes were never counted.
pub async fn count(
    connection: &mut PgConnection,
    changed: &BTreeSet<Entity>,
    has_uncounted: bool,
) -> Result<(), sqlx::Error> {
    let mut wanted = BTreeSet::new();
    let known: Vec<(String, bool)> = sqlx::query_as(
        "select entity, bool_or(counted_at is null) from attributes group by entity",
    )
    .fetch_all(&mut *connection)
    .await?;
    for (name, is_uncounted) in known {
        // Most entities have no extended attributes.
        if let Ok(entity) = name.parse::<Entity>()
            && (changed.contains(&entity) || (has_uncounted && is_uncounted))
        {
            wanted.insert(entity);
        }
    }
    // A column that became ready a moment ago has no count of what does not fit.
    let ready: Vec<String> = sqlx::query_scalar(
        "select distinct p.entity from promoted_attributes p join attributes a on a.entity = p.entity \
         and a.attribute = p.attribute where p.state in ('indexing', 'ready') and a.mismatches is null",
    )
    .fetch_all(&mut *connection)
    .await?;
    wanted.extend(ready.iter().filter_map(|name| name.parse::<Entity>().ok()));
    for spec in wanted.into_iter().filter_map(entity::spec) {
        count_rows(connection, spec).await?;
        count_mismatches(connection, spec).await?;
    }
    Ok(())
}

async fn count_rows(connection: &mut PgConnection, spec: &EntitySpec) -> Result<(), sqlx::Error> {
    let sql = format!(
        "with counted as (select t.system_id, k.name, count(*) as rows from {} t \
         cross join lateral jsonb_object_keys(t.extended_attributes) k (name) where t.deleted_at is null group by 1, 2) \
         update attributes a set rows_total = coalesce(n.rows, 0), mismatches = null, counted_at = now() \
         from (select b.system_id, b.attribute, c.rows from attributes b \
         left join counted c on c.system_id = b.system_id and c.name = b.attribute where b.entity = $1) n \
         where a.system_id = n.system_id and a.entity = $1 and a.attribute = n.attribute",
        spec.table
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(spec.entity.wire_name())
        .execute(connection)
        .await?;
    Ok(())
}

async fn count_mismatches(
    connection: &mut PgConnection,
    spec: &EntitySpec,
) -> Result<(), sqlx::Error> {
    let promoted: Vec<(String, String)> = sqlx::query_as(
        "select attribute, column_name from promoted_attributes where table_name = $1 and attribute is not null \
         and state in ('indexing', 'ready') order by attribute",
    )
    .bind(spec.table)
    .fetch_all(&mut *connection)
    .await?;
    if promoted.is_empty() {
        return Ok(());
    }
    // All of them in one walk through the table.
    let counts = (1..)
        .zip(&promoted)
        .map(|(place, (_, column))| {
            format!(
                "count(*) filter (where t.{column} is null and t.extended_attributes ? $1[{place}])"
            )
        })
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "select t.system_id, array[{counts}] as counts from {} t where t.deleted_at is null group by 1",
        spec.table
    );
    let names: Vec<&str> = promoted.iter().map(|(name, _)| name.as_str()).collect();
    let systems = sqlx::query(AssertSqlSafe(sql))
        .bind(&names)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::query("update attributes set mismatches = 0 where entity = $1 and attribute = any ($2)")
        .bind(spec.entity.wire_name())
        .bind(&names)
        .execute(&mut *connection)
        .await?;
    for system in systems {
        sqlx::query(
            "update attributes a set mismatches = n.count from unnest($3::text[], $4::bigint[]) n (name, count) \
             where a.system_id = $1 and a.entity = $2 and a.attribute = n.name and n.count > 0",
        )
        .bind(system.try_get::<i32, _>("system_id")?)
        .bind(spec.entity.wire_name())
        .bind(&names)
        .bind(system.try_get::<Vec<i64>, _>("counts")?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
