//! The one that does the work: takes the lease, then one step after the other.
//!
//! The lease is a session's advisory lock on a connection of its own, on which all the work is done. If the connection is
//! lost, so is the lease, and nothing can be written under a lease that was lost. Between steps there is no transaction, so
//! that `CREATE INDEX CONCURRENTLY` never waits for us.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Attributes, Settings, columns, counts, field, index, walk};

/// The advisory lock of the worker; an arbitrary number of ours.
pub const WORKER_LOCK: i64 = 0x0CAD_A77B;

/// The longest rest after something that failed.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Why a step was not done. Nothing of it stays; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Somebody works with the table; others must not queue up behind us.
    #[error("the table is in use; waiting for a moment without long transactions")]
    InUse,
    /// Rows are being written by somebody else.
    #[error("some rows are being written at this moment")]
    RowsInUse,
    /// PostgreSQL refused.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
}

impl StepError {
    /// For people who ask how a promotion stands: what PostgreSQL said is for the log.
    fn in_words(&self) -> String {
        let code = match self {
            Self::InUse | Self::RowsInUse => return self.to_string(),
            Self::Database(error) => error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code),
        };
        match code {
            Some(code) => format!("PostgreSQL refused a step ({code}); the server's log tells why"),
            None => "a step failed; the server's log tells why".to_owned(),
        }
    }
}

/// What the promotions of a table wait for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Task {
    table: String,
    state: String,
    /// The only promotion that it is about, where that is so.
    promotion_id: Option<Uuid>,
}

/// When a task that failed is tried again.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    attempts: u32,
}

impl Attributes {
    /// Works until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut counted_at = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(self.settings.poll) => {}
            }
            tokio::select! {
                // The connection closes, and PostgreSQL takes back the step that was under way.
                () = stop.cancelled() => return,
                done = self.turn(&mut counted_at) => {
                    if let Err(error) = done {
                        tracing::warn!(%error, "work on attributes was interrupted; trying again");
                    }
                }
            }
        }
    }

    /// Does what there is to do, unless another replica is at it.
    async fn turn(&self, counted_at: &mut Option<Instant>) -> Result<(), sqlx::Error> {
        let may_count =
            counted_at.is_none_or(|at: Instant| at.elapsed() >= self.settings.count_every);
        let (has_tasks, has_uncounted): (bool, bool) = sqlx::query_as(
            "select exists (select from promoted_attributes where state not in ('ready', 'demoted')), \
             exists (select from attributes where counted_at is null)",
        )
        .fetch_one(&self.pool)
        .await?;
        if !has_tasks && !may_count {
            return Ok(());
        }
        let options = (*self.pool.connect_options()).clone().options([
            ("statement_timeout", "0"),
            ("lock_timeout", "0"),
            // A machine that vanished must not keep the lease for hours.
            ("tcp_keepalives_idle", "30"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "3"),
        ]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let is_ours: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(WORKER_LOCK)
            .fetch_one(&mut connection)
            .await?;
        if is_ours {
            let mut worker = Worker {
                connection: &mut connection,
                settings: &self.settings,
                resting: HashMap::new(),
                step_pages: 16,
            };
            worker.work(self).await?;
            if may_count {
                let changed = self.catalogue.take_changed();
                let counted = counts::count(&mut connection, &changed, has_uncounted).await;
                if counted.is_err() {
                    for entity in changed {
                        self.catalogue.note_changed(entity);
                    }
                }
                counted?;
                *counted_at = Some(Instant::now());
            }
        }
        connection.close().await
    }
}

struct Worker<'a> {
    connection: &'a mut PgConnection,
    settings: &'a Settings,
    resting: HashMap<Task, Rest>,
    /// Pages of the next step.
    step_pages: i64,
}

