//! `cadastre migrate` and `cadastre config check`: what is done before a server starts.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ingest_api::{ConfigError, migrate};

use crate::cli::DatabaseArgs;

/// Flags of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Brings the schema up to date. Others who do the same at this moment are waited for.
pub async fn run_migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let place = args.database.place()?;
    // Our own server may be running under `cadastre up`, whose schema is up to date then.
    let opened = match place.in_use().await {
        Some(_) => None,
        None => Some(place.open().await?),
    };
    let Some(opened) = opened else {
        println!("The schema is up to date: a program serves from it.");
        return Ok(());
    };
    let migrated = migrate(&opened.url)
        .await
        .context("bringing the schema up to date");
    opened.close().await?;
    migrated?;
    println!("The schema is up to date.");
    Ok(())
}

/// About the settings of `ingest-api`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print what would be in force for `ingest-api` here, and where each setting comes from; exits with 2 when it cannot be used
    Check(CheckArgs),
}

/// Flags of `config check`: those of `ingest-api`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Flags as `ingest-api` takes them, such as --config FILE
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "FLAGS"
    )]
    flags: Vec<OsString>,
}

/// Runs a `config` command.
pub fn run_config(command: ConfigCommand) -> ExitCode {
    let ConfigCommand::Check(args) = command;
    let arguments = std::iter::once(OsString::from("ingest-api")).chain(args.flags);
    match ingest_api::load(arguments) {
        Ok(loaded) => {
            for setting in &loaded.in_force {
                println!("{setting}");
            }
            ExitCode::SUCCESS
        }
        // Also `--help`; prints and ends the process as it should.
        Err(ConfigError::Flags(error)) => error.exit(),
        Err(ConfigError::Wrong(wrong)) => {
            for line in wrong {
                eprintln!("error: {line}");
            }
            ExitCode::from(2)
        }
    }
}
