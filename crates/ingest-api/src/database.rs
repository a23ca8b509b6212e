//! The connection pool and the migrations.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, Executor, PgConnection, PgPool, Row as _,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::history;

/// The schema of the register.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// The advisory lock under which one replica migrates; an arbitrary number of ours.
const MIGRATION_LOCK: i64 = 0x0CAD_A57E;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address cannot be read. The text is not repeated: it may hold a password.
    #[error(
        "DATABASE_URL is not a PostgreSQL address (postgres://user:password@host:port/database)"
    )]
    Address,
    /// PostgreSQL refused or is away.
    #[error("PostgreSQL: {0}")]
    Connection(#[from] sqlx::Error),
    /// A migration failed.
    #[error("the schema could not be brought up to date: {}{}", .0, advice(.0))]
    Migration(#[from] MigrateError),
    /// A newer program took away what this one needs.
    #[error(
        "a newer version of Cadastre changed this database in a way that this version cannot work with: use the newer one, or restore the backup from before"
    )]
    TooNew,
    /// The views could not be installed.
    #[error("the views could not be installed: {0}")]
    Views(#[from] views::ViewError),
    /// The server would acknowledge what a crash can lose.
    #[error(
        "PostgreSQL runs with {0}=off: acknowledged data could be lost; switch it on, or allow it for tests only"
    )]
    NotDurable(&'static str),
}

/// What a person can do about a migration that failed.
fn advice(error: &MigrateError) -> &'static str {
    match error {
        MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) => {
            "; another version of Cadastre made this database: use that version, or another database or data folder (what a demo made may simply be removed)"
        }
        _ => "",
    }
}

/// How the database is used.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `postgres://…`
    pub url: SecretString,
    /// Most connections of this process.
    pub max_connections: u32,
    /// Accept a server that may lose acknowledged data. For tests only.
    pub allow_not_durable: bool,
}

