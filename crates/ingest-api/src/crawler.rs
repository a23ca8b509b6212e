//! Crawlers, as far as jobs need them.

use contract::LeasedCrawler;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

/// The keys that secrets are opened with.
#[derive(Debug, Clone, Default)]
pub struct Keyring;

/// Why a crawler cannot be leased.
#[derive(Debug, thiserror::Error)]
pub enum CrawlerError {
    /// PostgreSQL refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The newest settings of a crawler, for the worker that gets the lease of its job.
pub async fn leased(
    connection: &mut PgConnection,
    _keyring: &Keyring,
    workspace_id: i32,
    crawler_id: Uuid,
) -> Result<Option<LeasedCrawler>, CrawlerError> {
    let found = sqlx::query(
        "select version, kind, name, settings from crawlers where crawler_id = $1 and workspace_id = $2 and deleted_at is null",
    )
    .bind(crawler_id)
    .bind(workspace_id)
    .fetch_optional(connection)
    .await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(LeasedCrawler {
        crawler_id,
        version: row.try_get("version")?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        settings: row.try_get("settings")?,
    }))
}
