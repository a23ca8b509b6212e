//! What happens in a crawl, collected for the next heartbeat.

use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::{
    CollectionProgress, CollectionStatus, LogLevel, MAX_LOG_LINES, NewLogLine, Progress,
};
use crawler_entra::{ProgressEvent, ProgressSink};

use crate::journal::Journal;

/// Lines of one lease; the register keeps no more.
const MOST_LINES: u64 = 10_000;

/// Takes note of what happens, and passes it on to the worker's own log.
pub struct Recorder {
    journal: Journal,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    progress: Progress,
    lines: Vec<NewLogLine>,
    next_seq: u64,
    is_run_lost: bool,
}

impl Recorder {
    pub fn new(crawler: String) -> Self {
        Self {
            journal: Journal::new(crawler),
            noted: Mutex::default(),
        }
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What changed since it was last asked.
    pub fn take_progress(&self) -> Progress {
        std::mem::take(&mut self.noted().progress)
    }

    /// What could not be told goes with the next heartbeat, unless there is newer.
    pub fn put_back(&self, mut progress: Progress) {
        let mut noted = self.noted();
        progress.append(&mut noted.progress);
        noted.progress = progress;
    }

    /// The oldest lines that were not told yet; they stay until [`told`](Self::told).
    pub fn lines(&self) -> Vec<NewLogLine> {
        self.noted()
            .lines
            .iter()
            .take(MAX_LOG_LINES)
            .cloned()
            .collect()
    }

    /// So many lines have been told.
    pub fn told(&self, lines: usize) {
        let mut noted = self.noted();
        let end = lines.min(noted.lines.len());
        noted.lines.drain(..end);
    }

    /// Was it said that nobody can go on with the run?
    pub fn is_run_lost(&self) -> bool {
        self.noted().is_run_lost
    }

    /// Writes a line.
    pub fn line(&self, level: LogLevel, message: String) {
        let mut noted = self.noted();
        let seq = noted.next_seq;
        if seq < MOST_LINES {
            noted.next_seq += 1;
            noted.lines.push(NewLogLine {
                seq,
                level,
                message,
            });
        }
    }
}

impl ProgressSink for Recorder {
    fn event(&self, event: ProgressEvent) {
        let level = match &event {
            ProgressEvent::Message { .. } => Some(LogLevel::Warn),
            ProgressEvent::CollectionFinished { report } => match report.status {
                CollectionStatus::Skipped => None,
                CollectionStatus::Complete => Some(LogLevel::Info),
                _ => Some(LogLevel::Warn),
            },
            ProgressEvent::RunStarted { .. }
            | ProgressEvent::TenantKnown { .. }
            | ProgressEvent::RunFinished { .. } => Some(LogLevel::Info),
            _ => None,
        };
        if let Some(level) = level {
            self.line(level, event.plain_line());
        }
        if let ProgressEvent::RunIsLost { .. } = &event {
            self.noted().is_run_lost = true;
        }
        let progress = match &event {
            ProgressEvent::CollectionStarted { collection } => Some((collection, 0, false)),
            ProgressEvent::Read {
                collection,
                records,
            } => Some((collection, *records, false)),
            ProgressEvent::CollectionFinished { report } => {
                Some((&report.collection, report.read, true))
            }
            _ => None,
        };
        if let Some((collection, read, is_done)) = progress {
            let progress = CollectionProgress { read, is_done };
            self.noted().progress.insert(collection.clone(), progress);
        }
        self.journal.event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_told_is_told_later_unless_there_is_newer() {
        let recorder = Recorder::new("test".to_owned());
        let read = |collection: &str, records| ProgressEvent::Read {
            collection: collection.to_owned(),
            records,
        };
        recorder.event(read("users", 1));
        recorder.event(read("groups", 2));
        let untold = recorder.take_progress();
        recorder.event(read("users", 3));
        recorder.put_back(untold);
        let progress = recorder.take_progress();
        let numbers: Vec<_> = progress
            .iter()
            .map(|(name, at)| (name.as_str(), at.read))
            .collect();
        assert_eq!(numbers, [("groups", 2), ("users", 3)]);
        assert!(recorder.take_progress().is_empty());
    }

    #[test]
    fn lines_stay_until_they_are_told_and_keep_their_numbers() {
        let recorder = Recorder::new("test".to_owned());
        for n in 0..3 {
            recorder.line(LogLevel::Info, format!("line {n}"));
        }
        assert_eq!(recorder.lines().len(), 3);
        recorder.told(2);
        let left = recorder.lines();
        assert_eq!((left.len(), left[0].seq), (1, 2));
        recorder.told(5);
        assert!(recorder.lines().is_empty());
    }
}
