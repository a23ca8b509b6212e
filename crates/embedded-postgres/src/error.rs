//! What can go wrong, and what the reader can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a server could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder holds something that we did not make.
    #[error(
        "{} is not a folder made by Cadastre (it contains {found:?}): choose an empty or a new folder", folder.display()
    )]
    NotOurs {
        /// The folder that was asked for.
        folder: PathBuf,
        /// One of the names found in it.
        found: String,
    },
    /// The folder was made by a newer release.
    #[error("{} was made by a newer release of Cadastre: use that release, or another folder", folder.display())]
    NewerLayout {
        /// The folder that was asked for.
        folder: PathBuf,
    },
    /// An ephemeral server was asked for where a lasting one lives.
    #[error("{} holds a database already: a server that loses everything when it stops needs a new folder", folder.display())]
    WouldBeLost {
        /// The folder that was asked for.
        folder: PathBuf,
    },
    /// Another process holds the folder.
    #[error("{} is in use by process {pid}: stop it first, or choose another folder", folder.display())]
    InUse {
        /// The folder that was asked for.
        folder: PathBuf,
        /// The owner's process id, as it wrote it down.
        pid: String,
    },
    /// The cluster needs another major version than those installed.
    #[error(
        "{} was made by PostgreSQL {cluster}, but this machine has {installed}: install PostgreSQL {cluster}, or move \
         the data with pg_dump and choose another folder",
        folder.display()
    )]
    OtherMajorVersion {
        /// The folder that was asked for.
        folder: PathBuf,
        /// The cluster's major version.
        cluster: u32,
        /// The versions found, as text.
        installed: String,
    },
    /// The passwords of an existing cluster are gone.
    #[error("{} is missing or damaged: restore it, without it nobody can connect to the data beside it", file.display())]
    SecretLost {
        /// The file that should hold them.
        file: PathBuf,
    },
    /// The files belong to somebody whom we cannot act as.
    #[error(
        "{} belongs to user id {owner}, but the server would run as {account}: start Cadastre as the user that made it",
        folder.display()
    )]
    OtherOwner {
        /// The cluster's folder.
        folder: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we would run as.
        account: String,
    },
    /// Started by root, and there is nobody else to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`: start Cadastre as another user"
    )]
    NoAccount,
    /// The server's user may not enter a folder on the way.
    #[error(
        "the user {account}, who runs PostgreSQL here, may not enter {}: `chmod o+x` it, or choose a folder elsewhere",
        folder.display()
    )]
    NotTraversable {
        /// The folder that is closed.
        folder: PathBuf,
        /// Who cannot enter it.
        account: String,
    },
    /// No server program on this machine, and none could be downloaded.
    #[error(
        "found no PostgreSQL 14 or newer on this machine, and could not download one ({reason}). Install it (Debian, \
         Ubuntu: `apt-get install postgresql`; macOS: `brew install postgresql@17`), or set DATABASE_URL to use a \
         server of yours"
    )]
    NoInstallation {
        /// Why the download failed.
        reason: String,
    },
    /// The chosen port is taken.
    #[error("port {port} on 127.0.0.1 is already in use: choose another one, or none")]
    PortTaken {
        /// The port that was asked for.
        port: u16,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which one.
        program: &'static str,
        /// What it said last.
        output: String,
    },
    /// The server ended, or did not become ready in time.
    #[error("PostgreSQL did not start ({reason}); the end of {}:\n{last_lines}", log.display())]
    NotReady {
        /// What was observed.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// What it wrote last.
        last_lines: String,
    },
    /// The server ignores every request to stop.
    #[error("PostgreSQL (process {pid}) does not stop")]
    StillRunning {
        /// Its process id.
        pid: i32,
    },
    /// A database name that we do not accept.
    #[error("{name:?} is no database name: use 1 to 63 of a-z, 0-9 and _, starting with a letter")]
    BadName {
        /// The name that was asked for.
        name: String,
    },
    /// A statement failed.
    #[error("PostgreSQL refused while {doing}")]
    Database {
        /// What we were doing.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: sqlx::Error,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was being done with which file.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// For `map_err`: says what the statement was for.
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}

/// An error with everything that led to it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors quote their cause themselves.
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::{Error, with_causes};

    #[test]
    fn causes_are_told_once() {
        let error = Error::io("open", Path::new("/x"))(io::Error::other("the disk is on fire"));
        assert_eq!(with_causes(&error), "cannot open /x: the disk is on fire");
        let error = Error::database("connecting")(sqlx::Error::PoolClosed);
        let text = with_causes(&error);
        assert!(
            text.starts_with("PostgreSQL refused while connecting: "),
            "{text}"
        );
    }
}
