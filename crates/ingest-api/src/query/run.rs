//! Asking the database.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, Postgres, Row as _, Transaction, postgres::PgRow,
    types::Json,
};

use super::{
    Cursor, Filter, Kind, Names, Order, QueryError, Scope, Writer,
    bind::{Bind, Binds},
    page::{Direction, Page, from_and_conditions},
};

/// Longest time for a look at the statistics.
const ESTIMATE_PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The filter does not fit the source.
    #[error(transparent)]
    Filter(#[from] QueryError),
    /// PostgreSQL refused or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The rows of a page, written.
#[derive(Debug, Default)]
pub struct PageRows {
    /// The rows one after the other, each with what ends it.
    pub bytes: Vec<u8>,
    /// Where each row ends in `bytes`.
    pub ends: Vec<usize>,
    /// The place of the first row that was read, and of the last one.
    pub first: Option<Cursor>,
    /// The same for the last one.
    pub last: Option<Cursor>,
    /// Are there more rows in this direction?
    pub has_more: bool,
}

impl PageRows {
    /// Each row, in the order in which they were read.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.ends.iter().enumerate().map(|(number, end)| {
            let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[start..*end]
        })
    }
}

/// What one page may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A page ends early when it is larger than this.
    pub max_bytes: usize,
    /// Longest time in the database.
    pub patience: Duration,
}

/// Reads a page. `end` is written after each row.
pub async fn read_page(
    pool: &PgPool,
    page: Page<'_>,
    writer: &Writer,
    end: &[u8],
    limits: Limits,
) -> Result<PageRows, RunError> {
    let mut transaction = read_only(pool, limits.patience).await?;
    let rows = read_page_within(&mut transaction, page, writer, end, limits.max_bytes).await?;
    if rows.has_more {
        // What is left of the answer is thrown away with the transaction.
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    Ok(rows)
}

/// Reads a page within the caller's transaction.
pub async fn read_page_within(
    connection: &mut PgConnection,
    page: Page<'_>,
    writer: &Writer,
    end: &[u8],
    max_bytes: usize,
) -> Result<PageRows, RunError> {
    let wanted = page.limit as usize;
    // One more than asked for says whether there are more.
    let page = Page {
        limit: page.limit + 1,
        ..page
    };
    let (sql, binds) = page.sql()?;
    let mut rows = PageRows::default();
    {
        let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        let mut stream = binds.give(query).fetch(&mut *connection);
        let mut latest: Option<PgRow> = None;
        while let Some(row) = stream.try_next().await? {
            if rows.ends.len() == wanted || rows.bytes.len() >= max_bytes {
                rows.has_more = true;
                break;
            }
            writer.write(&row, &mut rows.bytes)?;
            rows.bytes.extend(end);
            rows.ends.push(rows.bytes.len());
            if rows.first.is_none() {
                rows.first = Some(place(&row, writer, page.order, page.names)?);
            }
            latest = Some(row);
        }
        rows.last = latest
            .map(|row| place(&row, writer, page.order, page.names))
            .transpose()?;
    }
    if matches!(page.direction, Direction::Before(_)) {
        std::mem::swap(&mut rows.first, &mut rows.last);
    }
    Ok(rows)
}

/// A transaction that writes nothing, whatever a statement says, and ends statements that take too long.
pub async fn read_only(
    pool: &PgPool,
    patience: Duration,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let settings = format!(
        "set transaction read only; set local statement_timeout = {}",
        patience.as_millis()
    );
    sqlx::raw_sql(AssertSqlSafe(settings))
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// The place of a row: what stands behind the selected columns.
fn place(
    row: &PgRow,
    writer: &Writer,
    order: &Order,
    names: &Names,
) -> Result<Cursor, sqlx::Error> {
    let mut column = writer.width();
    let mut values = Vec::with_capacity(order.keys.len());
    for key in &order.keys {
        if key.kind == Kind::Number {
            column += 1;
        }
        values.push(value(row, column, key.kind)?);
        column += 1;
    }
    let mut key = Vec::with_capacity(names.source.key.len());
    for (sql, kind) in &names.source.key {
        let value = value(row, column, *kind)?;
        key.push(value.ok_or_else(|| sqlx::Error::ColumnNotFound(format!("{sql} is null")))?);
        column += 1;
    }
    Ok(Cursor {
        values,
        key,
        system_id: row.try_get(column)?,
    })
}

fn value(row: &PgRow, column: usize, kind: Kind) -> Result<Option<Bind>, sqlx::Error> {
    Ok(match kind {
        Kind::Text | Kind::Number | Kind::Json => {
            row.try_get::<Option<String>, _>(column)?.map(Bind::Text)
        }
        Kind::Uuid => row.try_get::<Option<_>, _>(column)?.map(Bind::Uuid),
        Kind::Bool => row.try_get::<Option<_>, _>(column)?.map(Bind::Bool),
        Kind::Time => row.try_get::<Option<_>, _>(column)?.map(Bind::Time),
        Kind::Int => row.try_get::<Option<_>, _>(column)?.map(Bind::Int),
    })
}

fn counted(
    names: &Names,
    scope: &Scope,
    filter: Option<&Filter>,
    what: &str,
) -> Result<(String, Binds), QueryError> {
    let mut binds = Binds::default();
    let systems = binds.push(Bind::Systems(scope.systems.clone()));
    let (from, conditions) = from_and_conditions(names, scope, filter, &mut binds)?;
    let sql = format!("{what} from {from} where t.system_id = any ({systems}){conditions}");
    Ok((sql, binds))
}

/// Counts the rows; none when that takes too long.
pub async fn count_exactly(
    pool: &PgPool,
    names: &Names,
    scope: &Scope,
    filter: Option<&Filter>,
    patience: Duration,
) -> Result<Option<i64>, RunError> {
    let (sql, binds) = counted(names, scope, filter, "select count(*)")?;
    let mut transaction = read_only(pool, patience).await?;
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    match binds.give(query).fetch_one(&mut *transaction).await {
        Ok(row) => {
            transaction.commit().await?;
            Ok(Some(row.try_get(0)?))
        }
        Err(error) if is_cancelled(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Was the statement ended because it took too long?
fn is_cancelled(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "57014")
}

/// How many rows PostgreSQL expects, from its statistics.
pub async fn estimate(
    pool: &PgPool,
    names: &Names,
    scope: &Scope,
    filter: Option<&Filter>,
) -> Result<i64, RunError> {
    let (sql, binds) = counted(names, scope, filter, "explain (format json) select 1")?;
    let mut transaction = read_only(pool, ESTIMATE_PATIENCE).await?;
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let row = binds.give(query).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    let Json(plan): Json<serde_json::Value> = row.try_get(0)?;
    plan[0]["Plan"]["Plan Rows"]
        .as_f64()
        .map(|rows| rows as i64)
        .ok_or_else(|| sqlx::Error::Protocol("the plan names no rows".into()).into())
}
