//! The passwords of the two roles, kept in a file that only its owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::RngExt;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};

use crate::Error;

const LENGTH: usize = 32;

/// The passwords of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    pub(crate) administrator: SecretString,
    pub(crate) application: SecretString,
}

impl Secrets {
    fn generate() -> Self {
        let password = || -> String {
            let letters = rand::rng().sample_iter(Alphanumeric);
            letters.take(LENGTH).map(char::from).collect()
        };
        Self {
            administrator: password().into(),
            application: password().into(),
        }
    }

    /// Makes new passwords and writes them down before anything depends on them.
    pub(crate) fn create(file: &Path) -> Result<Self, Error> {
        let secrets = Self::generate();
        let text = format!(
            "administrator {}\napplication {}\n",
            secrets.administrator.expose_secret(),
            secrets.application.expose_secret()
        );
        write_private(file, &text)?;
        Ok(secrets)
    }

    /// Reads the passwords of an existing cluster.
    pub(crate) fn read(file: &Path) -> Result<Self, Error> {
        let lost = || Error::SecretLost {
            file: file.to_owned(),
        };
        let text = fs::read_to_string(file).map_err(|_| lost())?;
        let of = |role: &str| {
            let password = text
                .lines()
                .find_map(|line| line.strip_prefix(role)?.strip_prefix(' '))?;
            (password.len() == LENGTH).then(|| SecretString::from(password))
        };
        Ok(Self {
            administrator: of("administrator").ok_or_else(lost)?,
            application: of("application").ok_or_else(lost)?,
        })
    }
}

/// Writes a file that only its owner can read, replacing an older one, and waits until it is on disk.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("replace", path)(error));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).mode(0o600).open(path);
    created
        .and_then(|mut file: File| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::Secrets;
    use crate::Error;

    #[test]
    fn what_was_written_is_read_back_and_only_ours() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("secret");
        let written = Secrets::create(&file).expect("created");
        let read = Secrets::read(&file).expect("read");
        assert_eq!(
            read.application.expose_secret(),
            written.application.expose_secret()
        );
        assert_ne!(
            read.application.expose_secret(),
            read.administrator.expose_secret()
        );
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_reported_as_lost() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("secret");
        fs::write(&file, "administrator short\napplication short\n").expect("written");
        assert!(matches!(
            Secrets::read(&file),
            Err(Error::SecretLost { .. })
        ));
    }

    #[test]
    fn debug_output_shows_no_password() {
        let secrets = Secrets::generate();
        let shown = format!("{secrets:?}");
        assert!(
            !shown.contains(secrets.administrator.expose_secret()),
            "{shown}"
        );
    }
}