impl Worker<'_> {
    /// Goes on until nothing is left to do.
    async fn work(&mut self, attributes: &Attributes) -> Result<(), sqlx::Error> {
        loop {
            let tasks = self.tasks().await?;
            if tasks.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            let is_rested =
                |task: &&Task| self.resting.get(task).is_none_or(|rest| rest.until <= now);
            let Some(task) = tasks.iter().find(is_rested).cloned() else {
                let earliest = self.resting.values().map(|rest| rest.until).min();
                let until = earliest.unwrap_or(now).max(now + Duration::from_millis(20));
                tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    // Something new may be possible at once.
                    () = attributes.wake.notified() => {}
                }
                continue;
            };
            match self.step(&task).await {
                Ok(()) => {
                    self.resting.remove(&task);
                }
                Err(error) => self.rest(task, &error).await?,
            }
        }
    }

    /// What can be done, in the order in which it should be. A column that was taken back a moment ago may still be read; an
    /// index is missed by nobody. Columns wait for their table together, everything else is about one promotion.
    async fn tasks(&mut self) -> Result<Vec<Task>, sqlx::Error> {
        let rows: Vec<(String, String, Option<Uuid>)> = sqlx::query_as(
            "select p.table_name, p.state, case when p.state in ('indexing', 'emptying') or p.field is not null \
             then p.promotion_id end \
             from promoted_attributes p where p.state in ('waiting', 'backfilling', 'indexing', 'emptying') \
             or p.state = 'demoting' and (p.field is not null or p.state_since <= now() - make_interval(secs => $1)) \
             group by 1, 2, 3 order by array_position(array['waiting', 'demoting', 'backfilling', 'indexing', 'emptying'], \
             p.state::text), min(p.requested_at)",
        )
        .bind(self.settings.grace.as_secs_f64())
        .fetch_all(&mut *self.connection)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(table, state, promotion_id)| Task {
                table,
                state,
                promotion_id,
            })
            .collect())
    }

    async fn step(&mut self, task: &Task) -> Result<(), StepError> {
        let attempts = self.resting.get(task).map_or(0, |rest| rest.attempts);
        match (task.state.as_str(), task.promotion_id) {
            // One promotion waits or goes for itself only where it is about a core field.
            ("waiting", Some(id)) => Ok(field::begin(self.connection, id).await?),
            ("demoting", Some(id)) => index::give_up(self.connection, id).await,
            ("waiting", None) => columns::make(self.connection, &task.table, attempts).await,
            ("demoting", None) => {
                let grace = self.settings.grace;
                columns::stop_filling(self.connection, &task.table, grace, attempts).await
            }
            ("backfilling", _) => {
                let step = walk::Step::Fill {
                    table: &task.table,
                    pages: self.step_pages,
                };
                self.paced(step).await.map(|_| ())
            }
            ("indexing", Some(id)) => index::make(self.connection, id).await,
            ("emptying", Some(id)) => {
                index::drop(self.connection, id).await?;
                let step = walk::Step::Empty {
                    promotion_id: id,
                    pages: self.step_pages,
                };
                if self.paced(step).await? {
                    columns::release(self.connection, &task.table, id, attempts).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Makes a step through a table and rests as long as it took, so that others come first; answers whether it was the
    /// last one.
    async fn paced(&mut self, step: walk::Step<'_>) -> Result<bool, StepError> {
        let began = Instant::now();
        let is_done = walk::step(self.connection, step).await?;
        let took = began.elapsed();
        if took < Duration::from_millis(25) {
            self.step_pages *= 2;
        } else if took > Duration::from_millis(100) {
            self.step_pages /= 2;
        }
        self.step_pages = self
            .step_pages
            .clamp(1, self.settings.max_step_pages.max(1));
        tokio::time::sleep(self.settings.pause.max(took)).await;
        Ok(is_done)
    }

    /// Notes why a task does not go on, for people to see, and leaves it alone for a while.
    async fn rest(&mut self, task: Task, error: &StepError) -> Result<(), sqlx::Error> {
        let attempts = self.resting.get(&task).map_or(0, |rest| rest.attempts) + 1;
        let pause = Duration::from_millis(50) * 2_u32.pow(attempts.min(8));
        tracing::info!(table = task.table, state = task.state, attempts, %error, "a step on attributes is tried again");
        sqlx::query(
            "update promoted_attributes set attempts = $4, error = $5 where table_name = $1 and state = $2 \
             and (promotion_id = $3 or $3::uuid is null and field is null)",
        )
        .bind(&task.table)
        .bind(&task.state)
        .bind(task.promotion_id)
        .bind(attempts as i32)
        .bind(error.in_words())
        .execute(&mut *self.connection)
        .await?;
        let rest = Rest {
            until: Instant::now() + pause.min(LONGEST_REST),
            attempts,
        };
        self.resting.insert(task, rest);
        Ok(())
    }
}

/// Did a statement give up waiting for a lock?
pub fn gave_up(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03" || code == "40P01")
}
