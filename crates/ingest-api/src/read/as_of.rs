//! The instant that a question about access is about.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use views::At;

use crate::{error::ApiError, history::Moment};

/// Now, unless the parameter `asOf` names an instant. Every handler that asks the crate `views` can take one: read the
/// parameter with [`AsOf::of_query`], ask about [`AsOf::register`], and then [`AsOf::still_known`].
#[derive(Debug, Clone, Copy)]
pub struct AsOf(Option<Moment>);

impl AsOf {
    /// What the parameter says; refused with its name where the register knows nothing of the instant.
    pub async fn of_query(pool: &PgPool, text: Option<&str>) -> Result<Self, ApiError> {
        Ok(Self(match text {
            Some(text) => Some(Moment::of_query(pool, "asOf", text).await?),
            None => None,
        }))
    }

    /// The register at the instant.
    pub fn register(self, pool: &PgPool) -> At<'_> {
        At::new(pool, self.instant())
    }

    /// The instant, unless it is now.
    pub fn instant(self) -> Option<DateTime<Utc>> {
        self.0.map(Moment::at)
    }

    /// To be asked after a read: is the past that was read still whole?
    pub async fn still_known(self, pool: &PgPool) -> Result<(), ApiError> {
        match self.0 {
            Some(moment) => moment.still_kept(pool).await,
            None => Ok(()),
        }
    }
}
