//! The tests that kill things: a server process and a PostgreSQL with everything that makes data last switched on, both
//! of which can be killed, frozen and started again while callers work.
//!
//! Each test starts its own pair and ends it by the process ids that it started, also when it panics.

mod away;
mod full_disk;
mod kills;
mod memory;
mod postgres;
mod promotion;
mod register;
mod reload;
mod replicas;
mod server;
mod stopping;
mod writers;

pub use postgres::Postgres;
pub use register::Register;
pub use server::ServerProcess;
