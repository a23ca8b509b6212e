//! The index of a promoted column, made and dropped beside everything else.

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::worker::StepError;
use crate::{
    entity::{self, ColumnKind},
    query::sorted_text,
};

/// Where a promotion's column is.
struct Place {
    table: String,
    column: String,
    /// Does the index exist, and can it be used?
    is_valid: Option<bool>,
}

impl Place {
    /// Well below the 63 bytes that PostgreSQL keeps of a name.
    fn index(&self) -> String {
        format!("{}_{}", self.table, self.column)
    }

    /// What is indexed: what lists are sorted by, then the row's key, which decides among equal values. The texts that some
    /// keys end with are left out: an entry may have 2,704 bytes.
    fn keys(&self) -> String {
        let value = if self.column.starts_with("attr_text_") {
            sorted_text(&self.column)
        } else {
            self.column.clone()
        };
        let key = entity::ALL
            .iter()
            .filter(|spec| spec.table == self.table)
            .flat_map(|spec| spec.key)
            .filter(|column| matches!(column.kind, ColumnKind::Uuid))
            .map(|column| column.sql.to_owned());
        let all: Vec<String> = ["system_id".to_owned(), value]
            .into_iter()
            .chain(key)
            .collect();
        all.join(", ")
    }
}

async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Place, sqlx::Error> {
    let (table, column, is_valid) = sqlx::query_as(
        "select p.table_name, p.column_name, i.indisvalid from promoted_attributes p \
         left join pg_index i on i.indexrelid = to_regclass(p.table_name || '_' || p.column_name) \
         where p.promotion_id = $1",
    )
    .bind(id)
    .fetch_one(connection)
    .await?;
    Ok(Place {
        table,
        column,
        is_valid,
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
            place.table,
            place.keys()
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
    run(connection, format!("analyze {}", place.table)).await?;
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
