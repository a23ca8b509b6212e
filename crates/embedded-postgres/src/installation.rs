//! Finding the server's programs on this machine.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, obtain};

/// The oldest major version that Cadastre's SQL runs on.
pub(crate) const OLDEST: u32 = 14;

/// A folder with `initdb` and `postgres`, and their version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) bin: PathBuf,
    pub(crate) version: Version,
}

impl Installation {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Looks at a folder of programs; `None` unless it holds a server.
    fn look(bin: &Path) -> Option<Self> {
        let postgres = bin.join("postgres");
        if !postgres.is_file() || !bin.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(postgres).arg("--version").output().ok()?;
        let version = Version::parse(&String::from_utf8_lossy(&output.stdout))?;
        // Through links, so that only the real folders have to be open to the server's user.
        let bin = bin.canonicalize().ok()?;
        Some(Self { bin, version })
    }
}

/// A server's version, such as `15.18`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u32,
    text: String,
}

impl Version {
    /// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    fn parse(output: &str) -> Option<Self> {
        let text = output
            .split("(PostgreSQL) ")
            .nth(1)?
            .split_whitespace()
            .next()?;
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        Some(Self {
            major: digits.parse().ok()?,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The installation for a cluster of major version `wanted` (`None`: a new cluster), obtained where there is none.
pub(crate) async fn choose(data_folder: &Path, wanted: Option<u32>) -> Result<Installation, Error> {
    let found = on_this_machine();
    if let Some(chosen) = pick(&found, wanted) {
        return Ok(chosen.clone());
    }
    if let (false, Some(cluster)) = (found.is_empty(), wanted) {
        let versions: Vec<String> = found.iter().map(|one| one.version.to_string()).collect();
        return Err(Error::OtherMajorVersion {
            folder: data_folder.to_owned(),
            cluster,
            installed: versions.join(", "),
        });
    }
    let bin = obtain::download(wanted).await?;
    Installation::look(&bin).ok_or_else(|| Error::NoInstallation {
        reason: format!("the programs in {} do not run", bin.display()),
    })
}

/// The first that fits: of the cluster's version, or else not too old.
fn pick(found: &[Installation], wanted: Option<u32>) -> Option<&Installation> {
    found.iter().find(|one| match wanted {
        Some(major) => one.version.major == major,
        None => one.version.major >= OLDEST,
    })
}

/// All servers on this machine, the most likely first.
fn on_this_machine() -> Vec<Installation> {
    let mut folders: Vec<PathBuf> = pg_config().into_iter().collect();
    for (parent, prefix, inner) in PLACES {
        folders.extend(numbered(Path::new(parent), prefix, inner));
    }
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path));
    }
    folders.extend(numbered(&obtain::download_folder(), "", "bin"));
    let mut found: Vec<Installation> = Vec::new();
    for installation in folders
        .iter()
        .filter_map(|folder| Installation::look(folder))
    {
        if !found.contains(&installation) {
            found.push(installation);
        }
    }
    found
}

/// Where distributions keep several versions side by side: (parent, what the names begin with, folder inside).
const PLACES: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The folders `parent/<prefix><number>/inner`, the highest number first.
fn numbered(parent: &Path, prefix: &str, inner: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let number: Result<Vec<u32>, _> = name
                .strip_prefix(prefix)?
                .split('.')
                .map(str::parse)
                .collect();
            Some((number.ok()?, entry.path().join(inner)))
        })
        .collect();
    found.sort_by_key(|(number, _)| Reverse(number.clone()));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| PathBuf::from(folder.trim()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::{Installation, Version, numbered, pick};

    fn installation(bin: &str, version: &str) -> Installation {
        Installation {
            bin: PathBuf::from(bin),
            version: Version::parse(&format!("postgres (PostgreSQL) {version}"))
                .expect("a version"),
        }
    }

    #[test]
    fn versions_are_read_as_distributions_print_them() {
        for (printed, major, text) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                15,
                "15.18",
            ),
            ("postgres (PostgreSQL) 17.2 (Homebrew)\n", 17, "17.2"),
            ("postgres (PostgreSQL) 19beta1\n", 19, "19beta1"),
        ] {
            let version = Version::parse(printed).expect("a version");
            assert_eq!((version.major, version.to_string().as_str()), (major, text));
        }
        assert_eq!(Version::parse("mysqld 8"), None);
    }

    #[test]
    fn a_new_cluster_takes_the_first_that_is_not_too_old() {
        let found = [
            installation("/a", "13.1"),
            installation("/b", "16.1"),
            installation("/c", "17.1"),
        ];
        assert_eq!(pick(&found, None), Some(&found[1]));
        assert_eq!(pick(&found[..1], None), None);
    }

    #[test]
    fn an_existing_cluster_takes_its_own_major_version_only() {
        let found = [installation("/b", "16.1"), installation("/c", "17.1")];
        assert_eq!(pick(&found, Some(17)), Some(&found[1]));
        assert_eq!(pick(&found, Some(15)), None);
    }

    #[test]
    fn the_highest_version_comes_first_by_number_not_by_letter() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        for name in ["9.6", "16", "17.2.0", "common", "17.10.0"] {
            fs::create_dir(parent.path().join(name)).expect("made");
        }
        let order: Vec<PathBuf> = numbered(parent.path(), "", "bin");
        let expected =
            ["17.10.0", "17.2.0", "16", "9.6"].map(|name| parent.path().join(name).join("bin"));
        assert_eq!(order, expected);
        assert!(numbered(Path::new("/no/such/folder"), "", "bin").is_empty());
    }

    #[test]
    fn a_folder_is_an_installation_only_if_it_can_make_and_run_a_cluster() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "#!/bin/sh\necho 'postgres (PostgreSQL) 16.3'\n").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
        };
        program("postgres");
        assert_eq!(
            Installation::look(folder.path()),
            None,
            "client tools alone, or no initdb"
        );
        program("initdb");
        let found = Installation::look(folder.path()).expect("an installation");
        assert_eq!(found.version.major, 16);
    }
}
