//! A running server and its databases.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::folder::DataFolder;
use crate::installation::{self, Installation};
use crate::postmaster::{self, ADMINISTRATOR, Postmaster};
use crate::secret::Secrets;
use crate::watchdog::Watchdog;
use crate::{Error, Settings};

/// The role that owns the databases, and the name of the first of them.
pub(crate) const APPLICATION: &str = "cadastre";

/// A PostgreSQL server that is ours. Stop it with [`Server::stop`]; dropping it stops it too, without a report.
#[derive(Debug)]
pub struct Server {
    // Before the folder: dropped first, so that the lock is released only after the server was told to stop.
    postmaster: Postmaster,
    folder: DataFolder,
    installation: Installation,
    secrets: Secrets,
    port: u16,
    /// Where the socket is; `None` where the folder's path does not fit into a socket's address.
    socket: Option<String>,
}

impl Server {
    /// Starts a server in the folder, making the folder and its cluster on the first start.
    pub async fn start(mut settings: Settings) -> Result<Self, Error> {
        let folder = DataFolder::claim(&settings.data_folder)?;
        let cluster = folder.cluster();
        let major = folder.major_version()?;
        if settings.ephemeral && major.is_some() {
            return Err(Error::WouldBeLost {
                folder: folder.root().to_owned(),
            });
        }
        let installation = installation::choose(folder.root(), major).await?;
        folder.account().check_can_reach(&installation.bin)?;
        let folder_to_remove = settings.ephemeral.then(|| folder.root());
        let watchdog = Watchdog::start(&cluster, folder_to_remove)?;
        let secrets = if major.is_some() {
            postmaster::stop_left_over(&folder).await?;
            Secrets::read(&folder.secret())?
        } else {
            let secrets = Secrets::create(&folder.secret())?;
            postmaster::initialise(&folder, &installation, &secrets.administrator, &settings)
                .await?;
            secrets
        };
        if !settings.ephemeral && postmaster::knows_lz4(&folder, &installation).await {
            // Before the caller's settings, which are stronger.
            let lz4 = ("wal_compression".to_owned(), "lz4".to_owned());
            settings.configuration.insert(0, lz4);
        }
        let (postmaster, port) =
            Postmaster::launch(&folder, &installation, &settings, watchdog).await?;
        tracing::info!(
            version = %installation.version,
            port,
            folder = %folder.root().display(),
            "PostgreSQL is running"
        );
        let socket = folder.socket()?;
        let socket = socket.and_then(|path| path.to_str().map(url_part));
        let server = Self {
            postmaster,
            folder,
            installation,
            secrets,
            port,
            socket,
        };
        server.ensure_role().await?;
        server.ensure_database(APPLICATION).await?;
        Ok(server)
    }

    /// The address of the first database, `cadastre`, as the role that owns it.
    pub fn url(&self) -> SecretString {
        self.url_of(APPLICATION)
    }

    /// The address of the first database as the administrator of the whole server.
    pub fn admin_url(&self) -> SecretString {
        self.admin_url_of(APPLICATION)
    }

    /// Where the server lives, without links.
    pub fn data_folder(&self) -> &Path {
        self.folder.root()
    }

    /// The server's version, such as `15.18`.
    pub fn version(&self) -> String {
        self.installation.version.to_string()
    }

    pub(crate) fn major_version(&self) -> u32 {
        self.installation.version.major
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of the server's main process.
    pub fn pid(&self) -> i32 {
        self.postmaster.pid()
    }

    /// Makes a database, if it is not there yet, and returns its address as the role that owns it.
    pub async fn create_database(&self, name: &str) -> Result<SecretString, Error> {
        check_name(name)?;
        self.ensure_database(name).await?;
        Ok(self.url_of(name))
    }

    /// Stops the server and waits until it has. An ephemeral one leaves nothing behind.
    pub async fn stop(self) -> Result<(), Error> {
        self.postmaster.stop().await
    }

    pub(crate) fn url_of(&self, database: &str) -> SecretString {
        self.address(APPLICATION, &self.secrets.application, database)
    }

    pub(crate) fn admin_url_of(&self, database: &str) -> SecretString {
        self.address(ADMINISTRATOR, &self.secrets.administrator, database)
    }

    fn address(&self, role: &str, password: &SecretString, database: &str) -> SecretString {
        let (password, port) = (password.expose_secret(), self.port);
        // The socket before TCP: over TCP every COPY of a few rows waits some 40 ms for an acknowledgement, because
        // its end is a small packet behind another one.
        let host = self.socket.as_deref().unwrap_or("127.0.0.1");
        format!("postgres://{role}:{password}@{host}:{port}/{database}?sslmode=disable").into()
    }

    /// A connection of the administrator to the maintenance database.
    pub(crate) async fn administrate(&self) -> Result<PgConnection, Error> {
        let url = self.admin_url_of("postgres");
        let connected = PgConnection::connect(url.expose_secret()).await;
        connected.map_err(Error::database("connecting"))
    }

    async fn ensure_role(&self) -> Result<(), Error> {
        let mut connection = self.administrate().await?;
        let exists = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
        let exists: bool = sqlx::query_scalar(exists)
            .bind(APPLICATION)
            .fetch_one(&mut connection)
            .await
            .map_err(Error::database("looking for the application's role"))?;
        if !exists {
            // However much the server is told to log, the statement with the password is not for its log.
            for quiet in [
                "SET log_statement = 'none'",
                "SET log_min_duration_statement = -1",
                "SET log_min_error_statement = 'panic'",
            ] {
                run(
                    &mut connection,
                    quiet.to_owned(),
                    "keeping a password out of the log",
                )
                .await?;
            }
            // The password is made of letters and digits only.
            let password = self.secrets.application.expose_secret();
            let create = format!("CREATE ROLE {APPLICATION} LOGIN PASSWORD '{password}'");
            run(&mut connection, create, "creating the application's role").await?;
        }
        connection
            .close()
            .await
            .map_err(Error::database("disconnecting"))
    }

    async fn ensure_database(&self, name: &str) -> Result<(), Error> {
        let mut connection = self.administrate().await?;
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                .bind(name)
                .fetch_one(&mut connection)
                .await
                .map_err(Error::database("looking for a database"))?;
        if !exists {
            let create = format!("CREATE DATABASE {name} OWNER {APPLICATION}");
            run(&mut connection, create, "creating a database").await?;
        }
        connection
            .close()
            .await
            .map_err(Error::database("disconnecting"))
    }
}

/// Runs a statement made of checked names only.
pub(crate) async fn run(
    connection: &mut PgConnection,
    sql: String,
    doing: &'static str,
) -> Result<(), Error> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.map(|_| ()).map_err(Error::database(doing))
}

/// Accepts names that need no quoting anywhere: not in SQL, not in an address.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 63
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if is_plain {
        return Ok(());
    }
    Err(Error::BadName {
        name: name.to_owned(),
    })
}

/// A path as the host of an address: everything but letters, digits and a few marks percent-encoded.
fn url_part(path: &str) -> String {
    path.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn only_names_that_need_no_quoting_are_accepted() {
        for name in ["cadastre", "test_1", "a"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "1a",
            "_a",
            "Big",
            "a-b",
            "a\"; drop",
            "ä",
            &"a".repeat(64),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
