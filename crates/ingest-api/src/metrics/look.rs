//! What is asked for when somebody looks.

use prometheus_client::encoding::text::encode;
use sqlx::PgPool;

use super::{
    Metrics,
    labels::{Connections, Jobs},
};
use crate::app::AppState;

/// What the database knows: open loads, change sets that wait, the age of the oldest refresh; jobs that wait for a worker
/// and that have one, for how long the first of them could have been begun, and workers that are there.
type Found = (i64, i64, Option<f64>, i64, i64, f64, i64);

const QUESTION: &str = "select (select count(*) from sync_sessions where state = 'open'), \
     (select count(*) from held_change_sets where state = 'held'), \
     (select extract(epoch from now() - min(finished_at))::float8 from view_refreshes), \
     (select count(*) from jobs where state = 'queued'), \
     (select count(*) from jobs where state in ('leased', 'running')), \
     (select coalesce(extract(epoch from now() - min(not_before) filter (where not_before <= now())), 0)::float8 \
      from jobs where state = 'queued'), \
     (select count(*) from workers w where last_seen_at > now() - interval '2 minutes' or exists \
      (select from jobs j where j.workspace_id = w.workspace_id and j.worker = w.name and j.state in ('leased', 'running')))";

impl Metrics {
    /// The figures as they are now, in the text format of OpenMetrics.
    pub async fn look(&self, state: &AppState) -> Result<String, std::fmt::Error> {
        self.see_database(&state.pool).await;
        self.0.memory.set(state.memory.taken() as i64);
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// Without an answer, what the database would have said is no number.
    async fn see_database(&self, pool: &PgPool) {
        let found: Result<Found, sqlx::Error> = sqlx::query_as(QUESTION).fetch_one(pool).await;
        let inner = &self.0;
        inner.database_up.set(i64::from(found.is_ok()));
        if let Err(error) = &found {
            tracing::warn!(%error, "the database did not answer a look at the metrics");
        }
        let [sessions, held, age, queued, running, waited, workers] = found.map_or(
            [f64::NAN; 7],
            |(sessions, held, age, queued, running, waited, workers)| {
                let age = age.unwrap_or(f64::NAN);
                let counts = [sessions, held, queued, running, workers].map(|count| count as f64);
                let [sessions, held, queued, running, workers] = counts;
                [sessions, held, age, queued, running, waited, workers]
            },
        );
        inner.open_sessions.set(sessions);
        inner.held_sets.set(held);
        inner.refresh_age.set(age);
        inner.jobs_waited.set(waited);
        inner.workers.set(workers);
        for (state, count) in [("queued", queued), ("running", running)] {
            inner.jobs.get_or_create(&Jobs { state }).set(count);
        }
        let (all, idle) = (i64::from(pool.size()), pool.num_idle() as i64);
        for (state, count) in [
            ("idle", idle),
            ("used", (all - idle).max(0)),
            ("most", i64::from(pool.options().get_max_connections())),
        ] {
            inner
                .connections
                .get_or_create(&Connections { state })
                .set(count);
        }
    }
}
