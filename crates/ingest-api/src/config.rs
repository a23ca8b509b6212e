//! The server's settings: flags and environment, checked at start.

use std::net::SocketAddr;

use secrecy::SecretString;

use crate::database::DatabaseSettings;

/// Settings of the `ingest-api` command.
#[derive(Debug, clap::Parser)]
#[command(
    name = "ingest-api",
    version,
    about = "Cadastre's server: ingest API, register and read API"
)]
pub struct Config {
    /// The register's database: postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// Where to listen.
    #[arg(long, env = "CADASTRE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Most database connections of this process.
    #[arg(long, env = "CADASTRE_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub database_connections: u32,
    /// Bring the schema up to date, then exit.
    #[arg(long)]
    pub migrate_only: bool,
}

impl Config {
    /// How the database is used.
    pub fn database(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: self.database_url.clone(),
            max_connections: self.database_connections,
            allow_not_durable: false,
        }
    }
}
