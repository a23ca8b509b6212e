//! Asking about another instant than now.
//!
//! The catalogue is installed twice: in `public` over the tables, and in the schema `past` over views that show each
//! table as it was at the instant that the setting `cadastre.as_of` names. A transaction whose search path begins with
//! `past` gets the same questions answered as of then. See `docs/adr/0011-the-past-is-a-schema.md`.
//!
//! What a caller may see is a matter of now: the questions find their workspace's systems in `public.systems`.

mod definitions;

use std::ops::{Deref, DerefMut};

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

pub(crate) use definitions::{OfPast, definitions};

use crate::ViewError;

/// The schema that the catalogue is in a second time.
pub(crate) const SCHEMA: &str = "past";

/// The statements that turn a transaction to an instant: every view, function and table with a history that it names
/// without schema is then as it was. They end with the transaction.
pub fn settings_as_of(instant: DateTime<Utc>) -> String {
    format!(
        "set local search_path = {SCHEMA}, public; set local cadastre.as_of = '{}'",
        instant.to_rfc3339_opts(SecondsFormat::Micros, true)
    )
}

/// The register at an instant, or now. A pool alone is the register now.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    pool: &'a PgPool,
    instant: Option<DateTime<Utc>>,
}

impl<'a> At<'a> {
    /// As of an instant; now where none is given. Whether the past is kept since then is for the caller to check, before
    /// and after.
    pub const fn new(pool: &'a PgPool, instant: Option<DateTime<Utc>>) -> Self {
        Self { pool, instant }
    }

    /// A transaction in which every question is answered as of the instant, and from one snapshot.
    pub(crate) async fn begin(self) -> Result<Reading, ViewError> {
        let mut transaction = self
            .pool
            .begin_with("begin transaction isolation level repeatable read, read only")
            .await?;
        if let Some(instant) = self.instant {
            // Planning for every month of the history takes longer than the answer, and nothing that a caller asks for
            // changes the plan.
            let settings = format!(
                "set local plan_cache_mode = force_generic_plan; {}",
                settings_as_of(instant)
            );
            sqlx::raw_sql(AssertSqlSafe(settings))
                .execute(&mut *transaction)
                .await?;
        }
        Ok(Reading(transaction))
    }
}

impl<'a> From<&'a PgPool> for At<'a> {
    fn from(pool: &'a PgPool) -> Self {
        Self::new(pool, None)
    }
}

/// What questions are asked on.
pub(crate) struct Reading(Transaction<'static, Postgres>);

impl Reading {
    /// To be called when all is read; after an error, dropping it is enough.
    pub(crate) async fn end(self) -> Result<(), ViewError> {
        Ok(self.0.commit().await?)
    }
}

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
