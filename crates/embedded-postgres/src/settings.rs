//! How a server is asked for.

use std::path::PathBuf;

use crate::machine::memory;

/// What kind of server to run, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server lives. Created when missing; must be empty or made by an earlier start.
    pub data_folder: PathBuf,
    /// The port on 127.0.0.1; `None` takes a free one at every start.
    pub port: Option<u16>,
    /// For tests: nothing is flushed to disk and the folder is removed when the server stops.
    pub ephemeral: bool,
    /// Further server settings (`name`, `value`), stronger than ours.
    pub configuration: Vec<(String, String)>,
    /// Environment of the server's process (`name`, `value`), beside what it inherits.
    pub environment: Vec<(String, String)>,
}

impl Settings {
    /// A lasting server on a free port.
    pub fn new(data_folder: impl Into<PathBuf>) -> Self {
        Self {
            data_folder: data_folder.into(),
            port: None,
            ephemeral: false,
            configuration: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// A fast server that loses everything when it stops.
    pub fn ephemeral(data_folder: impl Into<PathBuf>) -> Self {
        Self {
            ephemeral: true,
            ..Self::new(data_folder)
        }
    }

    /// The server settings of one start, as (`name`, `value`). They are given on the command line, so that a folder
    /// made by an older release runs with the settings of this one.
    pub(crate) fn server_configuration(&self) -> Vec<(String, String)> {
        let common = [
            ("listen_addresses", "127.0.0.1"),
            ("password_encryption", "scram-sha-256"),
            ("log_destination", "stderr"),
            ("logging_collector", "off"),
            ("log_line_prefix", "%m [%p] %u@%d "),
            ("ssl", "off"),
            ("jit", "off"),
        ];
        let lasting = [
            // Statements can carry personal data; the log file must not.
            ("log_min_error_statement", "panic"),
            // The first change of a page after each checkpoint is logged as a whole page: seldom ones make a load cheaper.
            ("max_wal_size", "4GB"),
            ("checkpoint_timeout", "15min"),
            ("wal_compression", "on"),
        ];
        let fleeting = [
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
            ("max_connections", "200"),
            ("shared_buffers", "64MB"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("autovacuum_naptime", "60s"),
        ];
        let chosen: &[(&str, &str)] = if self.ephemeral { &fleeting } else { &lasting };
        common
            .iter()
            .chain(chosen)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain(
                (!self.ephemeral).then(|| ("shared_buffers".to_owned(), shared_buffers(memory()))),
            )
            .chain(self.configuration.iter().cloned())
            .collect()
    }
}

/// An eighth of the memory, from 128 MB to 4 GB; it is taken only as far as it is used. Indexes that fit are not written out
/// and read again while a load grows them.
fn shared_buffers(memory: Option<u64>) -> String {
    const MEGABYTE: u64 = 1024 * 1024;
    let eighth = memory.map_or(512, |bytes| bytes / MEGABYTE / 8);
    format!("{}MB", eighth.clamp(128, 4096))
}

#[cfg(test)]
mod tests {
    use super::{Settings, shared_buffers};

    #[test]
    fn pages_are_kept_in_an_eighth_of_the_memory_within_bounds() {
        let gigabyte = 1024 * 1024 * 1024;
        assert_eq!(shared_buffers(Some(24 * gigabyte)), "3072MB");
        assert_eq!(shared_buffers(Some(gigabyte / 4)), "128MB");
        assert_eq!(shared_buffers(Some(512 * gigabyte)), "4096MB");
        assert_eq!(shared_buffers(None), "512MB");
    }

    fn value(settings: &Settings, name: &str) -> Option<String> {
        let configuration = settings.server_configuration();
        let last = configuration.iter().rev().find(|(key, _)| key == name)?;
        Some(last.1.clone())
    }

    #[test]
    fn a_lasting_server_keeps_its_data_safe() {
        assert_eq!(value(&Settings::new("x"), "fsync"), None);
        assert_eq!(value(&Settings::new("x"), "full_page_writes"), None);
    }

    #[test]
    fn only_a_throw_away_server_skips_flushing() {
        assert_eq!(
            value(&Settings::ephemeral("x"), "fsync").as_deref(),
            Some("off")
        );
    }

    #[test]
    fn both_listen_on_loopback_only() {
        for settings in [Settings::new("x"), Settings::ephemeral("x")] {
            assert_eq!(
                value(&settings, "listen_addresses").as_deref(),
                Some("127.0.0.1")
            );
        }
    }

    #[test]
    fn the_callers_settings_come_last_and_win() {
        let mut settings = Settings::ephemeral("x");
        settings
            .configuration
            .push(("max_connections".into(), "7".into()));
        assert_eq!(value(&settings, "max_connections").as_deref(), Some("7"));
    }
}
