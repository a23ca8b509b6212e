//! The index of a promoted column or core field, made and dropped beside everything else.

use contract::ValueType;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use super::{field, promoted::value_type, worker::StepError};
use crate::{
    entity::{self, EntitySpec},
    query::{Kind, Source, sorted},
};

/// Where a promotion's column is.
struct Place {
    spec: &'static EntitySpec,
    column: String,
    kind: Kind,
    /// Does the index exist, and can it be used?
    is_valid: Option<bool>,
}

/// The name of an index: below the 63 bytes that PostgreSQL keeps of a name.
fn index_name(table: &str, column: &str) -> String {
    format!("{table}_{column}")
}

/// What is indexed: what lists are sorted by, then the row's whole key, which decides among equal values. Were a part of the
/// key missing, PostgreSQL would sometimes take the key's own index, and read all that it passes by. An entry may have 2,704
/// bytes, which a test watches over.
fn index_keys(spec: &EntitySpec, column: &str, kind: Kind) -> String {
    let key = spec
        .key
        .iter()
        // A text is sorted as something else than itself.
        .filter(|part| part.sql != column || kind == Kind::Text)
        .map(|part| part.sql.to_owned());
    let all: Vec<String> = ["system_id".to_owned(), sorted(kind, column)]
        .into_iter()
        .chain(key)
        .collect();
    all.join(", ")
}

impl Place {
    fn index(&self) -> String {
        index_name(self.spec.table, &self.column)
    }
}

async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Place, sqlx::Error> {
    let row = sqlx::query(
        "select p.table_name, p.column_name, p.value_type, p.field, i.indisvalid from promoted_attributes p \
         left join pg_index i on i.indexrelid = to_regclass(p.table_name || '_' || p.column_name) \
         where p.promotion_id = $1",
    )
    .bind(id)
    .fetch_one(connection)
    .await?;
    let table: String = row.try_get("table_name")?;
    let column: String = row.try_get("column_name")?;
    let (kind, field): (Option<String>, Option<String>) =
        (row.try_get("value_type")?, row.try_get("field")?);
    let spec = entity::ALL.into_iter().find(|spec| spec.table == table);
    let place = spec.and_then(|spec| {
        let kind = match (kind, field) {
            (Some(kind), None) => value_type(&kind).map(ValueType::into),
            (None, Some(field)) => Source::of(spec)
                .field(&field)
                .filter(|field| field.sql == column)
                .map(|field| field.kind),
            _ => None,
        };
        Some((spec, kind?))
    });
    let (spec, kind) =
        place.ok_or_else(|| sqlx::Error::Protocol(format!("{table} has no {column}")))?;
    Ok(Place {
        spec,
        column,
        kind,
        is_valid: row.try_get("indisvalid")?,
    })
}

/// Makes the index; then the column can be read. One that was left half made is made again.
pub async fn make(connection: &mut PgConnection, id: Uuid) -> Result<(), StepError> {
    let mut place = find(connection, id).await?;
    if place.is_valid == Some(false) {
        remove(connection, &place).await?;
        place.is_valid = None;
    }
    if place.is_valid.is_none() {
        let sql = format!(
            "create index concurrently {} on {} ({})",
            place.index(),
            place.spec.table,
            index_keys(place.spec, &place.column, place.kind)
        );
        run(connection, sql).await?;
        place = find(connection, id).await?;
    }
    if place.is_valid != Some(true) {
        return Err(
            sqlx::Error::Protocol("the index was made, but is not valid".to_owned()).into(),
        );
    }
    // A plan needs to know what is in there.
    run(connection, format!("analyze {}", place.spec.table)).await?;
    sqlx::query(
        "update promoted_attributes set state = 'ready', state_since = now(), ready_at = now(), attempts = 0, error = null \
         where promotion_id = $1 and state = 'indexing'",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Drops the index, if there is one.
pub async fn drop(connection: &mut PgConnection, id: Uuid) -> Result<(), StepError> {
    let place = find(connection, id).await?;
    if place.is_valid.is_some() {
        remove(connection, &place).await?;
    }
    Ok(())
}

/// Drops the index of a core field, unless somebody wants it again: that promotion's is the same one.
pub async fn give_up(connection: &mut PgConnection, id: Uuid) -> Result<(), StepError> {
    if !field::is_wanted_again(connection, id).await? {
        drop(connection, id).await?;
    }
    Ok(field::end(connection, id).await?)
}

async fn remove(connection: &mut PgConnection, place: &Place) -> Result<(), sqlx::Error> {
    run(
        connection,
        format!("drop index concurrently if exists {}", place.index()),
    )
    .await
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entity::{Column, ColumnKind},
        query::SORTED_CHARS,
    };

    #[test]
    fn postgresql_keeps_every_name_whole() {
        let attribute = "attr_timestamp_9999".len();
        for spec in entity::ALL {
            for field in &Source::of(spec).fields {
                let name = index_name(spec.table, field.sql);
                assert!(name.len() <= 63, "{name}");
            }
            assert!(spec.table.len() + 1 + attribute <= 63, "{}", spec.table);
        }
    }

    #[test]
    fn a_column_of_the_key_is_indexed_once_and_a_text_as_it_is_sorted_too() {
        let spec = entity::spec(contract::Entity::ResourceAssignments).expect("a specification");
        assert_eq!(
            index_keys(spec, "principal_id", Kind::Uuid),
            "system_id, (principal_id), resource_id, assignment_type, role_scope"
        );
        assert_eq!(
            index_keys(spec, "start_date_time", Kind::Time),
            "system_id, (start_date_time), resource_id, principal_id, assignment_type, role_scope"
        );
        assert_eq!(
            index_keys(spec, "role_scope", Kind::Text),
            format!(
                "system_id, {}, resource_id, principal_id, assignment_type, role_scope",
                sorted(Kind::Text, "role_scope")
            )
        );
    }

    /// The most that a value takes in an index, with its length and what aligns the next one.
    fn most_bytes(part: &Column, spec: &EntitySpec) -> usize {
        match part.kind {
            ColumnKind::Text => {
                let schema = contract::record_schema(spec.entity).to_value();
                let field = &schema["properties"][part.wire];
                let kind = field["$ref"]
                    .as_str()
                    .and_then(|name| name.rsplit('/').next());
                let chars = match kind {
                    Some(kind) => {
                        assert_eq!(kind, "TypeName", "{} of {}", part.wire, spec.entity);
                        50
                    }
                    None => field["maxLength"].as_u64().expect("a longest length") as usize,
                };
                chars * 4 + 8
            }
            _ => 16 + 8,
        }
    }

    #[test]
    fn no_row_is_too_large_for_an_index() {
        for spec in entity::ALL {
            let key: usize = spec.key.iter().map(|part| most_bytes(part, spec)).sum();
            // The entry itself, the system, and 200 characters or a number of 400 digits.
            let entry = 16 + 8 + (SORTED_CHARS * 4 + 8) + key;
            assert!(entry <= 2_704, "{}: {entry}", spec.entity);
        }
    }
}
