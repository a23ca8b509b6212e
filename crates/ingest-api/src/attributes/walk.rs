//! Walks through a table: filling columns, and emptying them, some pages at a time.
//!
//! A step changes the columns only: no hash, no `valid_from`, no `sync_id`, no history, for nothing changed in the source.
//! How far it came is stored with it. It never waits for a row, so it can never be part of a deadlock with a load; where a
//! row is locked it does not go on, and comes again.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Row as _, Transaction};
use uuid::Uuid;

use super::worker::StepError;

/// A step through a table.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// Fills the columns that came the least far.
    Fill {
        /// The table.
        table: &'a str,
        /// Pages.
        pages: i64,
    },
    /// Empties the column of a promotion.
    Empty {
        /// The promotion.
        promotion_id: Uuid,
        /// Pages.
        pages: i64,
    },
}

/// A column on the walk.
struct Walker {
    promotion_id: Uuid,
    column: String,
    kind: String,
    attribute: String,
}

/// Columns that walk together.
struct Walk {
    table: String,
    from: i64,
    until: i64,
    total: i64,
    file: i64,
    walkers: Vec<Walker>,
    fills: bool,
}

/// Makes a step; answers whether the walk is at its end.
pub async fn step(connection: &mut PgConnection, step: Step<'_>) -> Result<bool, StepError> {
    let mut transaction = connection.begin().await?;
    let Some(walk) = find(&mut transaction, step).await? else {
        transaction.rollback().await?;
        return Ok(true);
    };
    // Every part of this is to be found by its place.
    sqlx::query(
        "select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), \
         set_config('enable_seqscan', 'off', true)",
    )
    .execute(&mut *transaction)
    .await?;
    let written = walk.write(&mut transaction).await?;
    // Only now, with the table locked against it, can it not be rewritten any more.
    if walk.is_elsewhere(&mut transaction).await? {
        transaction.rollback().await?;
        walk.begin_again(connection).await?;
        return Ok(false);
    }
    if walk.is_something_left(&mut transaction).await? {
        transaction.commit().await?;
        return Err(StepError::RowsInUse);
    }
    walk.advance(&mut transaction, written).await?;
    transaction.commit().await?;
    Ok(walk.until >= walk.total)
}

async fn find(
    transaction: &mut Transaction<'_, Postgres>,
    step: Step<'_>,
) -> Result<Option<Walk>, sqlx::Error> {
    let (table, id, pages) = match step {
        Step::Fill { table, pages } => (Some(table), None, pages),
        Step::Empty {
            promotion_id,
            pages,
        } => (None, Some(promotion_id), pages),
    };
    let rows = sqlx::query(
        "select promotion_id, table_name, column_name, value_type, attribute, next_block, total_blocks, file_number \
         from promoted_attributes where field is null and state = case when $1::text is null then 'emptying' else 'backfilling' end \
         and ($1::text is null or table_name = $1) and ($2::uuid is null or promotion_id = $2) \
         order by next_block, total_blocks, file_number, promotion_id",
    )
    .bind(table)
    .bind(id)
    .fetch_all(&mut **transaction)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let place = |row: &sqlx::postgres::PgRow| -> Result<(i64, i64, i64), sqlx::Error> {
        Ok((
            row.try_get("next_block")?,
            row.try_get("total_blocks")?,
            row.try_get("file_number")?,
        ))
    };
    let (from, total, file) = place(first)?;
    let mut walk = Walk {
        table: first.try_get("table_name")?,
        from,
        until: (from + pages).min(total.max(from)),
        total,
        file,
        walkers: Vec::new(),
        fills: table.is_some(),
    };
    for row in &rows {
        if place(row)? == (from, total, file) {
            walk.walkers.push(Walker {
                promotion_id: row.try_get("promotion_id")?,
                column: row.try_get("column_name")?,
                kind: row.try_get("value_type")?,
                attribute: row.try_get("attribute")?,
            });
        }
    }
    Ok(Some(walk))
}

impl Walk {
    /// What a walker's column is to be. Names of attributes are parameters, from `$3` on.
    fn value(&self, place: usize) -> String {
        if self.fills {
            let kind = &self.walkers[place].kind;
            format!("attribute_{kind}(t.extended_attributes, ${})", place + 3)
        } else {
            "null".to_owned()
        }
    }

    fn each(&self, separator: &str, shape: impl Fn(&str, String) -> String) -> String {
        self.walkers
            .iter()
            .enumerate()
            .map(|(place, walker)| shape(&walker.column, self.value(place)))
            .collect::<Vec<_>>()
            .join(separator)
    }

    /// The rows of these pages whose columns are not as they are to be.
    fn not_done(&self) -> String {
        format!(
            "from {} t where t.ctid >= $1::text::tid and t.ctid < $2::text::tid and ({})",
            self.table,
            self.each(" or ", |column, value| format!(
                "t.{column} is distinct from {value}"
            ))
        )
    }

    fn query(&self, sql: String) -> sqlx::query::Query<'_, Postgres, sqlx::postgres::PgArguments> {
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(format!("({},0)", self.from))
            .bind(format!("({},0)", self.until));
        if !self.fills {
            return query;
        }
        self.walkers
            .iter()
            .fold(query, |query, walker| query.bind(&walker.attribute))
    }

    async fn write(&self, connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let sql = format!(
            "update {} t set {} from (select t.ctid as place {} for update skip locked) s where t.ctid = s.place",
            self.table,
            self.each(", ", |column, value| format!("{column} = {value}")),
            self.not_done(),
        );
        let done = self.query(sql).execute(connection).await?;
        Ok(done.rows_affected())
    }

    async fn is_something_left(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let sql = format!("select exists (select {})", self.not_done());
        self.query(sql).fetch_one(connection).await?.try_get(0)
    }

    /// Was the table rewritten (by VACUUM FULL, say), so that rows are not where they were?
    async fn is_elsewhere(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select pg_relation_filenode(to_regclass($1))::bigint <> $2")
            .bind(&self.table)
            .bind(self.file)
            .fetch_one(connection)
            .await
    }

    fn ids(&self) -> Vec<Uuid> {
        self.walkers
            .iter()
            .map(|walker| walker.promotion_id)
            .collect()
    }

    async fn begin_again(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update promoted_attributes set next_block = 0, \
             total_blocks = pg_relation_size(to_regclass(table_name)) / current_setting('block_size')::bigint, \
             file_number = pg_relation_filenode(to_regclass(table_name))::bigint where promotion_id = any ($1)",
        )
        .bind(self.ids())
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn advance(
        &self,
        connection: &mut PgConnection,
        written: u64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update promoted_attributes set next_block = $2, rows_written = rows_written + $3, attempts = 0, error = null, \
             state_since = case when $4 then now() else state_since end, \
             state = case when $4 then 'indexing' else state end \
             where promotion_id = any ($1) and state in ('backfilling', 'emptying')",
        )
        .bind(self.ids())
        .bind(self.until)
        .bind(written as i64)
        .bind(self.fills && self.until >= self.total)
        .execute(connection)
        .await?;
        Ok(())
    }
}
