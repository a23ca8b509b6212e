//! Where the register's database is: somebody's server, or our own in a data folder.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use embedded_postgres::{Server, Settings};
use ingest_api::secret::{KeySource, KeySourceError, Keyring, write_new_key};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Connection as _;

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A server that somebody else runs.
    External {
        /// Its address.
        url: SecretString,
    },
    /// Our own server in this folder.
    Embedded {
        /// The data folder of the program; the server's is inside.
        folder: PathBuf,
    },
}

/// Why there is no database to use.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No folder was named and none can be derived.
    #[error("no data folder: set HOME or XDG_DATA_HOME, or pass --data-folder")]
    NoFolder,
    /// The folder cannot be made or written.
    #[error("the data folder {folder} cannot be used: {source}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The keys for secrets cannot be used.
    #[error(transparent)]
    Keys(#[from] KeySourceError),
    /// Our own server did not start or stop.
    #[error(transparent)]
    Server(#[from] embedded_postgres::Error),
}

/// A database in use. Our own server runs as long as this value is kept.
pub struct OpenPlace {
    /// Its address.
    pub url: SecretString,
    own: Option<(Server, PathBuf)>,
}

const ADDRESS_FILE: &str = "database-address";
/// The keys for secrets of our own installation; beside the database's folder, not in it.
const KEY_FILE: &str = "secret-keys";

impl Place {
    /// `DATABASE_URL` wins; else the folder that was named; else the usual one.
    pub fn choose(
        database_url: Option<SecretString>,
        folder: Option<PathBuf>,
    ) -> Result<Self, PlaceError> {
        match (database_url, folder) {
            (Some(url), _) => Ok(Self::External { url }),
            (None, Some(folder)) => Ok(Self::Embedded { folder }),
            (None, None) => Ok(Self::Embedded {
                folder: usual_folder()?,
            }),
        }
    }

    /// Makes the database usable: nothing for an external one, a running server for our own.
    pub async fn open(&self) -> Result<OpenPlace, PlaceError> {
        let folder = match self {
            Self::External { url } => {
                return Ok(OpenPlace {
                    url: url.clone(),
                    own: None,
                });
            }
            Self::Embedded { folder } => std::path::absolute(folder).map_err(in_folder(folder))?,
        };
        std::fs::create_dir_all(&folder).map_err(in_folder(&folder))?;
        let server = Server::start(Settings::new(folder.join("postgres"))).await?;
        let url = server.url();
        let note = folder.join(ADDRESS_FILE);
        write_address(&note, &url).map_err(in_folder(&folder))?;
        Ok(OpenPlace {
            url,
            own: Some((server, note)),
        })
    }

    /// The keys for secrets: those that were given, else those of a file in our own folder, which is made when it is not
    /// there. A database that somebody else runs has none unless they are given.
    pub fn keyring(&self, given: KeySource) -> Result<Keyring, PlaceError> {
        let given = given.with_environment();
        let Self::Embedded { folder } = self else {
            return Ok(given.read()?);
        };
        if given.key_file.is_some() || given.keys.is_some() {
            return Ok(given.read()?);
        }
        std::fs::create_dir_all(folder).map_err(in_folder(folder))?;
        let file = folder.join(KEY_FILE);
        write_new_key(&file, "key-1").map_err(in_folder(folder))?;
        let own = KeySource {
            key_file: Some(file),
            keys: None,
        };
        Ok(own.read()?)
    }

    /// The database of a program that serves from this place right now, if one does.
    pub async fn in_use(&self) -> Option<SecretString> {
        let Self::Embedded { folder } = self else {
            return None;
        };
        let url = std::fs::read_to_string(folder.join(ADDRESS_FILE)).ok()?;
        // The note outlives a program that was killed: only an answer counts.
        let connection = sqlx::PgConnection::connect(url.trim()).await.ok()?;
        connection.close().await.ok()?;
        Some(url.trim().to_owned().into())
    }
}

impl OpenPlace {
    /// Is it a PostgreSQL that we started ourselves?
    pub const fn is_our_own(&self) -> bool {
        self.own.is_some()
    }

    /// What serves it, in words.
    pub fn describe(&self) -> String {
        match &self.own {
            None => "PostgreSQL at DATABASE_URL".to_owned(),
            Some((server, _)) => {
                format!(
                    "PostgreSQL {} of our own in {}",
                    server.version(),
                    server.data_folder().display()
                )
            }
        }
    }

    /// Stops our own server.
    pub async fn close(self) -> Result<(), PlaceError> {
        if let Some((server, note)) = self.own {
            // Gone already is as good.
            let _ = std::fs::remove_file(note);
            server.stop().await?;
        }
        Ok(())
    }
}

fn in_folder(folder: &Path) -> impl FnOnce(std::io::Error) -> PlaceError + '_ {
    |source| PlaceError::Folder {
        folder: folder.to_owned(),
        source,
    }
}

/// The address holds the password: only we may read it.
fn write_address(path: &Path, url: &SecretString) -> std::io::Result<()> {
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", url.expose_secret())
}

/// `/var/lib/cadastre` for root, whose server runs as another user that cannot enter root's home; else the user's data
/// folder (XDG Base Directory Specification).
pub fn usual_folder() -> Result<PathBuf, PlaceError> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/cadastre"));
    }
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("cadastre"))
        .ok_or(PlaceError::NoFolder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn our_own_installation_makes_a_key_once_and_one_of_somebody_else_has_what_it_is_given() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("data");
        let own = Place::Embedded {
            folder: folder.clone(),
        };
        let none = KeySource::default;
        assert_eq!(
            own.keyring(none()).expect("made").active_id(),
            Some("key-1")
        );
        let file = folder.join(KEY_FILE);
        let before = std::fs::read(&file).expect("readable");
        let mode = std::fs::metadata(&file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        own.keyring(none()).expect("found");
        assert_eq!(std::fs::read(&file).expect("readable"), before);
        let external = Place::External {
            url: "postgres://db.example/cadastre".to_owned().into(),
        };
        assert_eq!(external.keyring(none()).expect("none").active_id(), None);
        let given = KeySource {
            key_file: Some(file),
            keys: None,
        };
        assert_eq!(
            external.keyring(given).expect("given").active_id(),
            Some("key-1")
        );
    }
}
