//! Renews a table's statistics after loads that brought much of it, in the background.
//!
//! The next question, often the refresh of the views, comes before PostgreSQL would do so by itself, and a plan made for an
//! empty table can take hours. No load waits for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What was inserted since the statistics were last renewed here.
#[derive(Clone)]
pub struct Statistics {
    pool: PgPool,
    inserted: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    wake: Arc<Notify>,
}

impl Statistics {
    /// Nothing yet.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            inserted: Arc::default(),
            wake: Arc::new(Notify::new()),
        }
    }

    /// A load brought so many new rows.
    pub fn note(&self, table: &'static str, inserted: u64) {
        if inserted > 0 {
            *self.lock().entry(table).or_default() += inserted;
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // Numbers are whole whenever the lock is free.
        self.inserted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
            }
            let tables: Vec<&'static str> = self.lock().keys().copied().collect();
            for table in tables {
                if stop.is_cancelled() {
                    return;
                }
                // Everything is there already; PostgreSQL gets to the statistics by itself in the end.
                if let Err(error) = self.renew(table).await {
                    tracing::warn!(table, %error, "the statistics could not be renewed");
                }
            }
        }
    }

    /// Analyses a table once more than a tenth of it is new.
    async fn renew(&self, table: &'static str) -> Result<(), sqlx::Error> {
        let known: f32 =
            sqlx::query_scalar("select reltuples from pg_class where oid = $1::regclass")
                .bind(table)
                .fetch_one(&self.pool)
                .await?;
        let inserted = self.lock().get(table).copied().unwrap_or(0);
        if inserted as f32 * 10.0 <= known {
            return Ok(());
        }
        self.lock().remove(table);
        sqlx::query(AssertSqlSafe(format!("analyze {table}")))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
