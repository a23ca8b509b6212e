//! The `ingest-api` command.

use std::io::IsTerminal as _;

use anyhow::Context;
use clap::Parser;
use ingest_api::{AppState, Config, ServerSettings, connect, migrate, secret, serve};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| EnvFilter::new("info,sqlx::postgres::notice=warn")),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let keyring = config
        .keys
        .clone()
        .with_environment()
        .read()
        .context("reading the keys for secrets")?;
    let people = config.sign_in.clone().checked()?;
    migrate(&config.database_url)
        .await
        .context("bringing the schema up to date")?;
    if config.migrate_only {
        return Ok(());
    }
    let pool = connect(&config.database())
        .await
        .context("connecting to the database")?;
    secret::unlock(&pool, &keyring)
        .await
        .context("checking the keys for secrets")?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    let stop = CancellationToken::new();
    let on_signal = stop.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: requests under way are finished");
        on_signal.cancel();
    });
    let state = AppState {
        retention: config.retention.clone(),
        keyring,
        ..AppState::with_settings(
            pool.clone(),
            ServerSettings {
                people,
                ..config.server()
            },
        )
    };
    serve(listener, state, stop).await?;
    pool.close().await;
    Ok(())
}
