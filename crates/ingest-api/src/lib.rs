//! The ingest API: validates, deduplicates, merges, keeps history, and answers who has access to what, and why.
//!
//! Where things are: [`entity`] is what is known about each entity; [`record`] turns record texts into typed rows;
//! [`merge`] writes a batch set-wise, with history; [`session`] and [`ingest`] are loads over HTTP; [`deletion`] is
//! what may be removed and by whom; [`attributes`] is what has no core column, and columns for it; [`history`] tells what
//! was, and who changed it; [`job`] is work for crawlers, [`schedule`] when it is asked for; [`retention`] is how long what is kept; [`auth`] is who calls and API keys, [`people`] who signs in; [`query`] is the language of
//! filters, orders and pages and its SQL; [`read`] answers questions from the views and lists the register's rows.
//!
//! Invariants:
//! - a 2xx answer is durable; a request that fails changed nothing;
//! - a row is removed only by a key that names it, by the commit of a full load that read its parent to the end, or by a
//!   person who approved it, and every removal has its history;
//! - a load touches rows of its own system only;
//! - an unchanged record writes nothing.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use ingest_api::{AppState, DatabaseSettings, connect, migrate, serve};
//!
//! let url: secrecy::SecretString = "postgres://cadastre@localhost/cadastre".to_owned().into();
//! migrate(&url).await?;
//! let pool = connect(&DatabaseSettings { url, max_connections: 16, allow_not_durable: false }).await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! serve(listener, AppState::new(pool), tokio_util::sync::CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```

mod app;
pub mod audit;
mod body;
mod config;
mod database;
mod durable;
mod edge;
mod error;
mod health;
mod logging;
mod memory;
mod metrics;
mod params;
mod pieces;
mod private_memory;
mod request;
mod statistics;
mod view_refresh;

pub mod attributes;
pub mod auth;
pub mod crawler;
pub mod deletion;
mod delta_token;
pub mod entity;
pub mod history;
pub mod ingest;
pub mod job;
pub mod merge;
pub mod openapi;
pub mod people;
pub mod query;
pub mod read;
pub mod record;
pub mod retention;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod session;
pub mod system;

pub use app::{AppState, router, serve};
pub use body::Pace;
pub use config::{
    Config, ConfigError, Loaded, ServerSettings, Setting, Source, database_address, load,
};
pub use database::{
    DatabaseError, DatabaseSettings, MIGRATIONS, SchemaStanding, connect, migrate, schema_standing,
};
pub use error::ApiError;
pub use logging::{LogFormat, log_to_stderr};
pub use memory::Memory;
pub use metrics::{Metrics, serve as serve_metrics};
pub use private_memory::keep_memory_private;
