//! `POST /api/ingest/{entity}`: records in a single call, or in the chunked form of older callers.

mod arrival;
mod call;
mod chunked;
mod docs;
mod envelope;
mod example;
mod idempotency;
mod routes;
mod systems;

pub use routes::routes;

pub(crate) use docs::{about, type_name};
