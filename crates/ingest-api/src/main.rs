//! The `ingest-api` command.
//!
//! Exit codes: 0 stopped as told, 1 failed, 2 wrong flags or settings.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use ingest_api::{
    AppState, ConfigError, Loaded, ServerSettings, connect, keep_memory_private, load,
    log_to_stderr, migrate, secret, serve, serve_metrics,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// How long the connections to the database may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Before any secret is read.
    if let Err(error) = keep_memory_private() {
        eprintln!("error: the memory of the process cannot be kept private: {error}");
        return ExitCode::from(FAILED);
    }
    let loaded = match load(std::env::args_os()) {
        Ok(loaded) => loaded,
        // Also `--help` and `--version`; prints and ends the process as it should.
        Err(ConfigError::Flags(error)) => error.exit(),
        Err(ConfigError::Wrong(wrong)) => {
            for line in wrong {
                eprintln!("error: {line}");
            }
            return ExitCode::from(USAGE);
        }
    };
    if loaded.config.check_config {
        for setting in &loaded.in_force {
            println!("{setting}");
        }
        return ExitCode::SUCCESS;
    }
    log_to_stderr(
        loaded.config.log_format,
        loaded.config.log_level,
        &["ingest_api", "views"],
    );
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| {
            let ended = runtime.block_on(run(loaded));
            // What did not end in time is not waited for: it is rolled back, and nobody was told that it is done.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            ExitCode::from(FAILED)
        }
    }
}

async fn run(loaded: Loaded) -> anyhow::Result<()> {
    let Loaded {
        config,
        people,
        keyring,
        ..
    } = loaded;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    // Waiting for a replica that migrates can take long; told to stop meanwhile, there is nothing to finish.
    let migrated = stop
        .run_until_cancelled(migrate(&config.database_url))
        .await;
    let Some(migrated) = migrated else {
        return Ok(());
    };
    migrated.context("bringing the schema up to date")?;
    if config.migrate_only {
        return Ok(());
    }
    let pool = connect(&config.database())
        .await
        .context("connecting to the database")?;
    secret::unlock(&pool, &keyring)
        .await
        .context("checking the keys for secrets")?;
    let listener = listen(config.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
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
    let metrics = match config.metrics_listen {
        None => None,
        Some(address) => {
            let listener = listen(address).await?;
            tracing::info!(metrics = %listener.local_addr()?, "serving metrics");
            Some(tokio::spawn(serve_metrics(
                listener,
                state.clone(),
                stop.clone(),
            )))
        }
    };
    serve(listener, state, stop).await?;
    if let Some(metrics) = metrics {
        metrics.await.context("serving metrics")??;
    }
    // A connection that is busy still is lost with the process: what it did is rolled back, and nobody was told of it.
    if tokio::time::timeout(CLOSE_PATIENCE, pool.close())
        .await
        .is_err()
    {
        tracing::warn!("the database is busy still with something that was given up");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))
}

/// The first signal ends in order, the second at once.
fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for signals")?;
    tokio::spawn(async move {
        for count in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if count > 0 {
                std::process::exit(i32::from(FAILED));
            }
            tracing::info!("stopping: requests under way are finished");
            stop.cancel();
        }
    });
    Ok(())
}
