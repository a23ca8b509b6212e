//! Is what the register answered, and what its tables hold, what was sent?
//!
//! The tables are counted between the loads, outside of what is measured.

use anyhow::ensure;
use contract::IngestAnswer;

use crate::{
    bed::Bed,
    measure::Cost,
    phase::{Listed, Round},
};

/// The tables that must not be touched when nothing changed; all tables of the history count as one.
pub const REGISTER_TABLES: [&str; 4] =
    ["principals", "resources", "resource_assignments", "history"];

/// The answers of the commits must count what was sent.
pub fn check_answers(round: Round, listed: &[Listed]) -> anyhow::Result<()> {
    for scope in listed.iter().flat_map(|list| &list.scopes) {
        let (sent, changed, gone) = (scope.sent, scope.changed, scope.gone);
        let (inserted, updated, unchanged, deleted) = match round {
            Round::First => (sent, 0, 0, 0),
            Round::Unchanged(_) => (0, 0, sent, 0),
            Round::Changed(_) | Round::Daily(_) => (0, changed, sent - changed, gone),
        };
        let expected = IngestAnswer {
            inserted,
            updated,
            unchanged,
            deleted,
            records: sent,
            // What is not judged here.
            sync_id: scope.answer.sync_id,
            table: scope.answer.table.clone(),
            duration_ms: scope.answer.duration_ms,
            ..IngestAnswer::default()
        };
        ensure!(
            scope.answer == expected,
            "{}, {}: expected {expected:?}, was answered {:?}",
            round.name(),
            scope.scope,
            scope.answer
        );
    }
    Ok(())
}

/// What the register's tables hold.
pub struct Contents {
    live: i64,
    history: i64,
    /// The first transaction number that was not given out yet.
    next_transaction: i64,
}

impl Contents {
    /// Counts now.
    pub async fn read(bed: &Bed) -> anyhow::Result<Self> {
        let (live, history, next_transaction) = sqlx::query_as(
            "select (select count(*) from principals where deleted_at is null) \
             + (select count(*) from resources where deleted_at is null) \
             + (select count(*) from resource_assignments where deleted_at is null), \
             (select count(*) from history), pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
        )
        .fetch_one(&bed.admin)
        .await?;
        Ok(Self {
            live,
            history,
            next_transaction,
        })
    }
}

/// The tables must hold what was there, plus and minus what was answered.
pub fn check_contents(
    listed: &[Listed],
    before: &Contents,
    after: &Contents,
) -> anyhow::Result<()> {
    let sum = |count: fn(&IngestAnswer) -> u64| -> i64 {
        let scopes = listed.iter().flat_map(|list| &list.scopes);
        scopes.map(|scope| count(&scope.answer) as i64).sum()
    };
    let live = before.live + sum(|answer| answer.inserted) - sum(|answer| answer.deleted);
    ensure!(
        after.live == live,
        "{} rows should be live, {} are",
        live,
        after.live
    );
    let history = before.history + sum(|answer| answer.updated + answer.deleted);
    ensure!(
        after.history == history,
        "the history should hold {} versions and holds {}",
        history,
        after.history
    );
    Ok(())
}

/// Nothing was written into the register: not by PostgreSQL's counters, and no row version is younger than before.
pub async fn check_untouched(bed: &Bed, before: &Contents, cost: &Cost) -> anyhow::Result<()> {
    for table in REGISTER_TABLES {
        let written = cost.tuples.get(table).copied().unwrap_or_default();
        ensure!(
            written.total() == 0,
            "nothing changed, but {table} was written to: {written:?}"
        );
        // The cluster is young: transaction numbers have not begun again.
        let parts: &[&str] = match table {
            "history" => &[
                "history_principals",
                "history_resources",
                "history_resource_assignments",
            ],
            _ => &[table],
        };
        for table in parts {
            let young = sqlx::AssertSqlSafe(format!(
                "select count(*) from {table} where xmin::text::bigint >= $1"
            ));
            let young: i64 = sqlx::query_scalar(young)
                .bind(before.next_transaction)
                .fetch_one(&bed.admin)
                .await?;
            ensure!(
                young == 0,
                "nothing changed, but {table} has {young} new row versions"
            );
        }
    }
    Ok(())
}
