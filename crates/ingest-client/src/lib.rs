//! Client of Cadastre's ingest API: the SDK for writing a crawler.
//!
//! [`IngestClient`] speaks to the register, [`SyncSession`] loads one scope in batches, [`BatchWriter`] turns a stream of
//! records into such batches with bounded memory.
//!
//! Invariants:
//! - whatever is sent again is sent with the same bytes and the same key, so that a retry never doubles anything;
//! - only connection failures and 429, 502, 503 and 504 are tried again, never another refusal;
//! - the API key appears in no error, no log line and no `Debug` output;
//! - a writer that was not finished removes nothing.
//!
//! A crawl that can be resumed claims its run ([`IngestClient::claim_run`]), saves how far it is
//! ([`IngestClient::save_checkpoint`]), and goes on in the sessions that it finds open
//! ([`IngestClient::sessions_of_run`], [`BatchWriter::resume`]).
//!
//! ```no_run
//! use contract::{Completeness, Entity, SyncMode, records::{Principal, System}, session::OpenSession};
//! use ingest_client::{BatchLimits, BatchWriter, IngestClient, OpenOptions};
//!
//! # async fn crawl() -> Result<(), ingest_client::ClientError> {
//! let client = IngestClient::new("https://cadastre.example".parse().unwrap(), "fgc_…".to_owned().into())?;
//! let system = System { system_type: "HR".into(), display_name: "Payroll".into(), ..System::default() };
//! let system_id = client.upsert_system(&system).await?;
//! let session = client.open_session(&OpenSession {
//!     system_id, entity: Entity::Principals, sync_mode: SyncMode::Full, scope: Default::default(),
//!     id_generation: Default::default(), id_prefix: None, source_filter: None, run_id: None,
//!     read_began_ms_ago: None,
//! }, OpenOptions::default()).await?;
//! let mut writer = BatchWriter::new(session, BatchLimits::default());
//! writer.push(&Principal { external_id: Some("4711".into()), display_name: "Ada".into(), ..Principal::default() }).await?;
//! let answer = writer.finish(Completeness { complete: true, ..Completeness::default() }).await?;
//! println!("{} new, {} removed", answer.inserted, answer.deleted);
//! # Ok(()) }
//! ```

mod address;
mod builder;
mod client;
mod delta_token;
mod error;
mod job;
mod run;
mod session;
mod transport;
mod writer;

pub mod retry;

pub use builder::ClientBuilder;
pub use client::{IngestClient, OpenOptions};
pub use error::ClientError;
pub use retry::RetryPolicy;
pub use session::SyncSession;
pub use writer::{BatchLimits, BatchWriter};
