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
    parser::ValueSource,
};
use secrecy::SecretString;

use super::{Config, secret};

/// The variable that names the file.
const FILE_VARIABLE: &str = "CADASTRE_CONFIG";
/// Flags that say what to do now, and have no place in a file.
const NOT_IN_A_FILE: [&str; 5] = ["help", "version", "config", "migrate_only", "check_config"];

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
        write!(f, "{:<24} {value}  ({})", self.name, self.source)
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
    let mut command = Config::command();
    for argument in settings(&Config::command()) {
        let id = argument.get_id().as_str();
        if let Some(text) = in_file.get(id) {
            check(
                id,
                text,
                &format!("{} in the file", name_of(argument)),
                &mut wrong,
            );
            command = command.mut_arg(id, |argument| {
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
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut config = Config::from_arg_matches(&matches)?;
    secret::read(&mut config).map_err(ConfigError::Wrong)?;
    let in_force = settings(&command)
        .map(|argument| in_force(argument, &matches, &in_file))
        .collect();
    Ok(Loaded { config, in_force })
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
    let command = Config::command();
    let mut found = BTreeMap::new();
    for (key, value) in table {
        let Some(argument) = settings(&command).find(|one| name_of(one) == key) else {
            wrong.push(format!(
                "{key} in the file: there is no such setting (`ingest-api --help` names them)"
            ));
            continue;
        };
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            _ => {
                wrong.push(format!(
                    "{key} in the file: a text, a number, or true or false is wanted"
                ));
                continue;
            }
        };
        found.insert(argument.get_id().to_string(), text);
    }
    found
}

/// Notes what is wrong with one value, as if it were the only one.
fn check(id: &str, text: &str, whence: &str, wrong: &mut Vec<String>) {
    let outcome = Config::command()
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
    let raw = matches.get_raw(id).and_then(|mut values| values.next());
    let raw = raw.map(|value| value.to_string_lossy().into_owned());
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
