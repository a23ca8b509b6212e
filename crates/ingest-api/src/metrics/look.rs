//! What is asked for when somebody looks.

use prometheus_client::encoding::text::encode;
use sqlx::PgPool;

use super::{Metrics, labels::Connections};
use crate::app::AppState;

/// What the database knows: open loads, change sets that wait, and the age of the oldest refresh.
type Found = (i64, i64, Option<f64>);

const QUESTION: &str = "select (select count(*) from sync_sessions where state = 'open'), \
     (select count(*) from held_change_sets where state = 'held'), \
     (select extract(epoch from now() - min(finished_at))::float8 from view_refreshes)";

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
        let (sessions, held, age) = match found {
            Ok((sessions, held, age)) => (sessions as f64, held as f64, age.unwrap_or(f64::NAN)),
            Err(error) => {
                tracing::warn!(%error, "the database did not answer a look at the metrics");
                (f64::NAN, f64::NAN, f64::NAN)
            }
        };
        inner.open_sessions.set(sessions);
        inner.held_sets.set(held);
        inner.refresh_age.set(age);
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
