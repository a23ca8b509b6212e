//! The floor: what PostgreSQL needs at least to store the rows of the first load in the same tables with the same indexes.
//!
//! The rows are read out of the register, kept in memory and copied into the same tables of another database of the
//! cluster, one transaction per table, as durable as everything else.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::TryStreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    postgres::{PgConnectOptions, PgPoolCopyExt},
};

use crate::{bed::Bed, process::cpu_seconds_of_family};

/// A table and what its rows are ordered by.
struct Table {
    name: &'static str,
    key: &'static str,
}

const TABLES: [Table; 3] = [
    Table {
        name: "principals",
        key: "system_id, id",
    },
    Table {
        name: "resources",
        key: "system_id, id",
    },
    Table {
        name: "resource_assignments",
        key: "system_id, resource_id, principal_id, assignment_type, role_scope",
    },
];

/// Most bytes of one message.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// The order of the rows.
    pub order: &'static str,
    /// How many connections copied at the same time.
    pub connections: usize,
    /// Rows that were copied.
    pub rows: u64,
    /// How long that took.
    pub seconds: f64,
    /// Rows per second.
    pub rows_per_second: f64,
    /// CPU seconds that PostgreSQL spent.
    pub postgres_cpu_seconds: Option<f64>,
    /// WAL that was written, in bytes.
    pub wal_bytes: i64,
}

/// The rows of a table in two halves, each a whole COPY.
type Halves = [Vec<Bytes>; 2];

/// Measures all four: two orders, one connection and two.
pub async fn measure(bed: &Bed) -> anyhow::Result<Vec<Floor>> {
    let url = bed.scratch().await?;
    let mut floors = Vec::new();
    for order in ["as loaded", "by key"] {
        let mut tables = Vec::new();
        let mut rows = 0;
        for table in &TABLES {
            let ordered_by = if order == "by key" {
                table.key
            } else {
                "row_id"
            };
            let (count, halves) = read(bed, table.name, ordered_by).await?;
            rows += count;
            tables.push((table.name, halves));
        }
        for connections in [1, 2] {
            floors.push(copy_all(bed, &url, order, connections, rows, &tables).await?);
        }
    }
    bed.remove_scratch().await?;
    Ok(floors)
}

async fn read(bed: &Bed, table: &str, ordered_by: &str) -> anyhow::Result<(u64, Halves)> {
    let count = AssertSqlSafe(format!("select count(*) from {table}"));
    let count: i64 = sqlx::query_scalar(count).fetch_one(&bed.admin).await?;
    let first = count / 2;
    let mut halves = Halves::default();
    for (half, bounds) in halves
        .iter_mut()
        .zip([format!("limit {first}"), format!("offset {first}")])
    {
        let sql = format!(
            "copy (select * from {table} order by {ordered_by} {bounds}) to stdout (format binary)"
        );
        *half = messages(bed.admin.copy_out_raw(&sql).await?).await?;
    }
    Ok((count as u64, halves))
}

/// Gathers what PostgreSQL sends row by row into messages of some size.
async fn messages(
    mut rows: impl futures_util::Stream<Item = sqlx::Result<Bytes>> + Unpin,
) -> sqlx::Result<Vec<Bytes>> {
    let mut messages = Vec::new();
    let mut message = BytesMut::new();
    while let Some(row) = rows.try_next().await? {
        message.put(row);
        if message.len() >= MESSAGE_BYTES {
            messages.push(message.split().freeze());
        }
    }
    messages.push(message.freeze());
    Ok(messages)
}

async fn copy_all(
    bed: &Bed,
    url: &SecretString,
    order: &'static str,
    connections: usize,
    rows: u64,
    tables: &[(&'static str, Halves)],
) -> anyhow::Result<Floor> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    let mut one = PgConnection::connect_with(&options).await?;
    let mut other = PgConnection::connect_with(&options).await?;
    for (table, _) in tables {
        let truncate = AssertSqlSafe(format!("truncate {table}"));
        sqlx::query(truncate).execute(&mut one).await?;
    }
    bed.checkpoint().await?;
    let wal = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
    let wal_before: i64 = sqlx::query_scalar(wal).fetch_one(&mut one).await?;
    let (began, cpu_before) = (Instant::now(), cpu_seconds_of_family(bed.postgres.pid()));
    for (table, halves) in tables {
        if connections == 1 {
            copy(&mut one, table, halves).await?;
        } else {
            let (first, second) = halves.split_at(1);
            tokio::try_join!(
                copy(&mut one, table, first),
                copy(&mut other, table, second)
            )?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_after = cpu_seconds_of_family(bed.postgres.pid());
    let wal_after: i64 = sqlx::query_scalar(wal).fetch_one(&mut one).await?;
    one.close().await?;
    other.close().await?;
    Ok(Floor {
        order,
        connections,
        rows,
        seconds,
        rows_per_second: rows as f64 / seconds,
        postgres_cpu_seconds: cpu_after
            .zip(cpu_before)
            .map(|(after, before)| after - before),
        wal_bytes: wal_after - wal_before,
    })
}

/// Copies into a table in one transaction.
async fn copy(
    connection: &mut PgConnection,
    table: &str,
    parts: &[Vec<Bytes>],
) -> sqlx::Result<()> {
    let sql = format!("copy {table} from stdin (format binary)");
    let mut transaction = connection.begin().await?;
    for part in parts {
        let mut copy = transaction.copy_in_raw(&sql).await?;
        for message in part {
            copy.send(message.clone()).await?;
        }
        copy.finish().await?;
    }
    transaction.commit().await
}
