//! The flags. The documented names of older crawlers, in kebab case, and ours.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use super::display::ProgressForm;
use crate::{
    IdentityFilter, IdentityKey, Mode, Overrides,
    config::{Cloud, SignInMethod, SyncSection, parse_span},
};

/// The client secret has no flag: a command line is visible to every user of the machine.
const CLIENT_SECRET_VARIABLE: &str = "CADASTRE_GRAPH_CLIENT_SECRET";

/// Reads Microsoft Entra ID through Microsoft Graph into the register.
#[derive(Parser)]
#[command(
    name = "crawler-entra",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Environment: CADASTRE_GRAPH_CLIENT_SECRET is the application's secret, instead of Graph.ClientSecret in the file; CADASTRE_GRAPH_CERTIFICATE_PASSWORD is the password of a PFX file. HTTPS_PROXY and NO_PROXY hold unless --proxy says otherwise.\nExit codes: 0 complete, 1 failed or cancelled, 2 wrong usage, 3 partial or held."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub args: Args,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Finds out what a crawl with the same flags could read, and what is missing
    #[command(
        after_help = "Exit codes: 0 everything selected can be read, 2 something is missing (or wrong usage), 1 it could not be found out."
    )]
    Check(Box<CheckArgs>),
    /// Says which users the identity filter makes identities; sends nothing
    Identities {
        /// Count the users and show some; there is nothing else to do with them
        #[arg(long, required = true)]
        preview: bool,
        #[command(flatten)]
        args: Box<Args>,
    },
    /// Lists the custom attributes of users with type, values and how many users have them; sends nothing
    Attributes {
        /// So many users are looked at
        #[arg(long, default_value_t = 999, value_name = "USERS")]
        sample: usize,
        #[command(flatten)]
        args: Box<Args>,
    },
}

#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub args: Args,
}

