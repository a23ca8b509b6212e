//! `postmaster.pid`: the file in which a running server says who it is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// What the file of a cluster says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    path: PathBuf,
    pub(crate) pid: i32,
    pub(crate) is_ready: bool,
}

impl PidFile {
    pub(crate) fn path(cluster: &Path) -> PathBuf {
        cluster.join("postmaster.pid")
    }

    /// Reads the file; `None` when there is none or it is not whole yet.
    pub(crate) fn read(cluster: &Path) -> Option<Self> {
        let path = Self::path(cluster);
        let text = fs::read_to_string(&path).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let status = lines.nth(6).unwrap_or("");
        Some(Self {
            path,
            pid,
            is_ready: status.trim() == "ready",
        })
    }

    /// Whether its process lives and is a server of this cluster. A process id alone proves nothing: after a crash it
    /// may belong to anybody.
    pub(crate) fn is_alive(&self, cluster: &Path) -> bool {
        command_line(self.pid)
            .iter()
            .any(|argument| argument == cluster.as_os_str().as_bytes())
    }

    /// Makes a new server overlook a process id that now belongs to somebody else.
    ///
    /// Removing the file would be wrong: it also names the shared memory by which the new server notices processes
    /// that survived the old one. A server takes its parent's id, ours, for stale and still looks at the rest.
    pub(crate) fn disown(&self) -> Result<(), Error> {
        let text = fs::read_to_string(&self.path).map_err(Error::io("read", &self.path))?;
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        let text = format!("{}\n{rest}", std::process::id());
        fs::write(&self.path, text).map_err(Error::io("write", &self.path))
    }
}

/// The arguments a process was started with; empty when it is gone or only waits to be collected.
fn command_line(pid: i32) -> Vec<Vec<u8>> {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        return bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    }
    let output = Command::new("ps")
        .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    // `ps` joins the arguments with spaces; ours are `-D <cluster> -c …`, in this order.
    let text = String::from_utf8_lossy(&text).into_owned();
    let between = text
        .split_once(" -D ")
        .and_then(|(_, rest)| rest.split_once(" -c "));
    between
        .map(|(cluster, _)| OsStr::new(cluster).as_bytes().to_vec())
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::PidFile;

    const RUNNING: &str =
        "4711\n/data/cluster\n1700000000\n5432\n/data/socket\n127.0.0.1\n  99 0\nready   \n";

    fn file(text: &str) -> (tempfile::TempDir, PidFile) {
        let cluster = tempfile::tempdir().expect("a temporary folder");
        fs::write(PidFile::path(cluster.path()), text).expect("written");
        let read = PidFile::read(cluster.path()).expect("readable");
        (cluster, read)
    }

    #[test]
    fn a_ready_server_is_recognised() {
        let (_cluster, file) = file(RUNNING);
        assert_eq!((file.pid, file.is_ready), (4711, true));
    }

    #[test]
    fn a_starting_server_is_not_ready() {
        assert!(!file(&RUNNING.replace("ready   ", "starting")).1.is_ready);
        assert!(!file("4711\n/data/cluster\n").1.is_ready);
    }

    #[test]
    fn a_reused_process_id_is_not_taken_for_the_server() {
        let (cluster, file) = file(&RUNNING.replace("4711", &std::process::id().to_string()));
        assert!(!file.is_alive(cluster.path()), "it is this test");
    }

    #[test]
    fn disowning_keeps_what_names_the_shared_memory() {
        let (cluster, file) = file(RUNNING);
        file.disown().expect("written");
        let text = fs::read_to_string(PidFile::path(cluster.path())).expect("read");
        let (first, rest) = text.split_once('\n').expect("lines");
        assert_eq!(first, std::process::id().to_string());
        assert_eq!(rest, RUNNING.split_once('\n').expect("lines").1);
    }
}
