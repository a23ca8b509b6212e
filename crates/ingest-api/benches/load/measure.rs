//! What a piece of work cost: time, CPU, memory, WAL and rows written.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::PgPool;

use crate::{
    bed::Bed,
    process::{FamilyMemory, cpu_seconds, cpu_seconds_of_family, forget_peak, peak_memory},
};

/// A process of PostgreSQL that falls idle publishes what it counted ten seconds later at the latest
/// (PGSTAT_IDLE_INTERVAL).
const COUNTERS_SETTLE_WITHIN: Duration = Duration::from_secs(11);

/// Something of each of the three: the server, PostgreSQL with all its processes, and what sends the records.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PerPart<T> {
    /// Cadastre's server.
    pub server: Option<T>,
    /// PostgreSQL.
    pub postgres: Option<T>,
    /// This program.
    pub client: Option<T>,
}

/// Rows that were written into a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuples {
    /// New row versions.
    pub inserted: i64,
    /// Row versions that replace others.
    pub updated: i64,
    /// Those of them that needed no new index entries.
    pub hot_updated: i64,
    /// Rows marked as deleted.
    pub deleted: i64,
}

impl Tuples {
    /// How many row versions were written or marked.
    pub fn total(self) -> i64 {
        self.inserted + self.updated + self.deleted
    }

    fn since(self, before: Self) -> Self {
        Self {
            inserted: self.inserted - before.inserted,
            updated: self.updated - before.updated,
            hot_updated: self.hot_updated - before.hot_updated,
            deleted: self.deleted - before.deleted,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            inserted: self.inserted + other.inserted,
            updated: self.updated + other.updated,
            hot_updated: self.hot_updated + other.hot_updated,
            deleted: self.deleted + other.deleted,
        }
    }
}

/// What a piece of work cost.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// How long it took.
    pub seconds: f64,
    /// CPU time, in seconds.
    pub cpu_seconds: PerPart<f64>,
    /// Peak memory, in bytes. PostgreSQL's is what each process has for itself, and the shared memory once.
    pub peak_bytes: PerPart<u64>,
    /// WAL that was written, in bytes.
    pub wal_bytes: i64,
    /// Pages that were written into it as a whole.
    pub wal_full_pages: i64,
    /// Rows that were written, by table; temporary and system tables together.
    pub tuples: BTreeMap<String, Tuples>,
}

/// Tables that live as long as a connection, together.
pub const TEMPORARY: &str = "temporary tables";
const CATALOGUE: &str = "system catalogue";

/// A look at all counters.
struct Counters {
    tuples: BTreeMap<String, Tuples>,
    wal_full_pages: i64,
}

impl Counters {
    async fn read(admin: &PgPool) -> sqlx::Result<Self> {
        let rows: Vec<(String, String, i64, i64, i64, i64)> = sqlx::query_as(
            "select schemaname::text, relname::text, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del \
             from pg_stat_all_tables where n_tup_ins + n_tup_upd + n_tup_del > 0",
        )
        .fetch_all(admin)
        .await?;
        let mut tuples: BTreeMap<String, Tuples> = BTreeMap::new();
        for (schema, table, inserted, updated, hot_updated, deleted) in rows {
            let name = match schema.as_str() {
                "public" if table.starts_with(HISTORY) => "history".to_owned(),
                "public" => table,
                "pg_catalog" => CATALOGUE.to_owned(),
                schema if schema.starts_with("pg_temp") => TEMPORARY.to_owned(),
                schema => schema.to_owned(),
            };
            let entry = tuples.entry(name).or_default();
            *entry = entry.plus(Tuples {
                inserted,
                updated,
                hot_updated,
                deleted,
            });
        }
        let wal_full_pages = sqlx::query_scalar("select wal_fpi from pg_stat_wal")
            .fetch_one(admin)
            .await?;
        Ok(Self {
            tuples,
            wal_full_pages,
        })
    }

    fn tuples_since(&self, before: &Self) -> BTreeMap<String, Tuples> {
        self.tuples
            .iter()
            .map(|(table, tuples)| {
                let before = before.tuples.get(table).copied().unwrap_or_default();
                (table.clone(), tuples.since(before))
            })
            .filter(|(_, tuples)| tuples.total() != 0)
            .collect()
    }
}

fn cpu(bed: &Bed) -> anyhow::Result<PerPart<f64>> {
    Ok(PerPart {
        server: cpu_seconds(bed.server_pid()?),
        postgres: cpu_seconds_of_family(bed.postgres.pid()),
        client: cpu_seconds(own_pid()?),
    })
}

