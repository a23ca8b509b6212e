//! The server's log file: opened for one start, quoted when that start fails.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Error;

const LARGEST: u64 = 10 * 1024 * 1024;
const LINES_QUOTED: usize = 15;

/// The log file, from where one start begins to write into it.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    begins_at: u64,
}

impl LogFile {
    /// Opens the file at its end; a file that grew large is kept as `server.log.1`.
    pub(crate) fn open(path: &Path) -> Result<(Self, File), Error> {
        let is_large = fs::metadata(path).is_ok_and(|found| found.len() > LARGEST);
        if is_large {
            fs::rename(path, path.with_extension("log.1")).map_err(Error::io("rename", path))?;
        }
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::io("open", path))?;
        let begins_at = file.metadata().map_err(Error::io("look at", path))?.len();
        let log = Self {
            path: path.to_owned(),
            begins_at,
        };
        Ok((log, file))
    }

    /// Everything that this start wrote.
    pub(crate) fn text(&self) -> String {
        let read = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.begins_at))?;
            let mut bytes = Vec::new();
            file.take(LARGEST).read_to_end(&mut bytes)?;
            std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"))
    }

    /// The failure of this start, with the last lines of the log.
    pub(crate) fn failure(&self, reason: impl Into<String>) -> Error {
        Error::NotReady {
            reason: reason.into(),
            log: self.path.clone(),
            last_lines: last_lines(&self.text()),
        }
    }
}

/// The last lines of a program's output.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES_QUOTED)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::{LogFile, last_lines};

    #[test]
    fn a_failure_quotes_only_what_this_start_wrote() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("server.log");
        fs::write(&path, "an old complaint\n").expect("written");
        let (log, mut file) = LogFile::open(&path).expect("opened");
        writeln!(file, "FATAL: a new complaint").expect("written");
        let message = log.failure("it ended").to_string();
        assert!(message.contains("a new complaint"), "{message}");
        assert!(!message.contains("an old complaint"), "{message}");
    }

    #[test]
    fn long_output_is_cut_to_its_end() {
        let lines: Vec<String> = (1..=100).map(|line| format!("line {line}")).collect();
        let quoted = last_lines(&lines.join("\n"));
        assert_eq!(quoted.lines().count(), 15);
        assert!(quoted.ends_with("line 100"));
    }
}
