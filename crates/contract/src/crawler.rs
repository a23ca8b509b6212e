//! Crawlers: what is crawled, and how.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What a worker gets of a crawler with the lease of a job.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeasedCrawler {
    /// The crawler.
    pub crawler_id: Uuid,
    /// The version of its settings.
    pub version: i32,
    /// What it reads, such as `entra`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its settings, as in the crawler's configuration file.
    pub settings: Value,
}

/// Settings may hold secrets: they are not shown.
impl fmt::Debug for LeasedCrawler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedCrawler")
            .field("crawler_id", &self.crawler_id)
            .field("version", &self.version)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
