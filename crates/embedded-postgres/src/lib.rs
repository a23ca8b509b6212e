//! Runs our own PostgreSQL server in a data folder.
//!
//! Used when no `DATABASE_URL` is given, and by the tests of every crate. The server is an installation found on
//! this machine (PostgreSQL 14 or newer) or, where there is none, one that is downloaded once.
//!
//! What it promises:
//!
//! - **It touches only what it made.** The data folder is empty or carries our marker; anything else is refused. So
//!   is a cluster of another major version.
//! - **One owner per folder.** A file lock is held for as long as the [`Server`] lives; a second owner is refused and
//!   told the first one's process id.
//! - **It never outlives its owner.** [`Server::stop`] and dropping stop it; when the owner is killed, a watchdog
//!   process stops it; when that was killed as well, the next start stops what is left and recovers.
//! - **Only we can connect.** It listens on 127.0.0.1 and on a socket in its own folder, asks for a random password
//!   (scram) on both, and keeps the passwords in a file that only its owner can read.
//! - **It never runs as root.** Started by root, the server runs as `postgres`, else as `nobody`.
//! - **The application is no superuser**: [`Server::url`] names a role that owns its database and nothing more, as it
//!   would be in production.
//!
//! ```no_run
//! use embedded_postgres::{Server, Settings};
//! use secrecy::ExposeSecret;
//!
//! # async fn example() -> Result<(), embedded_postgres::Error> {
//! let server = Server::start(Settings::new("data/postgres")).await?;
//! let url = server.url();
//! // sqlx::PgPool::connect(url.expose_secret()) …
//! # let _ = url.expose_secret();
//! server.stop().await
//! # }
//! ```

mod account;
mod error;
mod folder;
mod installation;
mod log_file;
mod machine;
mod obtain;
mod pid_file;
mod postmaster;
mod secret;
mod server;
mod settings;
pub mod testing;
mod watchdog;

pub use error::Error;
pub use server::Server;
pub use settings::Settings;
