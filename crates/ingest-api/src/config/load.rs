//! From flags, environment and a file to settings, and where each of them came from.
//!
//! A key of the file is the name of a flag. What the file says becomes the default of its flag, so that a flag and a
//! variable win over it, and every value is checked by the same rules wherever it stands.

use std::{
    any::TypeId,
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, builder::Resettable,
    parser::ValueSource, value_parser,
};
use secrecy::SecretString;

use super::{Config, secret};
use crate::{people, secret::Keyring};

/// The variable that names the file.
const FILE_VARIABLE: &str = "CADASTRE_CONFIG";
/// Flags that say what to do now, and have no place in a file.
const NOT_IN_A_FILE: [&str; 5] = ["help", "version", "config", "migrate_only", "check_config"];

/// The text of the keys that secrets of crawlers are sealed with.
const KEYS: &str = "keys";
/// The secret that this server shows to the provider of the sign-in.
const CLIENT_SECRET: &str = "sign-in-client-secret";
/// Secrets that have a place in the file and a variable, but no flag: a command line is visible to every user of the
/// machine.
const NO_FLAGS: [(&str, &str); 2] = [
    (KEYS, "CADASTRE_KEYS"),
    (CLIENT_SECRET, "CADASTRE_SIGN_IN_CLIENT_SECRET"),
];

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// All that is wrong in the file and in the environment, and with what they refer to; one line each.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
    /// Wrong flags; also `--help` and `--version`, which are not wrong.
    #[error(transparent)]
    Flags(#[from] clap::Error),
}

/// Settings, and where they came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings, secrets read.
    pub config: Config,
    /// How people sign in.
    pub people: people::Settings,
    /// The keys that secrets of crawlers are sealed with.
    pub keyring: Keyring,
    /// Each setting in the order of `--help`, fit to be shown.
    pub in_force: Vec<Setting>,
}

/// A setting as it is in force. Displayed as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its flag without the dashes, which is also its key in the file.
    pub name: String,
    /// Its value, masked if it is a secret; `None` when there is none.
    pub value: Option<String>,
    /// Where it came from.
    pub source: Source,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// This variable.
    Variable(String),
    /// The file.
    File,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => write!(f, "environment, {name}"),
            Self::File => f.write_str("file"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("-");
        write!(f, "{:<26} {value}  ({})", self.name, self.source)
    }
}

/// Settings from a command line (the program's name first), the environment, and the file that one of them names.
pub fn load(arguments: impl IntoIterator<Item = OsString>) -> Result<Loaded, ConfigError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut wrong = Vec::new();
    let in_file = match file_named(&arguments) {
        Some(path) => read_file(&path, &mut wrong),
        None => BTreeMap::new(),
    };
    let mut known = command();
    for argument in settings(&command()) {
        let id = argument.get_id().as_str();
        if let Some(text) = in_file.get(id) {
            let whence = format!("{} in the file", name_of(argument));
            check(id, text, &whence, &mut wrong);
            known = known.mut_arg(id, |argument| {
                argument.default_value(text.clone()).required(false)
            });
        }
        if let Some(variable) = argument.get_env().and_then(|name| name.to_str())
            && let Ok(text) = std::env::var(variable)
        {
            check(id, &text, &format!("the variable {variable}"), &mut wrong);
        }
    }
    if !wrong.is_empty() {
        return Err(ConfigError::Wrong(wrong));
    }
    let matches = known.try_get_matches_from_mut(arguments)?;
    let (config, people, keyring) = understood(&matches)?;
    // Of a command whose arguments were not changed: those that were have gone to its end.
    let in_force = settings(&command())
        .map(|argument| in_force(argument, &matches, &in_file))
        .collect();
    Ok(Loaded {
        config,
        people,
        keyring,
        in_force,
    })
}

/// The flags of the command, and beside them the secrets that have none.
fn command() -> Command {
    NO_FLAGS
        .iter()
        .fold(Config::command(), |command, (name, variable)| {
            command.arg(
                Arg::new(*name)
                    .long(*name)
                    .env(*variable)
                    .hide(true)
                    .hide_env_values(true)
                    .value_parser(value_parser!(SecretString)),
            )
        })
}

