//! Reads Microsoft Entra ID through Microsoft Graph into the register; a library and the `crawler-entra` command.
//!
//! [`crawl`] reads what the [`CrawlConfig`] selects and returns the [`contract::RunReport`]. It only ever reads from
//! Graph, and it speaks to the register over HTTP alone.
//!
//! Invariants:
//! - a collection that could not be read to its end removes nothing, and a group whose members could not be read keeps
//!   its rows;
//! - a missing permission or licence is reported as such and never read as "empty";
//! - the access token goes to the configured Graph origin and nowhere else;
//! - memory does not grow with the number of memberships;
//! - a cancelled crawl leaves no session open in a register that answers;
//! - secrets and tokens appear in no error, event, report or `Debug` output.
//!
//! ```no_run
//! use std::sync::Arc;
//! use crawler_entra::{CrawlConfig, GraphConfig, RegisterConfig, crawl, progress::Quiet};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let graph = GraphConfig::new("contoso.example", "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142", "the secret".to_owned().into());
//! let register = RegisterConfig { base_url: "https://cadastre.example".parse()?, api_key: "fgc_…".to_owned().into() };
//! let report = crawl(CrawlConfig::new(graph, register), Arc::new(Quiet), CancellationToken::new()).await?;
//! println!("{:?}", report.outcome);
//! # Ok(()) }
//! ```

mod attribute;
mod auth;
mod collect;
mod crawl;
mod delta;
mod error;
mod graph;
mod identity;
mod inspect;
mod journal;
mod mapping;
mod plan;
mod private_memory;
mod sink;
mod stopping;

pub mod check;
pub mod cli;
pub mod config;
pub mod progress;
pub mod report;

pub use attribute::{AttributeFound, AttributeKind, AttributesFound};
pub use check::check;
pub use config::{
    ConfigError, ConfigFile, CrawlConfig, GraphConfig, LeasePolicy, Overrides, RegisterConfig,
    Selection, Tuning,
};
pub use crawl::crawl;
pub use delta::{FULL_READ_EVERY, Mode, UNTOLD_READ_EVERY};
pub use error::CrawlError;
pub use identity::{FilterError, IdentityFilter, IdentityKey, IdentityPreview, UserSample};
pub use inspect::{InspectError, discover_attributes, preview_identities};
pub use private_memory::keep_memory_private;
pub use progress::{ProgressEvent, ProgressSink};
