//! The schema that grows: a catalogue of the attributes that sources send, and columns for some of them.
//!
//! What has no core column stands in `extended_attributes` and stays there. Decoding collects the names and JSON types of a
//! batch ([`Seen`]); what is new goes into the [`Catalogue`]. A *promotion* gives an attribute a column that holds the same
//! values cast to one type: made without blocking anybody, filled at once by new writes (a trigger, so that it holds for
//! every path and every replica), filled in the background for the rows that are there, indexed, then read. Taking it back
//! empties the column for another attribute. A core [`field`] can be promoted, too: it has its column and gets an index only.
//! Nothing here ever changes a core column, `extended_attributes`, a row's hash or its history.
//!
//! One [`worker`] does it all, however many replicas run: the one that holds an advisory lock. Each of its steps is a short
//! transaction that also stores how far it came, so it can die anywhere.

mod catalogue;
mod columns;
mod counts;
mod docs;
mod drift;
mod field;
mod index;
mod list;
mod promoted;
mod promotion;
mod routes;
mod seen;
mod walk;
mod worker;

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::Notify;

pub use catalogue::Catalogue;
pub use promoted::{Promoted, promoted};
pub use promotion::PromotionError;
pub use routes::routes;
pub use seen::{JsonTypes, MAX_NAMES, Seen};
pub use worker::WORKER_LOCK;

/// How the background work goes about it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often it looks for work that another replica was asked for.
    pub poll: Duration,
    /// How long a column that was taken back stays as it is: longer than anybody reads who found it ready before.
    pub grace: Duration,
    /// Most pages of a table in one step.
    pub max_step_pages: i64,
    /// The least time between two steps. It rests at least as long as a step took.
    pub pause: Duration,
    /// How often rows are counted, at most.
    pub count_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(5),
            grace: Duration::from_secs(60),
            max_step_pages: 512,
            pause: Duration::from_millis(5),
            count_every: Duration::from_secs(15 * 60),
        }
    }
}

/// Everything about attributes that a server holds.
#[derive(Clone)]
pub struct Attributes {
    /// What loads bring.
    pub catalogue: Catalogue,
    /// How the background work goes about it.
    pub settings: Settings,
    pool: PgPool,
    wake: Arc<Notify>,
}

impl Attributes {
    /// Nothing known yet, nothing under way.
    pub fn new(pool: PgPool, settings: Settings) -> Self {
        Self {
            catalogue: Catalogue::new(pool.clone()),
            settings,
            pool,
            wake: Arc::new(Notify::new()),
        }
    }

    /// There is work.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}
