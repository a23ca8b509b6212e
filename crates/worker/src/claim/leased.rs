//! From what the register says of a crawler to what the crawl needs to know.

use contract::LeasedCrawler;
use crawler_entra::{ConfigError, ConfigFile, CrawlConfig, Overrides, RegisterConfig};

/// The crawl of a leased crawler into the register that leased it.
pub fn config(
    crawler: &LeasedCrawler,
    register: &RegisterConfig,
) -> Result<CrawlConfig, ConfigError> {
    let file = ConfigFile::parse(&crawler.settings.to_string())?;
    file.resolve(Overrides {
        api_base_url: Some(register.base_url.clone()),
        api_key: Some(register.api_key.clone()),
        ..Overrides::default()
    })
}
