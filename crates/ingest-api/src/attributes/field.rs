//! Core fields that get an index on request, so that lists by them are read from it.
//!
//! The column is the source's: it is there, it is full, and nothing here ever writes it. Only the index comes and goes.

use contract::{Entity, Promote};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::promotion::{LIVE, PromotionError, lock_table, require_room, want};
use crate::{
    auth::Caller,
    entity,
    query::{Field, Kind, Source},
};

/// The field of an entity that an index is asked for.
fn indexable(
    source: &'static Source,
    entity: Entity,
    name: &str,
) -> Result<&'static Field, PromotionError> {
    let unknown = || PromotionError::UnknownField {
        entity,
        name: name.chars().take(60).collect(),
        known: source
            .fields
            .iter()
            .map(|field| field.wire)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let field = source.field(name).ok_or_else(unknown)?;
    if field.kind == Kind::Json {
        return Err(PromotionError::NotSorted(field.wire));
    }
    if source.has_own_index(field) {
        return Err(PromotionError::HasIndex(entity, field.wire));
    }
    Ok(field)
}

/// Asks for the index of a core field; answers the promotion, and whether it is a new one. Inside the caller's transaction.
pub async fn request(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Promote,
    name: &str,
) -> Result<(Uuid, bool), PromotionError> {
    let spec = entity::spec(wanted.entity).ok_or(PromotionError::Entity(wanted.entity))?;
    let field = indexable(Source::of(spec), wanted.entity, name)?;
    if wanted.value_type.is_some() {
        return Err(PromotionError::FieldType(field.wire));
    }
    lock_table(connection, spec.table).await?;
    let sql = format!(
        "select promotion_id from promoted_attributes where entity = $1 and field = $2 and state in {LIVE}"
    );
    let live: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(wanted.entity.wire_name())
        .bind(field.wire)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(id) = live {
        want(connection, caller, id).await?;
        return Ok((id, false));
    }
    require_room(connection, spec).await?;
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into promoted_attributes (promotion_id, entity, table_name, field, column_name, workspace_ids, wanted_by, \
         requested_by) values ($1, $2, $3, $4, $5, array[$6::integer], array[$6::integer], $7)",
    )
    .bind(id)
    .bind(wanted.entity.wire_name())
    .bind(spec.table)
    .bind(field.wire)
    .bind(field.sql)
    .bind(caller.workspace_id)
    .bind(caller.actor())
    .execute(connection)
    .await?;
    Ok((id, true))
}

/// Begins with the index.
pub async fn begin(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update promoted_attributes set state = 'indexing', state_since = now(), attempts = 0, error = null \
         where promotion_id = $1 and state = 'waiting'",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Is the index of a promotion that was taken back wanted by another one, which came after it?
pub async fn is_wanted_again(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let sql = format!(
        "select exists (select from promoted_attributes p join promoted_attributes q on q.table_name = p.table_name \
         and q.field = p.field where p.promotion_id = $1 and q.state in {LIVE})"
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(id)
        .fetch_one(connection)
        .await
}

/// The index is gone, or another promotion's.
pub async fn end(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update promoted_attributes set state = 'demoted', state_since = now(), attempts = 0, error = null \
         where promotion_id = $1 and state = 'demoting'",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_but_objects_and_those_that_have_an_index_can_get_one() {
        for spec in entity::ALL {
            let source = Source::of(spec);
            let refused: Vec<&str> = source
                .fields
                .iter()
                .map(|field| field.wire)
                .filter(|name| indexable(source, spec.entity, name).is_err())
                .collect();
            let mut expected = vec![spec.key[0].wire, "extendedAttributes"];
            if matches!(spec.entity, Entity::Principals | Entity::Resources) {
                expected.insert(1, "displayName");
            }
            assert_eq!(refused, expected, "{}", spec.entity);
        }
    }

    #[test]
    fn names_that_are_no_fields_are_refused_by_name() {
        let spec = entity::spec(Entity::Principals).expect("a specification");
        for name in [
            "",
            "created_date_time",
            "CreatedDateTime",
            "ext.site",
            "id; drop",
        ] {
            let refused = indexable(Source::of(spec), Entity::Principals, name);
            let error = refused.expect_err("refused").to_string();
            assert!(error.contains(&format!("'{name}'")), "{error}");
        }
    }
}
