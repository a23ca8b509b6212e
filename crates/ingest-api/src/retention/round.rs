//! Rounds of the purge, and the steps that they are made of.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use tokio_util::sync::CancellationToken;

use super::{Retention, audit, held_rows, history_months, loads, removed_rows};

/// The advisory lock under which one step is made, by whatever replica; an arbitrary number of ours.
pub const PURGE_LOCK: i64 = 0x0CAD_9026;

/// What a round took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Removed rows of the register.
    pub removed_rows: u64,
    /// Answers kept for retries.
    pub idempotent_answers: u64,
    /// Batches of sessions that ended.
    pub session_batches: u64,
    /// Batches' lists of the rows that they met.
    pub batches_met: u64,
    /// Refused records.
    pub refused_records: u64,
    /// Rows of change sets that were decided or became void.
    pub held_rows: u64,
    /// Checkpoints of runs that nobody went on with, and those runs.
    pub checkpoints: u64,
    /// Months of a table's history.
    pub history_months: u64,
    /// Versions that had ended outside the months.
    pub history_versions: u64,
    /// Entries of the audit log.
    pub audit_entries: u64,
    /// What could not be done for an error; it is in the log and tried again.
    pub failed: u64,
}

impl Purged {
    const fn is_nothing(&self) -> bool {
        self.removed_rows
            + self.idempotent_answers
            + self.session_batches
            + self.batches_met
            + self.refused_records
            + self.held_rows
            + self.checkpoints
            + self.history_months
            + self.history_versions
            + self.audit_entries
            == 0
    }

    /// Notes an error, so that the rest goes on.
    pub(super) fn note<E: Display>(&mut self, what: &'static str, outcome: Result<(), E>) {
        if let Err(error) = outcome {
            self.failed += 1;
            tracing::warn!(what, %error, "retention could not purge; trying again later");
        }
    }
}

/// A round under way.
pub(super) struct Round<'a> {
    pub pool: &'a PgPool,
    pub retention: &'a Retention,
    stop: &'a CancellationToken,
}

impl Round<'_> {
    /// Begins a step; `None` when it is time to stop, or when another replica makes one at this moment.
    pub async fn begin(&self) -> Result<Option<Transaction<'static, Postgres>>, sqlx::Error> {
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        let mut step = self.pool.begin().await?;
        // A step reads the first rows of an index. Where statistics are older than the rows, sorting everything that is
        // due looks cheaper, once per step.
        let (is_ours, ..): (bool, String, String) = sqlx::query_as(
            "select pg_try_advisory_xact_lock($1), set_config('enable_sort', 'off', true), \
             set_config('enable_bitmapscan', 'off', true)",
        )
        .bind(PURGE_LOCK)
        .fetch_one(&mut *step)
        .await?;
        if is_ours {
            return Ok(Some(step));
        }
        step.rollback().await?;
        Ok(None)
    }

    /// Lets others work after a step.
    pub async fn rest(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(self.retention.pace.pause) => {}
        }
    }
}

/// One round: takes away what was kept long enough at `now`. What fails is counted and does not stop the rest.
pub async fn purge(
    pool: &PgPool,
    retention: &Retention,
    now: DateTime<Utc>,
    stop: &CancellationToken,
) -> Purged {
    let round = Round {
        pool,
        retention,
        stop,
    };
    let mut purged = Purged::default();
    let outcome = loads::purge_answers(&round, now, &mut purged).await;
    purged.note("idempotent answers", outcome);
    if let Some(cutoff) = retention.session_batches.cutoff(now) {
        let outcome = loads::purge_batches(&round, cutoff, &mut purged).await;
        purged.note("session batches", outcome);
    }
    if let Some(cutoff) = retention.audit.cutoff(now) {
        let outcome = audit::purge(&round, cutoff, &mut purged).await;
        purged.note("audit log", outcome);
    }
    let outcome = loads::purge_met(&round, now, &mut purged).await;
    purged.note("what loads met", outcome);
    if let Some(cutoff) = retention.refused_records.cutoff(now) {
        let outcome = loads::purge_refused(&round, cutoff, &mut purged).await;
        purged.note("refused records", outcome);
    }
    let outcome = loads::purge_runs(&round, now, &mut purged).await;
    purged.note("checkpoints", outcome);
    if let Some(cutoff) = retention.held_rows.cutoff(now) {
        let outcome = held_rows::purge(&round, cutoff, &mut purged).await;
        purged.note("held rows", outcome);
    }
    if let Some(cutoff) = retention.removed_rows.cutoff(now) {
        removed_rows::purge(&round, cutoff, &mut purged).await;
    }
    let outcome = history_months::make(&round).await;
    purged.note("months of the history to come", outcome);
    if let Some(cutoff) = retention.history.cutoff(now) {
        let outcome = history_months::purge(&round, cutoff, &mut purged).await;
        purged.note("history", outcome);
    }
    purged
}

/// Makes a round now and then, until told to stop.
pub async fn run(pool: PgPool, retention: Retention, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(retention.pace.between_rounds) => {}
        }
        // Not inside select!: a step that began is finished. The database's clock is the one that wrote the rows.
        let now: DateTime<Utc> = match sqlx::query_scalar("select now()").fetch_one(&pool).await {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(%error, "retention could not ask the time; trying again later");
                continue;
            }
        };
        let purged = purge(&pool, &retention, now, &stop).await;
        if !purged.is_nothing() {
            tracing::info!(
                removed_rows = purged.removed_rows,
                idempotent_answers = purged.idempotent_answers,
                session_batches = purged.session_batches,
                batches_met = purged.batches_met,
                refused_records = purged.refused_records,
                held_rows = purged.held_rows,
                checkpoints = purged.checkpoints,
                history_months = purged.history_months,
                history_versions = purged.history_versions,
                audit_entries = purged.audit_entries,
                failed = purged.failed,
                "retention purged"
            );
        }
    }
}