/// Opens a pool.
///
/// A session that comes back inside a transaction is thrown away: a cancelled `begin` (transact-rs/sqlx#4385) would
/// otherwise make the session lose what is acknowledged on it later.
pub async fn connect(settings: &DatabaseSettings) -> Result<PgPool, DatabaseError> {
    let options: PgConnectOptions = settings
        .url
        .expose_secret()
        .parse()
        .map_err(|_| DatabaseError::Address)?;
    let options = options.application_name("cadastre").options([
        ("statement_timeout", "300s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("timezone", "UTC"),
        // Who waited for a lock must see what was committed meanwhile, whatever the database's own default.
        ("default_transaction_isolation", "read committed"),
        // A plan that was made while a table was small must not outlive that.
        ("plan_cache_mode", "force_custom_plan"),
        ("search_path", "public"),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(settings.max_connections)
        // Who finds no connection by then is asked to come again; waiting longer would only lengthen the queue.
        .acquire_timeout(Duration::from_secs(2))
        .after_release(|connection, _| {
            Box::pin(async move {
                // One simple message: outside a transaction both are the same moment.
                let row = sqlx::raw_sql("select statement_timestamp() = now()")
                    .fetch_one(connection)
                    .await?;
                row.try_get(0)
            })
        })
        .connect_with(options)
        .await?;
    if !settings.allow_not_durable {
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String = sqlx::query_scalar("select current_setting($1)")
                .bind(setting)
                .fetch_one(&pool)
                .await?;
            if value == "off" {
                return Err(DatabaseError::NotDurable(setting));
            }
        }
    }
    Ok(pool)
}

/// Brings schema and views up to date. Several replicas may start at once: one migrates, the others wait. The lock is
/// polled, not waited for, because a session that waits holds a snapshot that blocks `CREATE INDEX CONCURRENTLY`.
///
/// A schema that a newer program added to is left alone, views included: who goes back to the version before finds that
/// what it needs is there, and takes nothing from servers of the newer version that run beside it.
pub async fn migrate(url: &SecretString) -> Result<(), DatabaseError> {
    let options: PgConnectOptions = url
        .expose_secret()
        .parse()
        .map_err(|_| DatabaseError::Address)?;
    let options = options
        .application_name("cadastre migrate")
        .options([("timezone", "UTC"), ("search_path", "public")]);
    let mut connection = PgConnection::connect_with(&options).await?;
    let mut waits = 0;
    while !try_lock(&mut connection).await? {
        if waits % 50 == 0 {
            tracing::info!("waiting for another server, which brings the schema up to date");
        }
        waits += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let found = applied(&mut connection).await?;
    match standing(&known(), &found) {
        SchemaStanding::TooOld | SchemaStanding::Current => {
            update(&mut connection, found.len()).await?;
        }
        SchemaStanding::Newer => tracing::warn!(
            "a newer version of Cadastre has added to the schema: it is used as it is"
        ),
        SchemaStanding::TooNew => return Err(DatabaseError::TooNew),
    }
    connection
        .execute("select pg_advisory_unlock_all()")
        .await?;
    connection.close().await?;
    Ok(())
}

/// Does what is missing of a schema that had some migrations.
async fn update(connection: &mut PgConnection, before: usize) -> Result<(), DatabaseError> {
    // The migrator's own lock would be waited for.
    let mut migrator = Migrator {
        ..Migrator::DEFAULT
    };
    migrator.migrations.clone_from(&MIGRATIONS.migrations);
    migrator.set_locking(false);
    migrator.run(&mut *connection).await?;
    // A server that was away for months finds the current one.
    history::partitions::make_missing(connection).await?;
    views::install(connection).await?;
    let migrations = applied(connection).await?.len() - before;
    if migrations > 0 {
        tracing::info!(migrations, "the schema was brought up to date");
    }
    Ok(())
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(MIGRATION_LOCK)
        .fetch_one(connection)
        .await
}

/// How the database's schema stands to the one that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaStanding {
    /// Migrations of ours are missing.
    TooOld,
    /// The same.
    Current,
    /// A newer program added to it, which does not disturb this one: so may servers be replaced one after the other.
    Newer,
    /// A newer program took away or changed what this one needs.
    TooNew,
}

/// What the description of a migration begins with that programs from before it cannot live with. All others only add.
const CONTRACTS: &str = "contract ";

/// How the database's schema stands to ours.
pub async fn schema_standing(pool: &PgPool) -> Result<SchemaStanding, sqlx::Error> {
    let found = applied(&mut *pool.acquire().await?).await?;
    Ok(standing(&known(), &found))
}

/// The migrations that this program knows.
fn known() -> Vec<i64> {
    MIGRATIONS.iter().map(|one| one.version).collect()
}

fn standing(known: &[i64], found: &[(i64, String)]) -> SchemaStanding {
    let has = |version: &i64| found.iter().any(|(one, _)| one == version);
    let unknown: Vec<_> = found
        .iter()
        .filter(|(version, _)| !known.contains(version))
        .collect();
    if !known.iter().all(has) {
        SchemaStanding::TooOld
    } else if unknown.is_empty() {
        SchemaStanding::Current
    } else if unknown
        .iter()
        .any(|(_, description)| description.starts_with(CONTRACTS))
    {
        SchemaStanding::TooNew
    } else {
        SchemaStanding::Newer
    }
}

/// The migrations that a database has, with their descriptions; none of an empty one.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let found = sqlx::query_as(
        "select version, description from public._sqlx_migrations where success order by version",
    )
    .fetch_all(connection)
    .await;
    match found {
        // Undefined table: nobody has migrated it yet.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
            Ok(Vec::new())
        }
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_too_old_current_newer_or_too_new() {
        let of = |found: &[(i64, &str)]| {
            let found: Vec<_> = found
                .iter()
                .map(|(n, name)| (*n, (*name).to_owned()))
                .collect();
            standing(&[1, 2], &found)
        };
        assert_eq!(of(&[]), SchemaStanding::TooOld);
        assert_eq!(of(&[(1, "a")]), SchemaStanding::TooOld);
        assert_eq!(of(&[(1, "a"), (3, "c")]), SchemaStanding::TooOld);
        assert_eq!(of(&[(1, "a"), (2, "contract b")]), SchemaStanding::Current);
        assert_eq!(
            of(&[(1, "a"), (2, "b"), (3, "contracts")]),
            SchemaStanding::Newer
        );
        assert_eq!(
            of(&[(1, "a"), (2, "b"), (3, "contract c"), (4, "d")]),
            SchemaStanding::TooNew
        );
    }
}
