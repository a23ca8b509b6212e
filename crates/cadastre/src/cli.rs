//! Flags and commands.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use ingest_api::{
    LogFormat, ServerSettings,
    auth::Doors,
    database_address, keep_memory_private, log_to_stderr,
    people::{self, SignInArgs},
};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    ask, attributes, crawlers, demo, keys, place::Place, runs, secrets, server, upkeep, workers,
};

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
    Up(Box<UpArgs>),
    /// Start everything against a simulated tenant, crawl it, and show what was found
    Demo(demo::DemoArgs),
    /// Make, list, rotate and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// The keys that secrets of crawlers are sealed with
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Bring the database's schema up to date, then exit
    Migrate(upkeep::MigrateArgs),
    /// Look at the settings of a server before it starts
    #[command(subcommand)]
    Config(upkeep::ConfigCommand),
    /// List the attributes that a system sends, and give them columns
    #[command(subcommand)]
    Attributes(attributes::AttributesCommand),
    /// Configure the crawlers of a server, and let its workers look through them
    #[command(subcommand)]
    Crawlers(crawlers::CrawlersCommand),
    /// Start, list, show, cancel and follow the crawls of a server's workers
    #[command(subcommand)]
    Runs(runs::RunsCommand),
    /// List the workers of a server
    #[command(subcommand)]
    Workers(workers::WorkersCommand),
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
    #[command(flatten)]
    keys: ingest_api::secret::KeySource,
    #[command(flatten)]
    doors: Doors,
    #[command(flatten)]
    sign_in: SignInArgs,
}

/// Runs the command with the process' arguments.
pub fn main() -> ExitCode {
    // Before any secret is read.
    if let Err(error) = keep_memory_private() {
        eprintln!("error: the memory of the process cannot be kept private: {error}");
        return ExitCode::FAILURE;
    }
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
        Command::Up(args) => up(*args).await?,
        Command::Demo(args) => return demo::run(args).await,
        Command::Keys(command) => keys::run(command).await?,
        Command::Secrets(command) => secrets::run(command).await?,
        Command::Migrate(args) => upkeep::run_migrate(args).await?,
        Command::Config(command) => return Ok(upkeep::run_config(command)),
        Command::Attributes(command) => attributes::run(command).await?,
        Command::Crawlers(command) => return Ok(crawlers::run(command).await?.into()),
        Command::Runs(command) => runs::run(command).await?,
        Command::Workers(command) => workers::run(command).await?,
        Command::Who(args) => ask::who(args).await?,
        Command::Why(args) => ask::why(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(args: UpArgs) -> anyhow::Result<()> {
    let people = args.sign_in.checked()?;
    let public_url = people.public_url.clone();
    // Before the database: an address that is taken is found out at once.
    let listener = server::listen(args.listen, false).await?;
    let place = args.database.place()?;
    let keyring = place.keyring(args.keys)?;
    let place = place.open().await?;
    println!("Database   {}", place.describe());
    let settings = ServerSettings {
        doors: args.doors,
        people,
        ..ServerSettings::default()
    };
    let mut server =
        server::RunningServer::start_with(&place.url, keyring, listener, settings).await?;
    println!("Register   {}", server.base_url);
    if place.is_our_own() {
        invite_admin(&server, public_url.as_ref()).await?;
    }
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

/// Prints the link for the first admin, where there is none and a browser can reach the server.
async fn invite_admin(
    server: &server::RunningServer,
    public_url: Option<&url::Url>,
) -> anyhow::Result<()> {
    let base = match public_url {
        Some(url) => url.origin().ascii_serialization(),
        None if server.is_local => server.base_url.clone(),
        None => return Ok(()),
    };
    let link = people::bootstrap_link(&server.pool, &base)
        .await
        .context("making the link for the first admin")?;
    if let Some(link) = link {
        println!("\nBecome admin: {link}\n              (in a browser, once, within the hour)");
    }
    Ok(())
}

/// Ends with Ctrl-C or SIGTERM.
pub async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("listening for signals"),
        _ = terminate.recv() => Ok(()),
    }
}
