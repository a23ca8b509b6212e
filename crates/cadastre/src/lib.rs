//! Everything in one process: the server with a PostgreSQL of its own, the demo, keys and first questions.
//!
//! `cadastre up` serves the register; `cadastre demo` crawls a simulated tenant into it and shows what it found;
//! `cadastre keys` makes and revokes API keys; `cadastre secrets` looks after the keys of stored secrets; `cadastre migrate` and
//! `cadastre config check` are for whoever deploys; `cadastre attributes` shows what sources send beside the core fields and gives it
//! columns; `cadastre runs` asks for crawls and shows how they go; `cadastre who` and `cadastre why` ask a running server who has access to
//! something and how.
//!
//! Invariants:
//! - without `DATABASE_URL` the program uses a server of its own in its data folder and touches no other;
//! - everything else is the same as in production: the same migrations, router, keys and crawler.
//!
//! ```
//! use cadastre::place::Place;
//!
//! // A database that somebody else runs wins over the data folder.
//! let place = Place::choose(Some("postgres://db.example/cadastre".to_owned().into()), None);
//! assert!(matches!(place, Ok(Place::External { .. })));
//! ```

pub mod cli;
pub mod place;

mod ask;
mod attributes;
mod crawlers;
mod demo;
mod keys;
mod runs;
mod secrets;
mod server;
mod text;
mod upkeep;
mod workers;