/// Reads what the settings refer to, and looks at those that belong together.
fn understood(matches: &ArgMatches) -> Result<(Config, people::Settings, Keyring), ConfigError> {
    let mut config = Config::from_arg_matches(matches)?;
    let mut wrong: Vec<String> = NO_FLAGS
        .iter()
        .filter(|(name, _)| matches.value_source(name) == Some(ValueSource::CommandLine))
        .map(|(name, variable)| {
            format!(
                "{name} is no flag, for others would see it: set {variable}, or {name} in the file"
            )
        })
        .collect();
    if let Err(more) = secret::read(&mut config) {
        wrong.extend(more);
    }
    config.keys.keys = matches.get_one(KEYS).cloned();
    let keyring = config.keys.read();
    let client_secret = matches
        .get_one(CLIENT_SECRET)
        .map(|given| secret::read_one(CLIENT_SECRET, given))
        .transpose();
    let people = match client_secret {
        Ok(secret) => config
            .sign_in
            .clone()
            .checked_with(secret)
            .map_err(|error| error.0),
        Err(error) => Err(vec![error]),
    };
    match (people, keyring) {
        (Ok(people), Ok(keyring)) if wrong.is_empty() => Ok((config, people, keyring)),
        (people, keyring) => {
            wrong.extend(people.err().unwrap_or_default());
            wrong.extend(keyring.err().map(|error| error.to_string()));
            Err(ConfigError::Wrong(wrong))
        }
    }
}

/// The arguments that are settings.
fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|argument| !NOT_IN_A_FILE.contains(&argument.get_id().as_str()))
}

fn name_of(argument: &Arg) -> &str {
    argument
        .get_long()
        .unwrap_or_else(|| argument.get_id().as_str())
}

/// The file is needed before the flags can be read, so it is looked for by hand.
fn file_named(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(PathBuf::from);
        }
        if let Some(path) = argument
            .to_str()
            .and_then(|text| text.strip_prefix("--config="))
        {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os(FILE_VARIABLE).map(PathBuf::from)
}

/// The file's values by the ids of their flags; what is wrong with it is noted.
fn read_file(path: &Path, wrong: &mut Vec<String>) -> BTreeMap<String, String> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            wrong.push(format!("the file {shown} cannot be read: {error}"));
            return BTreeMap::new();
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // The place, and not the line itself, which may hold a secret.
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
            wrong.push(format!(
                "the file {shown} is no TOML: line {line}: {}",
                error.message()
            ));
            return BTreeMap::new();
        }
    };
    let command = command();
    let mut found = BTreeMap::new();
    for (key, value) in table {
        let Some(argument) = settings(&command).find(|one| name_of(one) == key) else {
            wrong.push(format!(
                "{key} in the file: there is no such setting (`ingest-api --help` names them)"
            ));
            continue;
        };
        match text_of(value, argument.get_value_delimiter()) {
            Ok(text) => {
                found.insert(argument.get_id().to_string(), text);
            }
            Err(wanted) => wrong.push(format!("{key} in the file: {wanted} is wanted")),
        }
    }
    found
}

/// A value of the file as its flag would be written, or what is wanted instead.
fn text_of(value: toml::Value, delimiter: Option<char>) -> Result<String, &'static str> {
    match (value, delimiter) {
        (toml::Value::String(text), _) => Ok(text),
        (toml::Value::Integer(number), _) => Ok(number.to_string()),
        (toml::Value::Boolean(yes), _) => Ok(yes.to_string()),
        (toml::Value::Array(items), Some(delimiter)) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            let texts = texts.filter(|texts| !texts.is_empty());
            texts
                .map(|texts| texts.join(&delimiter.to_string()))
                .ok_or("a list of texts, which is not empty,")
        }
        (_, Some(_)) => Err("a text or a list of texts"),
        (_, None) => Err("a text, a number, or true or false"),
    }
}

/// Notes what is wrong with one value, as if it were the only one.
fn check(id: &str, text: &str, whence: &str, wrong: &mut Vec<String>) {
    let outcome = command()
        .mut_args(|argument| argument.env(Resettable::Reset).required(false))
        .mut_arg(id, |argument| argument.default_value(text.to_owned()))
        .try_get_matches_from(["ingest-api"]);
    if let Err(error) = outcome {
        let said = error.to_string();
        let first = said.lines().next().unwrap_or("wrong");
        wrong.push(format!("{whence}: {}", first.trim_start_matches("error: ")));
    }
}

fn in_force(argument: &Arg, matches: &ArgMatches, in_file: &BTreeMap<String, String>) -> Setting {
    let id = argument.get_id().as_str();
    let raw = matches.get_raw(id).map(|values| {
        let texts: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        texts.join(",")
    });
    let is_secret = argument.get_value_parser().type_id() == TypeId::of::<SecretString>();
    let source = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Source::Flag,
        Some(ValueSource::EnvVariable) => {
            let name = argument.get_env().unwrap_or_default();
            Source::Variable(name.to_string_lossy().into_owned())
        }
        _ if in_file.contains_key(id) => Source::File,
        _ => Source::Default,
    };
    Setting {
        name: name_of(argument).to_owned(),
        value: if is_secret {
            raw.as_deref().map(secret::masked)
        } else {
            raw
        },
        source,
    }
}
