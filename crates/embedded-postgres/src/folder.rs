//! The data folder: what lies in it, that it is ours, and that nobody else uses it.
//!
//! ```text
//! <data folder>/
//!   cadastre-postgres   our marker; without it nothing here is touched
//!   lock                locked for as long as a server lives; holds its owner's process id
//!   secret              the passwords, readable by the owner only
//!   server.log
//!   cluster/            PostgreSQL's own folder, owned by the user it runs as
//!   socket/             its socket
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::Error;
use crate::account::Account;
use crate::secret::write_private;

const MARKER: &str = "cadastre-postgres";
const LOCK: &str = "lock";
const LAYOUT: &str = "layout 1";
const MARKER_TEXT: &str = "This folder holds a PostgreSQL server that Cadastre made and runs.\n";

/// A data folder that is ours alone until this value is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    root: PathBuf,
    account: Account,
    _lock: Flock<File>,
}

impl DataFolder {
    /// Makes or recognises the folder and locks it.
    pub(crate) fn claim(root: &Path) -> Result<Self, Error> {
        // Missing parents get the usual permissions, so that the server's user may enter them; the folder itself is
        // closed below.
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        let root = root.canonicalize().map_err(Error::io("resolve", root))?;
        // Before the lock file is made, so that nothing is put into a folder of somebody else's; and again under the
        // lock, because another process may have been first.
        check_is_ours(&root)?;
        let lock = lock(&root)?;
        if check_is_ours(&root)? == Found::Empty {
            write_private(&root.join(MARKER), &format!("{MARKER_TEXT}{LAYOUT}\n"))?;
        }
        let account = Account::for_server(owner_of(&root.join("cluster")))?;
        let mode = if account.is_other() { 0o711 } else { 0o700 };
        fs::set_permissions(&root, Permissions::from_mode(mode))
            .map_err(Error::io("set the permissions of", &root))?;
        account.check_can_reach(&root)?;
        let folder = Self {
            root,
            account,
            _lock: lock,
        };
        if folder.major_version()?.is_some() {
            folder.account.check_owns(&folder.cluster())?;
        }
        Ok(folder)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// Where a new cluster is made; it gets its real name once it is whole.
    pub(crate) fn unfinished_cluster(&self) -> PathBuf {
        self.root.join("cluster.unfinished")
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.root.join("secret")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// The folder of the socket, or `None` where the path is too long for a socket's address, or holds a character that
    /// the server's setting would take for the end of it.
    pub(crate) fn socket(&self) -> Result<Option<PathBuf>, Error> {
        const LONGEST: usize = 103; // macOS; Linux allows 107
        let folder = self.root.join("socket");
        let is_too_long = folder.as_os_str().len() + "/.s.PGSQL.65535".len() > LONGEST;
        if is_too_long || folder.to_string_lossy().contains([',', '"']) {
            return Ok(None);
        }
        self.make_folder_for_server(&folder)?;
        Ok(Some(folder))
    }

    /// Makes a folder that belongs to the server's user.
    pub(crate) fn make_folder_for_server(&self, folder: &Path) -> Result<(), Error> {
        make_folder(folder)?;
        self.account.take(folder)
    }

    /// The major version of the cluster, or `None` while there is none.
    pub(crate) fn major_version(&self) -> Result<Option<u32>, Error> {
        let file = self.cluster().join("PG_VERSION");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &file)(error)),
        };
        let damaged =
            |_| Error::io("understand", &file)(std::io::Error::other("not a version number"));
        text.trim().parse().map(Some).map_err(damaged)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Empty,
    Ours,
}

fn check_is_ours(root: &Path) -> Result<Found, Error> {
    let marker = root.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(text) if text.lines().any(|line| line == LAYOUT) => return Ok(Found::Ours),
        Ok(_) => {
            return Err(Error::NewerLayout {
                folder: root.to_owned(),
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("read", &marker)(error)),
    }
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let name = entry.map_err(Error::io("list", root))?.file_name();
        // A lock file alone is an earlier start that got no further.
        if name != LOCK {
            return Err(Error::NotOurs {
                folder: root.to_owned(),
                found: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(Found::Empty)
}

fn lock(root: &Path) -> Result<Flock<File>, Error> {
    let path = root.join(LOCK);
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = file.map_err(Error::io("open", &path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let write_pid = |file: &mut File| {
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())
            };
            write_pid(&mut lock).map_err(Error::io("write", &path))?;
            Ok(lock)
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid)
                .map_err(Error::io("read", &path))?;
            Err(Error::InUse {
                folder: root.to_owned(),
                pid: pid.trim().to_owned(),
            })
        }
        Err((_, errno)) => Err(Error::io("lock", &path)(errno.into())),
    }
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(Error::io("create", folder))
}

fn owner_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.uid())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{DataFolder, LOCK, MARKER};
    use crate::Error;

    /// A folder that everybody may enter, so that these tests hold for root as well.
    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        place
    }

    #[test]
    fn a_new_folder_is_made_and_marked() {
        let place = place();
        let root = place.path().join("a/b");
        let folder = DataFolder::claim(&root).expect("claimed");
        assert!(root.join(MARKER).exists());
        let mode = fs::metadata(folder.root())
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o066, 0, "nobody else may list or change it");
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let place = place();
        let root = place.path().join("data");
        fs::create_dir(&root).expect("made");
        fs::write(root.join("thesis.txt"), "mine").expect("written");
        let error = DataFolder::claim(&root).expect_err("refused");
        assert!(
            matches!(&error, Error::NotOurs { found, .. } if found == "thesis.txt"),
            "{error}"
        );
        assert_eq!(
            fs::read_dir(&root).expect("listed").count(),
            1,
            "nothing was added"
        );
    }

    #[test]
    fn a_start_that_got_no_further_than_the_lock_is_no_obstacle() {
        let place = place();
        let root = place.path().join("data");
        fs::create_dir(&root).expect("made");
        fs::write(root.join(LOCK), "4711\n").expect("written");
        DataFolder::claim(&root).expect("claimed");
        assert!(root.join(MARKER).exists());
    }

    #[test]
    fn a_second_owner_is_refused_and_told_who_the_first_is() {
        let place = place();
        let root = place.path().join("data");
        let first = DataFolder::claim(&root).expect("claimed");
        let error = DataFolder::claim(&root).expect_err("refused");
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        DataFolder::claim(&root).expect("free again");
    }

    #[test]
    fn a_folder_of_a_newer_release_is_left_alone() {
        let place = place();
        let root = place.path().join("data");
        fs::create_dir(&root).expect("made");
        fs::write(root.join(MARKER), "layout 2\n").expect("written");
        assert!(matches!(
            DataFolder::claim(&root),
            Err(Error::NewerLayout { .. })
        ));
    }

    #[test]
    fn a_path_unfit_for_a_socket_goes_without() {
        let place = place();
        let short = DataFolder::claim(&place.path().join("data")).expect("claimed");
        assert!(short.socket().expect("made").is_some());
        let long = DataFolder::claim(&place.path().join("d".repeat(90))).expect("claimed");
        assert!(long.socket().expect("nothing to make").is_none());
        let list = DataFolder::claim(&place.path().join("a,b")).expect("claimed");
        assert!(list.socket().expect("nothing to make").is_none());
    }
}
