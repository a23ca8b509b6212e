//! Why there is no run to report about.

use ingest_client::ClientError;
use url::Url;

use crate::ConfigError;

/// A crawl that could not begin. Whatever goes wrong later is in the run report.
#[derive(Debug, thiserror::Error)]
pub enum CrawlError {
    /// The configuration cannot be used; correct it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The register refused the key or could not be reached: there is nowhere to report to.
    #[error("the register at {address} cannot be used: {error}{}", advice(.error))]
    Register {
        /// Where the register was looked for.
        address: Url,
        /// What happened there.
        error: Box<ClientError>,
    },
    /// The key works, but not for posting records.
    #[error(
        "the API key '{name}' may not post records: it lacks the permission 'ingest'; let an administrator make one that has it (cadastre keys create --permission ingest)"
    )]
    KeyMayNotIngest {
        /// The key's name.
        name: String,
    },
    /// The HTTP client could not be set up (no trusted roots, for example).
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// What a person can do about it.
fn advice(error: &ClientError) -> &'static str {
    match error {
        ClientError::Refused { problem, .. } if problem.status == 401 => {
            "; check the API key (CADASTRE_API_KEY or --api-key): it may be mistyped, expired or revoked"
        }
        ClientError::Unreachable { .. } => {
            "; check that the register runs and that its address is right (CADASTRE_API_BASE_URL or --api-base-url)"
        }
        ClientError::UnusableAnswer { .. } => {
            "; something else answers at this address: check it (CADASTRE_API_BASE_URL or --api-base-url)"
        }
        _ => "",
    }
}
