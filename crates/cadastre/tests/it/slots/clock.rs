//! A clock that the test sets, for whole processes: libfaketime answers them what a file says.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Where distributions put the library.
const FOLDERS: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
];

/// The library by its name; `MT` is the one for processes with threads.
fn library(name: &str) -> PathBuf {
    let found = FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is missing: `make deps` installs it, or apt-get install faketime")
    })
}

/// Only the time of day is another one: waits and time-outs take as long as they take.
fn environment(library: &Path, file: &Path) -> Vec<(String, String)> {
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DISABLE_SHM", "1".to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// A clock that goes as fast as ours, and is set by writing a file.
pub struct Clock {
    file: PathBuf,
    ahead: TimeDelta,
    /// The simulated moments that passed so far: from each setting until the next one.
    passed: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    set_to: DateTime<Utc>,
}

impl Clock {
    /// A clock in a folder that everybody may enter.
    pub fn set_first(folder: &Path, moment: DateTime<Utc>) -> Self {
        let mut clock = Self {
            file: folder.join("clock"),
            ahead: TimeDelta::zero(),
            passed: Vec::new(),
            set_to: moment,
        };
        clock.write(moment);
        clock
    }

    /// For a process without threads, which PostgreSQL's are.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&library("libfaketime.so.1"), &self.file)
    }

    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.ahead
    }

    pub fn set(&mut self, moment: DateTime<Utc>) {
        let now = self.now();
        assert!(now < moment, "the clock only goes forward: {now} {moment}");
        self.passed.push((self.set_to, now));
        self.write(moment);
        self.set_to = moment;
    }

    /// Has this moment been, by this clock? What was skipped has not.
    pub fn has_shown(&self, moment: DateTime<Utc>) -> bool {
        let now = [(self.set_to, self.now())];
        let mut spans = self.passed.iter().chain(&now);
        // The clock is set in whole seconds.
        let slack = TimeDelta::seconds(2);
        spans.any(|(from, to)| (*from - slack..=*to + slack).contains(&moment))
    }

    fn write(&mut self, moment: DateTime<Utc>) {
        self.ahead = TimeDelta::seconds((moment - Utc::now()).num_seconds());
        put_whole(&self.file, self.ahead.num_seconds());
    }
}

/// The machine's clock, wrong by hours, for processes with threads.
pub struct WrongClock {
    file: PathBuf,
    hours: i64,
}

impl WrongClock {
    pub fn new(folder: &Path, hours: i64) -> Self {
        let file = folder.join(format!("wrong-by{hours:+}"));
        put_whole(&file, hours * 3_600);
        Self { file, hours }
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&library("libfaketimeMT.so.1"), &self.file)
    }

    /// From ahead to behind, or back.
    pub fn jump(&mut self) {
        self.hours = -self.hours;
        put_whole(&self.file, self.hours * 3_600);
    }
}

/// Whole, or not at all: a process may read it at any time.
fn put_whole(file: &Path, seconds_ahead: i64) {
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds_ahead:+}\n")).expect("written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).expect("readable");
    fs::rename(&new, file).expect("put in place");
}
