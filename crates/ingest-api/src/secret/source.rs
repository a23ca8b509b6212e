//! Where key-encryption keys come from: a file that only its owner can read, or the environment.
//!
//! Both hold the same text. Lines `id:base64` of 32 bytes each, `#` for comments, the first line or the one that begins
//! with `*` being the key that writes; or JSON: `{"keys": [{"id": "2026", "key": "…", "active": true}]}`.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, alphabet, engine::general_purpose};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::Deserialize;

use super::{KeyBytes, Keyring, LocalKey};

/// Longest text with keys.
const MAX_BYTES: u64 = 64 * 1024;
/// A key in base64 has 43 letters: what is pasted in the wrong place is no id.
const MAX_ID: usize = 32;

/// Why keys cannot be used. Never shows what may be a key.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The file cannot be read.
    #[error("the key file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Others could read or change it.
    #[error(
        "the key file {path} can be read or changed by others than its owner (mode {mode:04o}): make it 0600"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Both sources.
    #[error("both CADASTRE_KEY_FILE and CADASTRE_KEYS are set: keep one of them")]
    Both,
    /// There are none.
    #[error("{0}: there is no key in it")]
    Empty(String),
    /// One of them is wrong.
    #[error("{place}, key {number}: {reason}")]
    Key {
        /// The file or the variable.
        place: String,
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The text is neither lines nor JSON.
    #[error(
        "{0}: the text must be lines id:base64 or JSON {{\"keys\": [{{\"id\": …, \"key\": …}}]}}"
    )]
    Form(String),
}

/// What says where the keys are.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct KeySource {
    /// The keys that secrets of crawlers are encrypted with: a file of lines id:base64, readable by its owner only.
    #[arg(long = "key-file", env = "CADASTRE_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// The same text itself; lines may be separated by commas. From the environment only: flags are seen by everybody.
    #[arg(skip)]
    pub keys: Option<SecretString>,
}

