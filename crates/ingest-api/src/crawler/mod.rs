//! Crawlers: what is read from where, kept here and run elsewhere.
//!
//! What enters is settings that were checked field by field ([`check`]) and secrets that are sealed at once; what leaves
//! over the API never holds a secret. [`leased`] alone opens them, for the worker that holds the lease of a job. Every change
//! makes a version, and whoever changes says which version was looked at. A secret that does not open at its place is
//! no secret: the crawler says so and does not run.

mod body;
mod change;
mod check;
mod docs;
mod fault;
mod filter;
mod lease;
mod new_secret;
mod routes;
mod store;

pub use lease::{CrawlerError, leased};
pub use routes::routes;
