//! Who the server runs as. PostgreSQL refuses to run as root, so root hands it to somebody with fewer rights.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, getegid, geteuid};

use crate::Error;

/// The user that runs PostgreSQL's programs and owns its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    uid: u32,
    gid: u32,
    /// Whether this is somebody else than the caller (who is then root).
    is_other: bool,
}

impl Account {
    /// The caller; for root the owner of the existing files, else `postgres`, else `nobody`.
    pub(crate) fn for_server(owner_of_files: Option<u32>) -> Result<Self, Error> {
        let caller = geteuid();
        if !caller.is_root() {
            return Ok(Self {
                name: format!("user id {caller}"),
                uid: caller.as_raw(),
                gid: getegid().as_raw(),
                is_other: false,
            });
        }
        let owner = owner_of_files.filter(|uid| *uid != 0).map(Uid::from_raw);
        owner
            .and_then(|uid| User::from_uid(uid).ok().flatten())
            .or_else(|| User::from_name("postgres").ok().flatten())
            .or_else(|| User::from_name("nobody").ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                is_other: true,
            })
            .ok_or(Error::NoAccount)
    }

    pub(crate) fn is_other(&self) -> bool {
        self.is_other
    }

    /// A command that runs as this user, away from our folder and without settings meant for clients.
    pub(crate) fn command(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG"))
        {
            command.env_remove(name);
        }
        // Messages in English, because we read them. Own group: Ctrl-C in the terminal is for us, not for the server.
        command.env("LC_ALL", "C").current_dir("/").process_group(0);
        if self.is_other {
            // Also drops root's supplementary groups.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Hands a file of ours to this user.
    pub(crate) fn take(&self, path: &Path) -> Result<(), Error> {
        if !self.is_other {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", path))
    }

    /// Refuses files that this user does not own.
    pub(crate) fn check_owns(&self, folder: &Path) -> Result<(), Error> {
        let owner = fs::metadata(folder)
            .map_err(Error::io("look at", folder))?
            .uid();
        if owner == self.uid {
            return Ok(());
        }
        Err(Error::OtherOwner {
            folder: folder.to_owned(),
            owner,
            account: self.name.clone(),
        })
    }

    /// Refuses a path that this user cannot reach, and names the folder that is closed.
    pub(crate) fn check_can_reach(&self, folder: &Path) -> Result<(), Error> {
        if !self.is_other {
            return Ok(());
        }
        let closed = first_closed(folder, |ancestor| {
            let found = fs::metadata(ancestor).ok()?;
            Some(self.may_enter(found.mode(), found.uid(), found.gid()))
        });
        closed.map_or(Ok(()), |folder| {
            Err(Error::NotTraversable {
                folder,
                account: self.name.clone(),
            })
        })
    }

    fn may_enter(&self, mode: u32, owner: u32, group: u32) -> bool {
        let needed = match (owner == self.uid, group == self.gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        mode & needed != 0
    }
}

/// The outermost folder of the path that may not be entered. A folder that cannot be looked at counts as closed.
fn first_closed(folder: &Path, may_enter: impl Fn(&Path) -> Option<bool>) -> Option<PathBuf> {
    let mut ancestors: Vec<&Path> = folder.ancestors().collect();
    ancestors.reverse();
    let closed = ancestors
        .into_iter()
        .find(|ancestor| may_enter(ancestor) != Some(true));
    closed.map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Account, first_closed};

    fn somebody() -> Account {
        Account {
            name: "somebody".into(),
            uid: 101,
            gid: 104,
            is_other: true,
        }
    }

    #[test]
    fn the_outermost_closed_folder_is_named() {
        let closed = first_closed(Path::new("/home/ada/data"), |folder| {
            Some(folder == Path::new("/"))
        });
        assert_eq!(closed, Some(PathBuf::from("/home")));
    }

    #[test]
    fn an_open_path_has_no_closed_folder() {
        assert_eq!(first_closed(Path::new("/srv/data"), |_| Some(true)), None);
    }

    #[test]
    fn entering_needs_the_bit_of_the_own_class() {
        let account = somebody();
        assert!(account.may_enter(0o711, 0, 0));
        assert!(!account.may_enter(0o700, 0, 0));
        assert!(account.may_enter(0o700, 101, 0));
        assert!(account.may_enter(0o710, 0, 104));
        assert!(
            !account.may_enter(0o701, 0, 104),
            "the group's bits decide for its members"
        );
    }
}
