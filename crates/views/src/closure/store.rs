//! Edges from the register, the closure into it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{
    components::TooMuch,
    graph::{Edge, Limits, Node, Pair, closure},
};
use crate::ViewError;

/// Everything that the closure of a system follows from, sorted.
struct Source {
    edges: Vec<Edge>,
    exits: Vec<Node>,
}

/// An edge, or only a node that gives something where `to_id` is null.
#[derive(FromRow)]
struct SourceRow {
    from_id: Uuid,
    from_is_package: bool,
    to_id: Option<Uuid>,
    to_is_package: bool,
    is_eligible: bool,
    is_direct: bool,
    needs_direct: bool,
}

/// Computes the closure of a system and writes what differs. Does nothing where the edges are those that the kept
/// closure was computed from, unless `is_forced`. Answers how
/// many pairs were added, removed or changed.
pub(crate) async fn bring_up_to_date(
    conn: &mut PgConnection,
    system_id: i32,
    is_forced: bool,
) -> Result<u64, ViewError> {
    let source = Source::read(conn, system_id).await?;
    let hash = source.hash();
    let is_known: bool = sqlx::query_scalar(
        "select exists (select from access_closure_systems k where k.system_id = $1 and k.edges_hash = $2)",
    )
    .bind(system_id)
    .bind(&hash)
    .fetch_one(&mut *conn)
    .await?;
    if is_known && !is_forced {
        return Ok(0);
    }
    let edges = source.edges.len();
    // The computation blocks for up to some seconds.
    let computed =
        tokio::task::spawn_blocking(move || closure(&source.edges, &source.exits, Limits::USUAL))
            .await
            .map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
    let is_kept = computed.is_ok();
    if !is_kept {
        tracing::warn!(system_id, edges, "the closure is too large to be kept");
    }
    // Nothing is kept of what was given up.
    let pairs = computed.unwrap_or_else(|TooMuch| Vec::new());
    let rows_changed = write_difference(conn, system_id, &pairs).await?;
    sqlx::query(
        "insert into access_closure_systems (system_id, edges_hash, edges, pairs, is_kept)
         values ($1, $2, $3, $4, $5)
         on conflict (system_id) do update set
             edges_hash = excluded.edges_hash,
             edges = excluded.edges,
             pairs = excluded.pairs,
             is_kept = excluded.is_kept",
    )
    .bind(system_id)
    .bind(hash)
    .bind(edges as i64)
    .bind(pairs.len() as i64)
    .bind(is_kept)
    .execute(conn)
    .await?;
    Ok(rows_changed)
}

impl Source {
    /// One statement, hence one snapshot.
    async fn read(conn: &mut PgConnection, system_id: i32) -> Result<Self, ViewError> {
        let rows: Vec<SourceRow> = sqlx::query_as(
            "select e.from_id, e.from_is_package, e.to_id, e.to_is_package, e.is_eligible, e.is_direct, e.needs_direct
             from access_edges e
             where e.system_id = $1
             union all
             select x.node_id, x.is_package, null, false, false, false, false
             from (select distinct n.node_id, n.is_package from access_exits n where n.system_id = $1) x",
        )
        .bind(system_id)
        .fetch_all(conn)
        .await?;
        let mut source = Self {
            edges: Vec::with_capacity(rows.len()),
            exits: Vec::new(),
        };
        for row in rows {
            let from = Node {
                id: row.from_id,
                is_package: row.from_is_package,
            };
            match row.to_id {
                None => source.exits.push(from),
                Some(id) => source.edges.push(Edge {
                    from,
                    to: Node {
                        id,
                        is_package: row.to_is_package,
                    },
                    is_eligible: row.is_eligible,
                    is_direct: row.is_direct,
                    needs_direct: row.needs_direct,
                }),
            }
        }
        source.edges.sort_unstable();
        source.edges.dedup();
        source.exits.sort_unstable();
        source.exits.dedup();
        Ok(source)
    }

    fn hash(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        let mut add = |node: &Node| {
            hash.update(node.id.as_bytes());
            hash.update([u8::from(node.is_package)]);
        };
        self.exits.iter().for_each(&mut add);
        for edge in &self.edges {
            add(&edge.from);
            add(&edge.to);
        }
        for edge in &self.edges {
            hash.update([edge.is_eligible, edge.is_direct, edge.needs_direct].map(u8::from));
        }
        hash.update(self.exits.len().to_le_bytes());
        hash.finalize().to_vec()
    }
}

/// After so many changed pairs the planner is told at once what the table looks like.
const MANY: u64 = 5_000;

/// How much is sent at once.
const CHUNK_BYTES: usize = 1 << 20;

async fn write_difference(
    conn: &mut PgConnection,
    system_id: i32,
    pairs: &[Pair],
) -> Result<u64, ViewError> {
    sqlx::raw_sql(
        "set local work_mem = '64MB';
         create temporary table if not exists new_access_closure (
             from_id uuid not null,
             to_id uuid not null,
             from_is_package boolean not null,
             to_is_package boolean not null,
             is_eligible boolean not null,
             is_direct boolean not null
         ) on commit drop;
         truncate new_access_closure;",
    )
    .execute(&mut *conn)
    .await?;
    send(conn, pairs).await?;
    sqlx::raw_sql("analyze new_access_closure")
        .execute(&mut *conn)
        .await?;
    let removed = sqlx::query(
        "delete from access_closure c
         where c.system_id = $1
           and not exists (
               select from new_access_closure n
               where n.from_id = c.from_id and n.to_id = c.to_id and n.from_is_package = c.from_is_package
                 and n.to_is_package = c.to_is_package and n.is_eligible = c.is_eligible
                 and n.is_direct = c.is_direct
           )",
    )
    .bind(system_id)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let added = sqlx::query(
        "insert into access_closure
             (system_id, from_id, to_id, from_is_package, to_is_package, is_eligible, is_direct)
         select $1, n.from_id, n.to_id, n.from_is_package, n.to_is_package, n.is_eligible, n.is_direct
         from new_access_closure n
         where not exists (
             select from access_closure c
             where c.system_id = $1 and c.from_id = n.from_id and c.to_id = n.to_id
               and c.from_is_package = n.from_is_package and c.to_is_package = n.to_is_package
               and c.is_eligible = n.is_eligible
         )
         order by n.from_id, n.to_id",
    )
    .bind(system_id)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if removed + added > MANY {
        sqlx::raw_sql("analyze access_closure")
            .execute(conn)
            .await?;
    }
    Ok(removed + added)
}

async fn send(conn: &mut PgConnection, pairs: &[Pair]) -> Result<(), ViewError> {
    let mut copy = conn
        .copy_in_raw(
            "copy new_access_closure (from_id, to_id, from_is_package, to_is_package, is_eligible, is_direct)
             from stdin",
        )
        .await?;
    let mut lines = String::new();
    let word = |flag: bool| if flag { 't' } else { 'f' };
    for pair in pairs {
        // Writing to a string cannot fail.
        let _ = writeln!(
            lines,
            "{}\t{}\t{}\t{}\t{}\t{}",
            pair.from.id,
            pair.to.id,
            word(pair.from.is_package),
            word(pair.to.is_package),
            word(pair.is_eligible),
            word(pair.is_direct)
        );
        if lines.len() >= CHUNK_BYTES {
            copy.send(std::mem::take(&mut lines).into_bytes()).await?;
        }
    }
    copy.send(lines.into_bytes()).await?;
    copy.finish().await?;
    Ok(())
}
