//! A small process that outlives us by a moment: when we end, in whatever way, it stops the server.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Error;

/// Reads the server's process id, then waits for the end of its input, which is our end. It signals that process only
/// while the cluster's own file still names it and its command line names the cluster. It waits for that file to go
/// away rather than for the process, which nobody may be there to collect. `$1` is the cluster, `$2` the folder to
/// remove (or nothing).
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pid=
while read -r line; do pid=$line; done
file=$1/postmaster.pid
is_ours() {
    [ -n "$pid" ] && [ "$(head -n 1 "$file" 2>/dev/null)" = "$pid" ] || return 1
    if [ -e /proc/self/cmdline ]; then arguments=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)
    else arguments=$(ps -ww -o args= -p "$pid" 2>/dev/null); fi
    case $arguments in *"$1"*) return 0 ;; *) return 1 ;; esac
}
end_with() {
    is_ours "$2" && kill "-$1" "$pid" 2>/dev/null || return 0
    tries=0
    while is_ours "$2" && [ "$tries" -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
}
end_with INT "$1"
end_with QUIT "$1"
if [ -n "$2" ]; then
    for _ in 1 2 3; do rm -rf -- "$2" 2>/dev/null; [ -e "$2" ] || break; sleep 1; done
fi
"#;

/// The watching process. It acts when this value is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    lifeline: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts watching, before there is a server.
    pub(crate) fn start(cluster: &Path, folder_to_remove: Option<&Path>) -> Result<Self, Error> {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(SCRIPT)
            .arg("cadastre-postgres-watchdog")
            .arg(cluster);
        command.arg(folder_to_remove.unwrap_or(Path::new("")));
        // Holds nothing of ours: no terminal group, no folder, no output that somebody waits for.
        command
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(Error::io("run", Path::new("/bin/sh")))?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline })
    }

    /// Tells it which process to stop.
    pub(crate) fn watch(&mut self, pid: u32) -> Result<(), Error> {
        let Some(lifeline) = &mut self.lifeline else {
            return Ok(());
        };
        writeln!(lifeline, "{pid}").map_err(Error::io("write to", Path::new("the watchdog")))
    }

    /// Lets it do what is left to do, and waits for that.
    pub(crate) async fn finish(mut self) -> Result<(), Error> {
        self.lifeline = None;
        loop {
            let ended = self
                .child
                .try_wait()
                .map_err(Error::io("wait for", Path::new("the watchdog")))?;
            if ended.is_some() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