impl KeySource {
    /// With `CADASTRE_KEYS` of the environment, where it is set.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        let keys = std::env::var("CADASTRE_KEYS").ok();
        self.keys = keys.map(SecretString::from).or(self.keys);
        self
    }

    /// The keys. No source at all means none; a source without a usable key is an error.
    pub fn read(&self) -> Result<Keyring, KeySourceError> {
        match (&self.key_file, &self.keys) {
            (Some(_), Some(_)) => Err(KeySourceError::Both),
            (Some(path), None) => parse(&path.display().to_string(), &read_file(path)?),
            (None, Some(keys)) => {
                let text = Zeroizing::new(keys.expose_secret().replace(',', "\n"));
                // Commas are part of JSON.
                let is_json = keys.expose_secret().trim_start().starts_with('{');
                let text = if is_json { keys.expose_secret() } else { &text };
                parse("CADASTRE_KEYS", text)
            }
            (None, None) => Ok(Keyring::none()),
        }
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, KeySourceError> {
    let unreadable = |reason: String| KeySourceError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(|error| unreadable(error.kind().to_string()))?;
    // Of the open file, so that what is checked is what is read.
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(error.kind().to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o066 != 0 {
        return Err(KeySourceError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > MAX_BYTES {
        return Err(unreadable("it is too long for a file of keys".to_owned()));
    }
    // Room for all of it: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.kind().to_string()))?;
    Ok(text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonKeys {
    keys: Vec<JsonKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonKey {
    id: String,
    key: SecretString,
    #[serde(default)]
    active: bool,
}

/// The keys of a text; `place` is where it comes from.
fn parse(place: &str, text: &str) -> Result<Keyring, KeySourceError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let entries: Vec<JsonKey> = if text.starts_with('{') {
        serde_json::from_str::<JsonKeys>(text)
            .map_err(|_| KeySourceError::Form(place.to_owned()))?
            .keys
    } else {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let marked = line.strip_prefix('*');
                let (id, key) = marked.unwrap_or(line).split_once(':')?;
                Some(JsonKey {
                    id: id.trim().to_owned(),
                    key: key.trim().to_owned().into(),
                    active: marked.is_some(),
                })
            })
            .collect::<Option<_>>()
            .ok_or_else(|| KeySourceError::Form(place.to_owned()))?
    };
    ring_of(place, &entries)
}

fn ring_of(place: &str, entries: &[JsonKey]) -> Result<Keyring, KeySourceError> {
    let fault = |index: usize, reason: &'static str| KeySourceError::Key {
        place: place.to_owned(),
        number: index + 1,
        reason,
    };
    let mut active = entries.iter().enumerate().filter(|(_, entry)| entry.active);
    let writes = active.next().map_or(0, |(index, _)| index);
    if let Some((index, _)) = active.next() {
        return Err(fault(
            index,
            "a key before it is marked as the one that writes",
        ));
    }
    let mut keys: Vec<(&str, KeyBytes)> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let key = key_of(entry).map_err(|reason| fault(index, reason))?;
        if keys.iter().any(|(id, _)| *id == entry.id) {
            return Err(fault(index, "a key before it has the same id"));
        }
        if keys.iter().any(|(_, known)| known.expose() == key.expose()) {
            return Err(fault(index, "it is the same key as one before it"));
        }
        keys.push((&entry.id, key));
    }
    if keys.is_empty() {
        return Err(KeySourceError::Empty(place.to_owned()));
    }
    let (active_id, active_key) = keys.swap_remove(writes);
    let ring = Keyring::new(active_id, Arc::new(LocalKey(active_key)));
    Ok(keys.into_iter().fold(ring, |ring, (id, key)| {
        ring.and(id, Arc::new(LocalKey(key)))
    }))
}

fn key_of(entry: &JsonKey) -> Result<KeyBytes, &'static str> {
    let is_id = (1..=MAX_ID).contains(&entry.id.len())
        && entry
            .id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_id {
        return Err("an id is 1 to 32 letters, digits and . _ -");
    }
    let lenient = general_purpose::GeneralPurpose::new(
        &alphabet::STANDARD,
        general_purpose::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let bytes = lenient
        .decode(entry.key.expose_secret())
        .map(Zeroizing::new)
        .map_err(|_| "it is not base64")?;
    if bytes.len() < 32 {
        return Err("it is too short: a key is 32 random bytes in base64");
    }
    // Nobody draws the same byte 32 times.
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        return Err("every byte of it is the same: a key is 32 random bytes");
    }
    KeyBytes::from_slice(&bytes).ok_or("it is too long: a key is 32 random bytes in base64")
}

/// Makes a file with one new key; one that is there already is left as it is.
pub fn write_new_key(path: &Path, key_id: &str) -> std::io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    };
    let key = KeyBytes::random();
    let text = Zeroizing::new(general_purpose::STANDARD.encode(key.expose()));
    let head = "# Opens the secrets of crawlers in the database. Keep a copy apart from the database's backups.";
    writeln!(file, "{head}\n{key_id}:{}", text.as_str())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key(byte: u8) -> String {
        let mut bytes = [byte; 32];
        bytes[0] = 1;
        general_purpose::STANDARD.encode(bytes)
    }

    fn read(text: &str) -> Result<Keyring, KeySourceError> {
        KeySource {
            keys: Some(text.to_owned().into()),
            ..KeySource::default()
        }
        .read()
    }

    #[test]
    fn the_first_key_or_the_marked_one_writes_in_each_form() {
        let (a, b) = (key(7), key(8));
        for (text, active) in [
            (format!("# comment\n\na:{a}\nb:{b}\n"), "a"),
            (format!("a:{a}\n*b: {}", b.trim_end_matches('=')), "b"),
            (format!("a:{a},*b:{b}"), "b"),
            (
                format!(
                    r#"{{"keys": [{{"id": "a", "key": "{a}"}}, {{"id": "b", "key": "{b}"}}]}}"#
                ),
                "a",
            ),
            (
                format!(
                    r#"{{"keys": [{{"id": "a", "key": "{a}"}}, {{"id": "b", "key": "{b}", "active": true}}]}}"#
                ),
                "b",
            ),
        ] {
            let ring = read(&text).expect(&text);
            assert_eq!(ring.active_id(), Some(active), "{text}");
            assert!(ring.has("a") && ring.has("b"), "{text}");
            assert!(!format!("{ring:?}").contains(&a));
        }
    }

    #[test]
    fn no_short_zero_and_doubled_keys_are_refused_without_being_shown() {
        let good = key(7);
        let zero = general_purpose::STANDARD.encode([0; 32]);
        let short = general_purpose::STANDARD.encode([3_u8; 16]);
        let long = general_purpose::STANDARD.encode((0..33).collect::<Vec<u8>>());
        for (text, part) in [
            (String::new(), "no key"),
            ("# nothing".to_owned(), "no key"),
            (r#"{"keys": []}"#.to_owned(), "no key"),
            (format!("a:{zero}"), "every byte"),
            (format!("a:{short}"), "too short"),
            ("a:".to_owned(), "too short"),
            (format!("a:{long}"), "too long"),
            ("a:not base64!".to_owned(), "not base64"),
            (good.clone(), "lines"),
            (format!("{good}:a"), "an id is"),
            (format!("{}:x", good.trim_end_matches('=')), "an id is"),
            (format!("a:{good}\na:{}", key(8)), "same id"),
            (format!("a:{good}\nb:{good}"), "same key"),
            (format!("*a:{good}\n*b:{}", key(8)), "marked"),
            (
                format!(r#"{{"keys": [{{"id": "a", "secret": "{good}"}}]}}"#),
                "JSON",
            ),
        ] {
            let error = read(&text).expect_err(&text).to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains(good.trim_end_matches('=')), "{error}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_or_change_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let source = KeySource {
            key_file: Some(path.clone()),
            keys: None,
        };
        assert!(
            source
                .read()
                .expect_err("absent")
                .to_string()
                .contains("cannot be read")
        );
        write_new_key(&path, "first").expect("written");
        let before = std::fs::read(&path).expect("readable");
        assert_eq!(source.read().expect("usable").active_id(), Some("first"));
        write_new_key(&path, "second").expect("left as it is");
        assert_eq!(std::fs::read(&path).expect("readable"), before);
        for (mode, is_good) in [
            (0o600, true),
            (0o400, true),
            (0o700, true),
            (0o644, false),
            (0o640, false),
            (0o604, false),
            (0o620, false),
            (0o602, false),
        ] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("set");
            assert_eq!(source.read().is_ok(), is_good, "{mode:o}");
        }
        let both = KeySource {
            keys: Some("a:b".into()),
            ..source
        };
        assert!(matches!(both.read(), Err(KeySourceError::Both)));
        let folder = KeySource {
            key_file: Some(folder.path().to_owned()),
            keys: None,
        };
        assert!(folder.read().is_err());
    }
}