/// The flags of a crawl.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The ingest API's address, with or without /api
    #[arg(long, env = "CADASTRE_API_BASE_URL", value_name = "URL")]
    pub api_base_url: Option<Url>,

    /// The API key (fgc_…); better given in the environment, where other users of the machine do not see it
    #[arg(
        long,
        env = "CADASTRE_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub api_key: Option<SecretString>,

    /// JSON file with Graph.{TenantId, ClientId, ClientSecret}; flags win over it
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Users and guests [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_principals: Option<bool>,

    /// Service principals, managed identities and agents [default: false]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_service_principals: Option<bool>,

    /// Groups, directory roles, administrative units, applications with their roles and registrations [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_resources: Option<bool>,

    /// Group members and owners, role assignments, holders of app roles, owners of applications, delegated grants [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_assignments: Option<bool>,

    /// Entitlement management and access reviews [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_governance: Option<bool>,

    /// Departments and administrative units with their members [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_contexts: Option<bool>,

    /// PIM: eligibility for directory roles and groups, active assignments in groups [default: false]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_pim: Option<bool>,

    /// When users last signed in: half a request a second, seven minutes for 100,000 users [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sync_sign_ins: Option<bool>,

    /// Refresh the register's views at the end [default: true]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub refresh_views: Option<bool>,

    /// Further user properties to read, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub custom_user_attributes: Option<Vec<String>>,

    /// Further group properties to read, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub custom_group_attributes: Option<Vec<String>>,

    /// Which users become identities, in JSON: conditions (isNotNull, equals, notEquals, inValues) in and/or groups
    #[arg(long, value_name = "JSON", value_parser = IdentityFilter::parse_text)]
    pub identity_filter: Option<IdentityFilter>,

    /// What makes accounts one person [default: account]
    #[arg(long, value_enum, value_name = "KEY")]
    pub identity_key: Option<KeyName>,

    /// full reads everything; delta what changed since the last run, where that is known; auto as delta, and everything once
    /// in a while [default: auto]
    #[arg(long, value_enum)]
    pub mode: Option<ModeWord>,

    /// With auto: read everything when the last full reading is older [default: 7d]
    #[arg(long, value_parser = parse_span, value_name = "SPAN")]
    pub full_read_every: Option<Duration>,

    /// Read members, owners and what else hangs on objects by sweeps of their lists, where that can be all: a fraction of the
    /// requests, not proved on a real tenant yet [default: false]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sweeps: Option<bool>,

    /// Read what Graph does not tell the changes of (who holds app roles, federated credentials, sign-ins) when the last full
    /// reading is older [default: 20h]
    #[arg(long, value_parser = parse_span, value_name = "SPAN")]
    pub untold_read_every: Option<Duration>,

    /// Requests for access packages are read so many days back [default: 90]
    #[arg(long, value_name = "DAYS")]
    pub request_window_days: Option<u32>,

    /// How to sign in, when the file does not make it clear
    #[arg(
        long,
        value_enum,
        env = "CADASTRE_GRAPH_SIGN_IN",
        value_name = "METHOD"
    )]
    pub sign_in: Option<SignInMethod>,

    /// The cloud that the tenant lives in [default: global]
    #[arg(long, value_enum, env = "CADASTRE_GRAPH_CLOUD", value_name = "CLOUD")]
    pub cloud: Option<Cloud>,

    /// The proxy to Graph, the sign-in and the register, or none; without it the environment's
    #[arg(
        long,
        env = "CADASTRE_PROXY",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub proxy: Option<SecretString>,

    /// PEM file of roots to trust beside the system's
    #[arg(long, env = "CADASTRE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Where Graph is
    #[arg(long, value_name = "URL")]
    pub graph_base_url: Option<Url>,

    /// Where tokens are issued
    #[arg(long, value_name = "URL")]
    pub login_base_url: Option<Url>,

    /// Read and map everything, send nothing, and say what would be sent
    #[arg(long)]
    pub dry_run: bool,

    /// How progress is shown; auto is bars on a terminal and plain lines elsewhere
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,

    /// The run's id: begins this run, or goes on with it where it was interrupted (a crawl that was killed, on any machine)
    #[arg(long, value_name = "UUID")]
    pub run_id: Option<Uuid>,

    /// Abort sessions of the same scope that an earlier crawl left open, instead of failing
    #[arg(long)]
    pub take_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModeWord {
    Full,
    Delta,
    Auto,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Full => Self::Full,
            ModeWord::Delta => Self::Delta,
            ModeWord::Auto => Self::Auto,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(super) enum KeyName {
    Account,
    EmployeeId,
}

impl From<KeyName> for IdentityKey {
    fn from(name: KeyName) -> Self {
        match name {
            KeyName::Account => Self::Account,
            KeyName::EmployeeId => Self::EmployeeId,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    Auto,
    Plain,
    Json,
    None,
}

impl Progress {
    pub fn resolved(self) -> ProgressForm {
        match self {
            Self::Auto => ProgressForm::automatic(),
            Self::Plain => ProgressForm::Plain,
            Self::Json => ProgressForm::Json,
            Self::None => ProgressForm::None,
        }
    }
}

impl Args {
    pub fn overrides(self) -> Overrides {
        Overrides {
            api_base_url: self.api_base_url,
            api_key: self.api_key,
            client_secret: std::env::var(CLIENT_SECRET_VARIABLE)
                .ok()
                .filter(|secret| !secret.is_empty())
                .map(SecretString::from),
            sign_in_method: self.sign_in,
            cloud: self.cloud,
            proxy: self.proxy,
            ca_file: self.ca_file,
            graph_base_url: self.graph_base_url,
            login_base_url: self.login_base_url,
            sync: SyncSection {
                principals: self.sync_principals,
                service_principals: self.sync_service_principals,
                resources: self.sync_resources,
                assignments: self.sync_assignments,
                governance: self.sync_governance,
                contexts: self.sync_contexts,
                pim: self.sync_pim,
                sign_ins: self.sync_sign_ins,
                refresh_views: self.refresh_views,
            },
            mode: self.mode.map(Mode::from),
            full_read_every: self.full_read_every,
            untold_read_every: self.untold_read_every,
            request_window_days: self.request_window_days,
            custom_user_attributes: self.custom_user_attributes.map(without_blanks),
            custom_group_attributes: self.custom_group_attributes.map(without_blanks),
            identity_filter: self.identity_filter,
            identity_key: self.identity_key.map(Into::into),
            dry_run: self.dry_run,
            take_over: self.take_over,
            sweeps: self.sweeps,
            run_id: self.run_id,
        }
    }
}

fn without_blanks(names: Vec<String>) -> Vec<String> {
    names
        .into_iter()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_may_stand_alone_or_carry_a_value() {
        let read = |flags: &[&str]| {
            let all = std::iter::once("crawler-entra").chain(flags.iter().copied());
            Cli::try_parse_from(all).map(|cli| cli.args.sync_pim)
        };
        assert_eq!(read(&[]).expect("parses"), None);
        assert_eq!(read(&["--sync-pim"]).expect("parses"), Some(true));
        assert_eq!(read(&["--sync-pim=false"]).expect("parses"), Some(false));
        assert_eq!(
            read(&["--sync-pim", "--dry-run"]).expect("parses"),
            Some(true)
        );
        assert!(read(&["--sync-pim=perhaps"]).is_err());
        let sweeps = |flags: &[&str]| {
            let all = std::iter::once("crawler-entra").chain(flags.iter().copied());
            let cli = Cli::try_parse_from(all).expect("parses");
            cli.args.overrides().sweeps
        };
        assert_eq!(sweeps(&[]), None);
        assert_eq!(sweeps(&["--sweeps"]), Some(true));
        assert_eq!(sweeps(&["--sweeps=false"]), Some(false));
        assert!(read(&["--no-such-flag"]).is_err());
    }

    #[test]
    fn attribute_names_are_separated_by_commas() {
        let cli = Cli::try_parse_from(["x", "--custom-user-attributes", "a, b,,c"]);
        let overrides = cli.expect("parses").args.overrides();
        assert_eq!(
            overrides.custom_user_attributes,
            Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
        );
    }
}
