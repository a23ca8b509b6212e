//! Databases for tests: one server per test process, a fresh database per call.
//!
//! The server is gone with the test process, however that ends: its watchdog stops it and removes its folder.
//!
//! ```no_run
//! # async fn example() {
//! let database = embedded_postgres::testing::fresh_database().await;
//! // sqlx::PgPool::connect(database.url()).await …
//! # let _ = database.url();
//! # }
//! ```

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::error::with_causes;
use crate::server::{APPLICATION, check_name, run};
use crate::{Error, Server, Settings};

static SERVER: OnceCell<Server> = OnceCell::const_new();
/// The templates that are ready to be copied.
static PREPARED: tokio::sync::Mutex<BTreeSet<String>> =
    tokio::sync::Mutex::const_new(BTreeSet::new());
static NEXT: AtomicU32 = AtomicU32::new(1);
/// Databases whose test has ended, removed when the next one is made.
static ABANDONED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A database of its own, for one test. Keep this value for as long as the database is used: when it is dropped, the
/// database is removed soon, whoever is connected.
#[derive(Debug)]
#[must_use = "the database is removed when this is dropped"]
pub struct TestDatabase {
    name: String,
    url: String,
    admin_url: String,
}

impl TestDatabase {
    /// Its address as the role that owns it, which is no superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address as a superuser, for tests that need one.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let mut abandoned = ABANDONED.lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.push(std::mem::take(&mut self.name));
    }
}

/// Makes an empty database on this process's test server, starting that at the first call.
///
/// # Panics
///
/// When there is no server to be had: no test that needs one can go on.
pub async fn fresh_database() -> TestDatabase {
    made(make("template1").await)
}

/// Makes a copy of a database that `prepare` fills once per test process, such as one with all migrations applied.
///
/// `template` names what is prepared; `prepare` is given the address. Its connections need not be closed.
///
/// ```no_run
/// # async fn example() {
/// let database = embedded_postgres::testing::copy_of("migrated", async |url| {
///     // sqlx::migrate!().run(&PgPool::connect(url).await …
/// #   let _ = url;
/// })
/// .await;
/// # let _ = database.url();
/// # }
/// ```
///
/// # Panics
///
/// When there is no server to be had, or when `prepare` does.
pub async fn copy_of(template: &str, prepare: impl AsyncFnOnce(&str)) -> TestDatabase {
    let name = format!("prepared_{template}");
    // Held while preparing, so that others wait for the one that does.
    let mut prepared = PREPARED.lock().await;
    if !prepared.contains(&name) {
        let url = made(new_template(&name).await);
        prepare(url.expose_secret()).await;
        made(close_template(&name).await);
        prepared.insert(name.clone());
    }
    drop(prepared);
    made(make(&name).await)
}

fn made<T>(outcome: Result<T, Error>) -> T {
    match outcome {
        Ok(made) => made,
        Err(error) => panic!("no test database: {}", with_causes(&error)),
    }
}

async fn make(template: &str) -> Result<TestDatabase, Error> {
    let server = server().await?;
    let mut connection = server.administrate().await?;
    let abandoned = std::mem::take(&mut *ABANDONED.lock().unwrap_or_else(PoisonError::into_inner));
    for name in abandoned {
        drop_database(&mut connection, &name).await?;
    }
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    // Four times as fast as the default of these versions when nothing is flushed; the only way of the older ones.
    let strategy = if server.major_version() >= 15 {
        "STRATEGY file_copy"
    } else {
        ""
    };
    let create =
        format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {APPLICATION} {strategy}");
    run(&mut connection, create, "creating a database").await?;
    connection
        .close()
        .await
        .map_err(Error::database("disconnecting"))?;
    Ok(TestDatabase {
        url: server.url_of(&name).expose_secret().to_owned(),
        admin_url: server.admin_url_of(&name).expose_secret().to_owned(),
        name,
    })
}

/// A new template; one whose preparation failed earlier makes room.
async fn new_template(name: &str) -> Result<SecretString, Error> {
    check_name(name)?;
    let server = server().await?;
    let mut connection = server.administrate().await?;
    drop_database(&mut connection, name).await?;
    connection
        .close()
        .await
        .map_err(Error::database("disconnecting"))?;
    server.create_database(name).await
}

/// Only a database that nobody is connected to can be copied.
async fn close_template(name: &str) -> Result<(), Error> {
    let mut connection = server().await?.administrate().await?;
    let close = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
    run(&mut connection, close, "closing a template").await?;
    let leave =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    run(&mut connection, leave, "closing a template").await?;
    connection
        .close()
        .await
        .map_err(Error::database("disconnecting"))
}

async fn drop_database(connection: &mut PgConnection, name: &str) -> Result<(), Error> {
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    run(connection, drop, "dropping a database").await
}

async fn server() -> Result<&'static Server, Error> {
    SERVER.get_or_try_init(start).await
}

async fn start() -> Result<Server, Error> {
    let place = tempfile::Builder::new().prefix("cadastre-test-").tempdir();
    let place = place.map_err(Error::io("create", &std::env::temp_dir()))?;
    let server = Server::start(Settings::ephemeral(place.path())).await?;
    // From here on the server removes it.
    let _ = place.keep();
    Ok(server)
}
