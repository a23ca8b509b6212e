//! Flags and commands.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use ingest_api::{LogFormat, database_address, log_to_stderr};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::{ask, attributes, demo, keys, place::Place, server, upkeep};

/// The crates whose log is ours.
const OURS: [&str; 6] = [
    "cadastre",
    "ingest_api",
    "views",
    "crawler_entra",
    "ingest_client",
    "embedded_postgres",
];

/// The register of who holds which access.
#[derive(Debug, Parser)]
#[command(name = "cadastre", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How the log is written (to the standard error)
    #[arg(long, global = true, env = "CADASTRE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Plain)]
    log_format: LogFormat,
    /// How much is logged: error, warn, info, debug, trace or off [default: info for up, else warn]
    #[arg(long, global = true, env = "CADASTRE_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the register until stopped
    Up(UpArgs),
    /// Start everything against a simulated tenant, crawl it, and show what was found
    Demo(demo::DemoArgs),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Bring the database's schema up to date, then exit
    Migrate(upkeep::MigrateArgs),
    /// Look at the settings of a server before it starts
    #[command(subcommand)]
    Config(upkeep::ConfigCommand),
    /// List the attributes that a system sends, and give them columns
    #[command(subcommand)]
    Attributes(attributes::AttributesCommand),
    /// Ask a running server who has access to a resource
    Who(ask::WhoArgs),
    /// Ask a running server why a principal has access to a resource
    Why(ask::WhyArgs),
}

/// Where the database is.
#[derive(Debug, clap::Args)]
pub struct DatabaseArgs {
    /// Use this PostgreSQL instead of one of our own: postgres://user:password@host:port/database, or file:PATH
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
    /// Its password, where the address has none: itself, or file:PATH
    #[arg(
        long,
        env = "CADASTRE_DATABASE_PASSWORD",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    database_password: Option<SecretString>,
    /// Where our own PostgreSQL keeps its data [default: /var/lib/cadastre for root, else ~/.local/share/cadastre]
    #[arg(long, env = "CADASTRE_DATA_FOLDER")]
    data_folder: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The place that the flags and the environment name.
    pub fn place(&self) -> anyhow::Result<Place> {
        let url = self
            .database_url
            .as_ref()
            .map(|url| database_address(url, self.database_password.as_ref()))
            .transpose()
            .map_err(|wrong| anyhow::anyhow!(wrong.join("; ")))?;
        Ok(Place::choose(url, self.data_folder.clone())?)
    }
}

#[derive(Debug, clap::Args)]
struct UpArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where to listen
    #[arg(long, env = "CADASTRE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Runs the command with the process' arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let usual = match cli.command {
        Command::Up(_) => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    };
    log_to_stderr(cli.log_format, cli.log_level.unwrap_or(usual), &OURS);
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(run(cli.command)));
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up(args).await?,
        Command::Demo(args) => return demo::run(args).await,
        Command::Keys(command) => keys::run(command).await?,
        Command::Migrate(args) => upkeep::run_migrate(args).await?,
        Command::Config(command) => return Ok(upkeep::run_config(command)),
        Command::Attributes(command) => attributes::run(command).await?,
        Command::Who(args) => ask::who(args).await?,
        Command::Why(args) => ask::why(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(args: UpArgs) -> anyhow::Result<()> {
    // Before the database: an address that is taken is found out at once.
    let listener = server::listen(args.listen, false).await?;
    let place = args.database.place()?.open().await?;
    println!("Database   {}", place.describe());
    let mut server = server::RunningServer::start(&place.url, listener).await?;
    println!("Register   {}", server.base_url);
    println!(
        "\nMake a key:   cadastre keys create --name 'my crawler' --permission ingest\nStop:         Ctrl-C"
    );
    let ended = tokio::select! {
        ended = server.ended() => ended,
        stopped = stop_signal() => stopped,
    };
    println!("Stopping: requests under way are finished.");
    if ended.is_ok() {
        server.stop().await?;
    }
    place.close().await?;
    ended
}

/// Ends with Ctrl-C or SIGTERM.
pub async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("listening for signals"),
        _ = terminate.recv() => Ok(()),
    }
}