fn own_pid() -> anyhow::Result<i32> {
    Ok(i32::try_from(std::process::id())?)
}

async fn wal_position(admin: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
        .fetch_one(admin)
        .await
}

/// Does the work and says what it cost.
pub async fn measured<T>(
    bed: &Bed,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Cost, T)> {
    bed.checkpoint().await?;
    let counters = Counters::read(&bed.admin).await?;
    let (server, own) = (bed.server_pid()?, own_pid()?);
    forget_peak(server);
    forget_peak(own);
    let memory = FamilyMemory::watch(bed.postgres.pid());
    let (wal, cpu_before, began) = (wal_position(&bed.admin).await?, cpu(bed)?, Instant::now());
    let outcome = work.await?;
    let (seconds, cpu_after) = (began.elapsed().as_secs_f64(), cpu(bed)?);
    let wal_bytes = wal_position(&bed.admin).await? - wal;
    let peak_bytes = PerPart {
        server: peak_memory(server),
        postgres: memory.finish(),
        client: peak_memory(own),
    };
    tokio::time::sleep(COUNTERS_SETTLE_WITHIN).await;
    let after = Counters::read(&bed.admin).await?;
    let spent = |after: Option<f64>, before: Option<f64>| Some(after? - before?);
    let cost = Cost {
        seconds,
        cpu_seconds: PerPart {
            server: spent(cpu_after.server, cpu_before.server),
            postgres: spent(cpu_after.postgres, cpu_before.postgres),
            client: spent(cpu_after.client, cpu_before.client),
        },
        peak_bytes,
        wal_bytes,
        wal_full_pages: after.wal_full_pages - counters.wal_full_pages,
        tuples: after.tuples_since(&counters),
    };
    Ok((cost, outcome))
}

/// What the names of the history's tables begin with.
const HISTORY: &str = "history_";

/// How large a table is, in bytes.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct TableSize {
    /// The table.
    pub name: String,
    /// Its rows.
    pub heap: i64,
    /// Values that are kept apart because they are long.
    pub toast: i64,
    /// All its indexes.
    pub indexes: i64,
}

/// How large an index is, in bytes.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct IndexSize {
    /// The index.
    pub name: String,
    /// Its table.
    pub table: String,
    /// Its size.
    pub bytes: i64,
}

/// How much room the register takes, WAL apart.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// The whole database, in bytes.
    pub database: i64,
    /// Its tables that hold something, the largest first.
    pub tables: Vec<TableSize>,
    /// Their indexes, the largest first.
    pub indexes: Vec<IndexSize>,
}

impl Sizes {
    /// Bytes of the history's tables, and of those that it is about: indexes and long values included.
    pub fn history_and_live(&self) -> (i64, i64) {
        let sum = |is_wanted: fn(&str) -> bool| {
            let tables = self.tables.iter().filter(|table| is_wanted(&table.name));
            tables
                .map(|table| table.heap + table.toast + table.indexes)
                .sum()
        };
        (
            sum(|name| name.starts_with(HISTORY)),
            sum(|name| ["principals", "resources", "resource_assignments"].contains(&name)),
        )
    }

    /// Measures now.
    pub async fn read(admin: &PgPool) -> anyhow::Result<Self> {
        let database = sqlx::query_scalar("select pg_database_size(current_database())")
            .fetch_one(admin)
            .await?;
        let tables = sqlx::query_as(
            "select c.relname::text as name, pg_relation_size(c.oid) as heap, \
             case when c.reltoastrelid = 0 then 0 else pg_total_relation_size(c.reltoastrelid) end as toast, \
             pg_indexes_size(c.oid) as indexes from pg_class c where c.relkind = 'r' \
             and c.relnamespace = 'public'::regnamespace and pg_relation_size(c.oid) > 0 \
             order by pg_total_relation_size(c.oid) desc",
        )
        .fetch_all(admin)
        .await?;
        let indexes = sqlx::query_as(
            "select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as table, \
             pg_relation_size(i.indexrelid) as bytes from pg_index i join pg_class c on c.oid = i.indrelid \
             where c.relnamespace = 'public'::regnamespace and pg_relation_size(c.oid) > 0 order by 3 desc",
        )
        .fetch_all(admin)
        .await?;
        Ok(Self {
            database,
            tables,
            indexes,
        })
    }
}
