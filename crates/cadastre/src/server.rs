//! The server inside this process: database, migrations, router, background work.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use ingest_api::{
    AppState, DatabaseSettings, ServerSettings, connect, migrate,
    secret::{self, Keyring},
    serve,
};
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Connections of a server that shares its machine with PostgreSQL.
const CONNECTIONS: u32 = 16;

/// A server that runs in this process.
pub struct RunningServer {
    /// Its database.
    pub pool: PgPool,
    /// Its address, such as `http://127.0.0.1:8080`.
    pub base_url: String,
    /// Does only this machine reach it?
    pub is_local: bool,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl RunningServer {
    /// Brings the schema up to date and serves, with the usual settings.
    pub async fn start(
        database_url: &SecretString,
        keyring: Keyring,
        listener: TcpListener,
    ) -> anyhow::Result<Self> {
        Self::start_with(database_url, keyring, listener, ServerSettings::default()).await
    }

    /// The same with settings of its own.
    pub async fn start_with(
        database_url: &SecretString,
        keyring: Keyring,
        listener: TcpListener,
        server: ServerSettings,
    ) -> anyhow::Result<Self> {
        migrate(database_url)
            .await
            .context("bringing the schema up to date")?;
        let settings = DatabaseSettings {
            url: database_url.clone(),
            max_connections: CONNECTIONS,
            allow_not_durable: false,
        };
        let pool = connect(&settings)
            .await
            .context("connecting to the database")?;
        secret::unlock(&pool, &keyring)
            .await
            .context("checking the keys for secrets")?;
        let address = listener.local_addr()?;
        let base_url = format!("http://{address}");
        let stop = CancellationToken::new();
        let state = AppState {
            keyring,
            ..AppState::with_settings(pool.clone(), server)
        };
        let task = tokio::spawn(serve(listener, state, stop.clone()));
        Ok(Self {
            pool,
            base_url,
            is_local: address.ip().is_loopback(),
            stop,
            task,
        })
    }

    /// Waits until the server ends by itself, which it does only when something is wrong.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        match (&mut self.task).await.context("the server panicked")? {
            Ok(()) => bail!("the server stopped"),
            Err(error) => Err(error).context("the server stopped"),
        }
    }

    /// Finishes the requests under way and closes the connections.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await.context("the server panicked")??;
        self.pool.close().await;
        Ok(())
    }
}

/// Listens on an address; with `or_any_port`, on a free port when that one is taken.
pub async fn listen(address: SocketAddr, or_any_port: bool) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if or_any_port && error.kind() == std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((address.ip(), 0))
                .await
                .with_context(|| format!("listening on {}", address.ip()))
        }
        bound => bound.with_context(|| format!("listening on {address}")),
    }
}
