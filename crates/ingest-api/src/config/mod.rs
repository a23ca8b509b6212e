//! The server's settings: flags, environment and a file, checked at start.

mod load;
mod secret;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;
use tracing_subscriber::filter::LevelFilter;

pub use self::{
    load::{ConfigError, Loaded, Setting, Source, load},
    secret::database_address,
};
use crate::{
    attributes,
    auth::Doors,
    body::Pace,
    database::DatabaseSettings,
    job,
    logging::LogFormat,
    people::{self, SignInArgs},
    retention::Retention,
    secret::KeySource,
};

/// Settings of the `ingest-api` command.
#[derive(Debug, clap::Parser)]
#[command(
    name = "ingest-api",
    version,
    about = "Cadastre's server: ingest API, register and read API"
)]
pub struct Config {
    /// A TOML file with settings; its keys are the names of these flags. Flags and environment win.
    #[arg(long, env = "CADASTRE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The register's database: postgres://user:password@host:port/database, or file:PATH of a file that holds it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// The password, where the address has none: itself, or file:PATH of a file that holds it.
    #[arg(
        long,
        env = "CADASTRE_DATABASE_PASSWORD",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub database_password: Option<SecretString>,
    /// Where to listen.
    #[arg(long, env = "CADASTRE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Most database connections of this process.
    #[arg(long, env = "CADASTRE_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub database_connections: u32,
    /// Memory for all bodies that are decoded and merged at the same time, in MiB. One body alone may take more.
    #[arg(long, env = "CADASTRE_INGEST_MEMORY_MIB", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=65536))]
    pub ingest_memory_mib: u32,
    /// Most client connections; further ones wait to be accepted.
    #[arg(long, env = "CADASTRE_MAX_CONNECTIONS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..=65536))]
    pub max_connections: u32,
    /// Where to serve metrics for Prometheus, to whoever can connect; off unless given.
    #[arg(long, env = "CADASTRE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// How the log is written (to the standard error).
    #[arg(long, env = "CADASTRE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Plain)]
    pub log_format: LogFormat,
    /// How much of our own is logged: error, warn, info, debug, trace or off. Of libraries, warnings and errors.
    #[arg(long, env = "CADASTRE_LOG_LEVEL", value_name = "LEVEL", default_value_t = LevelFilter::INFO)]
    pub log_level: LevelFilter,
    /// Bring the schema up to date, then exit.
    #[arg(long)]
    pub migrate_only: bool,
    /// Print the settings in force and where each comes from, then exit; 2 when they cannot be used.
    #[arg(long)]
    pub check_config: bool,
    /// Who is believed about addresses, and how many wrong keys are looked at.
    #[command(flatten)]
    pub doors: Doors,
    /// How people sign in.
    #[command(flatten)]
    pub sign_in: SignInArgs,
    /// How long what is kept.
    #[command(flatten)]
    pub retention: Retention,
    /// The keys that secrets are sealed with.
    #[command(flatten)]
    pub keys: KeySource,
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

    /// How clients are served.
    pub fn server(&self) -> ServerSettings {
        ServerSettings {
            ingest_memory_bytes: self.ingest_memory_mib as usize * 1024 * 1024,
            max_connections: self.max_connections as usize,
            doors: self.doors.clone(),
            ..ServerSettings::default()
        }
    }
}

/// How clients are served, and how much of the machine they may take.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Memory for all bodies that are decoded and merged at the same time. One body alone may take more.
    pub ingest_memory_bytes: usize,
    /// Most connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// Longest wait for the whole header of a request, and for the next request of a connection.
    pub header_patience: Duration,
    /// How slowly a body may come.
    pub pace: Pace,
    /// How long the rest of a refused body is still read, so that the client gets to read the answer.
    pub linger: Duration,
    /// How long requests under way may take when the server stops.
    pub stop_patience: Duration,
    /// How the work on columns of attributes goes about it.
    pub attributes: attributes::Settings,
    /// Who is believed about addresses, and how many wrong keys are looked at.
    pub doors: Doors,
    /// How jobs are given to workers.
    pub jobs: job::Settings,
    /// How people sign in.
    pub people: people::Settings,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            ingest_memory_bytes: 128 * 1024 * 1024,
            max_connections: 1024,
            header_patience: Duration::from_secs(10),
            pace: Pace::default(),
            linger: Duration::from_secs(5),
            stop_patience: Duration::from_secs(10),
            attributes: attributes::Settings::default(),
            doors: Doors::default(),
            jobs: job::Settings::default(),
            people: people::Settings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::retention::Keep;

    const DATABASE: &str = "--database-url=postgres://localhost/cadastre";

    fn parsed(flag: &str) -> Result<Retention, clap::Error> {
        Config::try_parse_from(["ingest-api", DATABASE, flag]).map(|config| config.retention)
    }

    #[test]
    fn a_time_to_keep_is_read_from_its_flag_and_a_wrong_one_stops_the_start() {
        assert_eq!(
            parsed("--keep-removed-rows=30")
                .map(|retention| retention.removed_rows)
                .ok(),
            Some(Keep::Days(30))
        );
        assert_eq!(
            parsed("--keep-held-rows=forever")
                .map(|retention| retention.held_rows)
                .ok(),
            Some(Keep::Forever)
        );
        for wrong in [
            "--keep-removed-rows=0",
            "--keep-session-batches=soon",
            "--keep-refused-records=-1",
        ] {
            let error = parsed(wrong).expect_err("refused").to_string();
            assert!(error.contains("number of days from 1"), "{error}");
        }
    }

    #[test]
    fn the_command_says_what_it_is_and_names_every_retention_setting() {
        let mut command = Config::command();
        let help = command.render_long_help().to_string();
        assert!(help.starts_with("Cadastre's server"), "{help}");
        for variable in [
            "REMOVED_ROWS",
            "SESSION_BATCHES",
            "REFUSED_RECORDS",
            "HELD_ROWS",
            "HISTORY",
            "AUDIT",
        ] {
            assert!(
                help.contains(&format!("CADASTRE_KEEP_{variable}")),
                "{help}"
            );
        }
    }
}
